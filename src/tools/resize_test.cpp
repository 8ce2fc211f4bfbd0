#include "tools/resize.h"

#include <cmath>

#include <gtest/gtest.h>

#include "base/attempt.h"
#include "tools/internal/lora_maker.h"

namespace lora::tools {
namespace {

using internal::change_of;
using internal::LoraMaker;
using TemporaryFile = LoraMaker::TemporaryFile;

const std::string kToQ = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q";
const std::string kIn = "lora_unet_mid_block_attentions_0_proj_in";
const std::string kConv = "lora_unet_down_blocks_1_resnets_0_conv1";

// The worked example of the semantics' page.
TEST(ChooseRank, EqualsTheWorkedExample) {
    const std::vector<double> s{4, 2, 1, 0.5, 0.25};
    const auto rank = [&](DynamicMethod method, double param) {
        return choose_rank(s, method, param, 100);
    };
    EXPECT_EQ(rank(DynamicMethod::kSvRatio, 2), 2);
    EXPECT_EQ(rank(DynamicMethod::kSvRatio, 4), 3);
    EXPECT_EQ(rank(DynamicMethod::kSvRatio, 10), 5);
    EXPECT_EQ(rank(DynamicMethod::kSvCumulative, 0.5), 2);
    EXPECT_EQ(rank(DynamicMethod::kSvCumulative, 0.7), 3);
    EXPECT_EQ(rank(DynamicMethod::kSvCumulative, 0.8), 4);
    EXPECT_EQ(rank(DynamicMethod::kSvCumulative, 0.99), 5);
    EXPECT_EQ(rank(DynamicMethod::kSvFro, 0.7), 2);
    EXPECT_EQ(rank(DynamicMethod::kSvFro, 0.9), 3);
    EXPECT_EQ(rank(DynamicMethod::kSvFro, 0.99), 4);
    EXPECT_EQ(choose_rank(s, DynamicMethod::kSvRatio, 10, 3), 3);
    EXPECT_EQ(choose_rank(std::vector<double>{1e-7, 0}, DynamicMethod::kSvFro, 0.9, 8), 1);
}

TEST(ChooseRank, ParametersOutOfRangeSayWhatMakesSense) {
    const std::pair<DynamicMethod, double> wrong[] = {{DynamicMethod::kSvRatio, 0},
                                                      {DynamicMethod::kSvRatio, 0.5},
                                                      {DynamicMethod::kSvFro, 1.5},
                                                      {DynamicMethod::kSvFro, 0},
                                                      {DynamicMethod::kSvCumulative, -1},
                                                      {DynamicMethod::kSvCumulative, NAN}};
    for (const auto& [method, param] : wrong) {
        const auto error = attempt([&, m = method, p = param] { check_dynamic_param(m, p); });
        ASSERT_TRUE(error.has_value()) << param;
        EXPECT_EQ(error->code(), ErrorCode::kConfig);
        EXPECT_FALSE(error->hint().empty());
    }
    EXPECT_NO_THROW(check_dynamic_param(DynamicMethod::kSvFro, 0.9));
}

class Resize : public ::testing::Test {
protected:
    void SetUp() override {
        LoraMaker maker(21);
        maker.lora(kToQ, {24, 20}, 6, 3);
        maker.lora(kIn, {18, 16, 1, 1}, 6, 3);
        maker.lora(kConv, {14, 5, 3, 3}, 6, 3);
        maker.add("bundle_emb.x.string_to_param.*", {2, 4});
        maker.save(in_.path(), {{"ss_training_comment", "mine"}, {"ss_tag_frequency", "{}"}});
        options_.model = in_.path();
        options_.save_to = out_.path();
    }
    TemporaryFile in_{"in.safetensors"};
    TemporaryFile out_{"out.safetensors"};
    ResizeOptions options_;
};

TEST_F(Resize, EveryLayerGetsTheRankAndItsBestApproximation) {
    options_.new_rank = 3;
    const ResizeReport report = resize_lora(options_);
    EXPECT_EQ(report.old_rank, 6);
    const LoraFile before = open_lora(in_.path());
    const LoraFile after = open_lora(out_.path());
    ASSERT_EQ(after.layers.size(), 3u);
    for (size_t i = 0; i < 3; ++i) {
        const LoraLayer& layer = after.layers[i];
        EXPECT_EQ(layer.rank, 3);
        EXPECT_EQ(layer.alpha, 1.5);  // the scale stays 0.5
        EXPECT_EQ(layer.weight_shape, before.layers[i].weight_shape);
        const Svd parts = svd(weight_change(before.layers[i]));
        double dropped = 0;
        double all = 0;
        for (size_t k = 0; k < parts.s.size(); ++k) {
            all += parts.s[k] * parts.s[k];
            if (k >= 3) dropped += parts.s[k] * parts.s[k];
        }
        const std::vector<float> x = change_of(before, layer.name);
        const std::vector<float> y = change_of(after, layer.name);
        double error = 0;
        for (size_t k = 0; k < x.size(); ++k) error += std::pow(x[k] - y[k], 2);
        EXPECT_NEAR(std::sqrt(error), std::sqrt(dropped), 1e-6);
        EXPECT_NEAR(report.layers[i].fro_retained, std::sqrt(1 - dropped / all), 1e-6);
        EXPECT_EQ(report.layers[i].old_rank, 6);
    }
    EXPECT_EQ(after.others.size(), 1u);
}

TEST_F(Resize, SaysWhatWasDone) {
    options_.new_rank = 2;
    resize_lora(options_);
    io::Metadata metadata = io::SafetensorsFile::open(out_.path()).metadata();
    EXPECT_EQ(metadata.at("ss_training_comment"), "dimension is resized from 6 to 2; mine");
    EXPECT_EQ(metadata.at("ss_network_dim"), "2");
    EXPECT_EQ(metadata.at("ss_network_alpha"), "1.0");
    EXPECT_EQ(metadata.at("ss_tag_frequency"), "{}");
    EXPECT_EQ(metadata.at("sshs_legacy_hash").size(), 8u);
    options_.method = DynamicMethod::kSvFro;
    options_.param = 0.9;
    options_.new_rank = 5;
    const ResizeReport report = resize_lora(options_);
    metadata = io::SafetensorsFile::open(out_.path()).metadata();
    EXPECT_EQ(metadata.at("ss_training_comment"), "Dynamic resize with sv_fro: 0.9 from 6; mine");
    EXPECT_EQ(metadata.at("ss_network_dim"), "Dynamic");
    for (const ResizedLayer& layer : report.layers) {
        EXPECT_GE(layer.fro_retained, 0.9);
        EXPECT_LE(layer.rank, 5);
    }
}

TEST_F(Resize, EachMethodKeepsWhatItPromises) {
    const LoraFile before = open_lora(in_.path());
    for (const auto& [method, param] : {std::pair{DynamicMethod::kSvRatio, 1.5},
                                        {DynamicMethod::kSvFro, 0.95},
                                        {DynamicMethod::kSvCumulative, 0.8}}) {
        options_.method = method;
        options_.param = param;
        options_.new_rank = 64;
        const ResizeReport report = resize_lora(options_);
        for (size_t i = 0; i < before.layers.size(); ++i) {
            const FactorPair pair = factor_pair(before.layers[i]);
            const Svd parts = svd_of_product(pair.up, pair.down);
            EXPECT_EQ(report.layers[i].rank, choose_rank(parts.s, method, param, 64));
        }
    }
}

TEST_F(Resize, ALargerRankAddsNothingAndASmallLayerIsCapped) {
    options_.new_rank = 19;
    const ResizeReport report = resize_lora(options_);
    const LoraFile before = open_lora(in_.path());
    const LoraFile after = open_lora(out_.path());
    EXPECT_EQ(after.find(kToQ)->rank, 19);
    EXPECT_EQ(after.find(kIn)->rank, 16);    // as many as it has inputs
    EXPECT_EQ(after.find(kConv)->rank, 14);  // as many as it has outputs
    const std::vector<float> x = change_of(before, kConv);
    const std::vector<float> y = change_of(after, kConv);
    for (size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(x[i], y[i], 1e-6);
    EXPECT_EQ(report.mean_fro_retained, 1);
}

TEST_F(Resize, ARankOfItsOwnForConvolutions) {
    options_.new_rank = 4;
    options_.new_conv_rank = 2;
    resize_lora(options_);
    const LoraFile after = open_lora(out_.path());
    EXPECT_EQ(after.find(kToQ)->rank, 4);
    EXPECT_EQ(after.find(kIn)->rank, 2);
    EXPECT_EQ(after.find(kConv)->rank, 2);
}

TEST_F(Resize, TheSizeIsKnownBefore) {
    const LoraFile file = open_lora(in_.path());
    for (const int64_t rank : {1, 2, 5}) {
        for (const DType dtype : {DType::kF16, DType::kF32}) {
            options_.new_rank = rank;
            options_.save_precision = dtype;
            const ResizeReport report = resize_lora(options_);
            EXPECT_EQ(resized_bytes(file, rank, dtype), report.bytes) << rank;
        }
    }
}

TEST_F(Resize, OtherKindsAreRefusedWithAWayOut) {
    LoraMaker maker(22);
    maker.add(kToQ + ".lokr_w1", {2, 2});
    maker.add(kToQ + ".lokr_w2", {3, 3});
    maker.save(in_.path());
    const auto error = attempt([&] { resize_lora(options_); });
    ASSERT_TRUE(error.has_value());
    EXPECT_NE(error->hint().find("lora merge"), std::string::npos);
}

}  // namespace
}  // namespace lora::tools

#include "tools/merge.h"

#include <cmath>

#include <gtest/gtest.h>

#include "base/attempt.h"
#include "models/keymap/kohya.h"
#include "tools/internal/lora_maker.h"

namespace lora::tools {
namespace {

using internal::change_of;
using internal::LoraMaker;
using TemporaryFile = LoraMaker::TemporaryFile;

const std::string kToQ = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q";
const std::string kConv = "lora_unet_down_blocks_1_resnets_0_conv1";
const std::string kText = "lora_te_text_model_encoder_layers_0_mlp_fc1";

// Three layers of three kinds and blocks.
void fill(LoraMaker& maker, int64_t rank, float alpha) {
    maker.lora(kToQ, {12, 10}, rank, alpha);
    maker.lora(kConv, {9, 4, 3, 3}, rank, alpha);
    maker.lora(kText, {16, 8}, rank, alpha);
}

struct TwoFiles {
    TemporaryFile a{"a.safetensors"};
    TemporaryFile b{"b.safetensors"};
    TemporaryFile out{"out.safetensors"};
    LoraFile first;
    LoraFile second;

    explicit TwoFiles(int64_t rank_b = 5) {
        LoraMaker one(11);
        fill(one, 3, 1.5F);
        one.save(a.path(), {{"ss_v2", "False"}, {"ss_base_model_version", "sd_v1"}});
        LoraMaker two(12);
        fill(two, rank_b, 8);
        two.save(b.path(), {{"modelspec.title", "The other"}});
        first = open_lora(a.path());
        second = open_lora(b.path());
    }
    [[nodiscard]] MergeOptions options(double ratio_a, double ratio_b) const {
        MergeOptions options;
        options.inputs = {{a.path(), ratio_a}, {b.path(), ratio_b}};
        options.save_to = out.path();
        options.threads = 1;
        return options;
    }
    // Largest difference to fa * a + fb * b over the layer's change.
    [[nodiscard]] double error(const std::string& layer, double fa, double fb) const {
        const LoraFile merged = open_lora(out.path());
        const std::vector<float> got = change_of(merged, layer);
        const std::vector<float> x = change_of(first, layer);
        const std::vector<float> y = change_of(second, layer);
        EXPECT_EQ(got.size(), x.size());
        double worst = 0;
        for (size_t i = 0; i < got.size(); ++i) {
            worst = std::max(worst, std::abs(got[i] - (fa * x[i] + fb * y[i])));
        }
        return worst;
    }
};

TEST(Merge, IsLinearInTheChanges) {
    const TwoFiles files;
    for (const auto& [fa, fb] : {std::pair{0.5, 0.5}, {1.0, -0.7}, {0.0, 1.0}, {0.0, 0.0}}) {
        const MergeReport report = merge_loras(files.options(fa, fb));
        EXPECT_EQ(report.layers, 3);
        EXPECT_EQ(report.ranks, std::vector<int64_t>{8});  // 3 + 5
        for (const std::string& layer : {kToQ, kConv, kText}) {
            EXPECT_LT(files.error(layer, fa, fb), 2e-7) << layer << ' ' << fa << ' ' << fb;
        }
    }
}

TEST(Merge, ASumOfRatiosOtherThanOneIsNoted) {
    const TwoFiles files;
    EXPECT_TRUE(merge_loras(files.options(0.5, 0.5)).notes.empty());
    const MergeReport report = merge_loras(files.options(0.5, 0.6));
    ASSERT_EQ(report.notes.size(), 1u);
    EXPECT_NE(report.notes[0].find("1.1"), std::string::npos);
}

TEST(Merge, ANewRankIsTheBestApproximation) {
    const TwoFiles files;
    MergeOptions options = files.options(0.5, 0.5);
    options.new_rank = 8;  // all there is
    EXPECT_EQ(merge_loras(options).ranks, std::vector<int64_t>{8});
    EXPECT_LT(files.error(kConv, 0.5, 0.5), 1e-6);
    const std::vector<float> whole = change_of(open_lora(files.out.path()), kToQ);
    options.new_rank = 2;
    options.new_conv_rank = 4;
    EXPECT_EQ(merge_loras(options).ranks, (std::vector<int64_t>{2, 4}));
    // Its error is the root of the squares of the dropped singular values.
    Matrix all(12, 10);
    all.values = whole;
    const Svd parts = svd(all);
    double dropped = 0;
    for (size_t i = 2; i < parts.s.size(); ++i) dropped += parts.s[i] * parts.s[i];
    const std::vector<float> kept = change_of(open_lora(files.out.path()), kToQ);
    double error = 0;
    for (size_t i = 0; i < kept.size(); ++i) error += std::pow(kept[i] - whole[i], 2);
    EXPECT_NEAR(std::sqrt(error), std::sqrt(dropped), 1e-5);
}

TEST(Merge, WeightsByBlock) {
    const TwoFiles files;
    MergeOptions options = files.options(1, 1);
    options.inputs[0].blocks = parse_block_weights("0.25,1,1,1,1,1,1,0.5,1,1,1,1,1,1,1,1,1");
    EXPECT_EQ(options.inputs[0].blocks.unet[12], 0.5);
    options.inputs[1].blocks = parse_block_weights(
        "[1, 1,1,1,1,0,1,1,1,1,1,1,1, 2, 1,1,1,1,1,1,1,1,1,1,1,1]");  // IN04 0, MID 2
    merge_loras(options);
    EXPECT_LT(files.error(kText, 0.25, 1), 1e-6);
    EXPECT_LT(files.error(kToQ, 0.5, 2), 1e-6);
    EXPECT_LT(files.error(kConv, 1, 0), 1e-6);  // input block 4
    EXPECT_THROW(static_cast<void>(parse_block_weights("1,2,3")), Error);
    EXPECT_THROW(static_cast<void>(parse_block_weights("1,1,1,1,x,1,1,1,1,1,1,1,1,1,1,1,1")),
                 Error);
}

// Three files, each with weights of its own.
TEST(Merge, ThreeFiles) {
    const TwoFiles files;
    MergeOptions options = files.options(0.5, 0.25);
    options.inputs.push_back({files.a.path(), 0.25});
    EXPECT_EQ(merge_loras(options).ranks, std::vector<int64_t>{11});
    EXPECT_LT(files.error(kToQ, 0.75, 0.25), 1e-6);
}

TEST(Merge, KohyaAddsTheFactorsThemselves) {
    const TwoFiles files(3);
    MergeOptions options = files.options(0.6, -0.4);
    options.kohya = true;
    EXPECT_EQ(merge_loras(options).ranks, std::vector<int64_t>{3});
    const LoraFile merged = open_lora(files.out.path());
    const LoraLayer& layer = *merged.find(kToQ);
    EXPECT_EQ(layer.alpha, 1.5);
    // Each tensor times ratio * sqrt(alpha / alpha of the first); up with the factor's size only.
    const double fb = std::sqrt(8 / 1.5) * -0.4;
    for (const char* suffix : {"lora_up.weight", "lora_down.weight"}) {
        const auto numbers = [&](const LoraFile& file) {
            return to_floats(file.find(kToQ)->factors.find(suffix)->second);
        };
        const double b = std::string(suffix) == "lora_up.weight" ? std::abs(fb) : fb;
        const auto got = numbers(merged);
        for (size_t i = 0; i < got.size(); ++i) {
            EXPECT_NEAR(got[i], 0.6 * numbers(files.first)[i] + b * numbers(files.second)[i], 1e-6);
        }
    }
    options.concat = true;
    EXPECT_EQ(merge_loras(options).ranks, std::vector<int64_t>{6});
    const TwoFiles others(5);
    MergeOptions unequal = others.options(0.5, 0.5);
    unequal.kohya = true;
    const auto error = attempt([&] { merge_loras(unequal); });
    ASSERT_TRUE(error.has_value());
    EXPECT_EQ(error->code(), ErrorCode::kConfig);
}

TEST(Merge, OtherKindsNeedARank) {
    const TwoFiles files;
    const TemporaryFile loha("loha.safetensors");
    LoraMaker maker(13);
    for (const char* w : {"1", "2"}) {
        maker.add(kToQ + ".hada_w" + w + "_a", {12, 2}, 0.5);
        maker.add(kToQ + ".hada_w" + w + "_b", {2, 10}, 0.5);
    }
    maker.save(loha.path());
    MergeOptions options = files.options(0, 0);
    options.inputs = {{files.a.path(), 0.5}, {loha.path(), 0.5}};
    const auto error = attempt([&] { merge_loras(options); });
    ASSERT_TRUE(error.has_value());
    EXPECT_EQ(error->code(), ErrorCode::kConfig);
    options.new_rank = 10;
    merge_loras(options);
    const std::vector<float> a = change_of(files.first, kToQ);
    const std::vector<float> h = change_of(open_lora(loha.path()), kToQ);
    const std::vector<float> got = change_of(open_lora(files.out.path()), kToQ);
    for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], 0.5 * (a[i] + h[i]), 1e-6);
}

TEST(Merge, PrecisionsFormatsAndMetadata) {
    const TwoFiles files;
    const TemporaryFile ckpt("merged.ckpt");
    MergeOptions options = files.options(0.5, 0.5);
    for (const DType dtype : {DType::kF16, DType::kBF16, DType::kF32}) {
        options.save_precision = dtype;
        merge_loras(options);
        const LoraFile merged = open_lora(files.out.path());
        EXPECT_EQ(merged.file->tensors()[0].dtype, dtype);
        EXPECT_LT(files.error(kToQ, 0.5, 0.5), dtype == DType::kBF16 ? 2e-3 : 3e-4);
        const io::Metadata& metadata = merged.file->metadata();
        EXPECT_EQ(metadata.at("ss_network_module"), "networks.lora");
        EXPECT_EQ(metadata.at("ss_network_dim"), "8");
        EXPECT_EQ(metadata.at("ss_v2"), "False");
        EXPECT_EQ(metadata.at("ss_base_model_version"), "sd_v1");
        EXPECT_NE(metadata.at("modelspec.merged_from").find(", The other"), std::string::npos);
        EXPECT_EQ(metadata.at("sshs_model_hash").size(), 64u);
    }
    options.save_to = ckpt.path();
    merge_loras(options);
    EXPECT_EQ(open_lora(ckpt.path()).layers.size(), 3u);
}

TEST(Merge, DifferentFamiliesAreRefused) {
    const TwoFiles files;
    const TemporaryFile other("sd2.safetensors");
    LoraMaker maker(14);
    maker.lora(kToQ, {12, 11}, 3);
    maker.save(other.path());
    MergeOptions options = files.options(1, 1);
    options.inputs[1].path = other.path();
    const auto error = attempt([&] { merge_loras(options); });
    ASSERT_TRUE(error.has_value());
    EXPECT_EQ(error->code(), ErrorCode::kFormat);
}

// Every weight of the mini model after the merge is base + ratio * change, the others are as
// before.
TEST(Merge, IntoAModelAddsTheChanges) {
    const std::string mini = std::string(LORA_SOURCE_DIR) + "/assets/mini/mini-sd.safetensors";
    const auto base = io::SafetensorsFile::open(mini);
    const auto info = models::detect_model(base);
    LoraMaker maker(15);
    std::map<std::string, std::string> layer_of;
    for (const auto& target : models::list_lora_targets(info, {.conv = true})) {
        maker.lora(target.lora_name, target.weight_shape, 2, 1);
        layer_of[target.weight_name] = target.lora_name;
    }
    const TemporaryFile lora("all.safetensors");
    maker.save(lora.path());
    const LoraFile changes = open_lora(lora.path());
    for (const std::string ending : {"safetensors", "ckpt"}) {
        const TemporaryFile out("model." + ending);
        MergeOptions options;
        options.inputs = {{lora.path(), 0.75}};
        options.save_to = out.path();
        const MergeReport report = merge_into_model(mini, options);
        EXPECT_EQ(report.layers, static_cast<int64_t>(layer_of.size()));
        const auto merged = io::SafetensorsFile::open(out.path());
        ASSERT_EQ(merged.tensors().size(), base.tensors().size());
        for (const io::TensorInfo& tensor : base.tensors()) {
            const std::vector<float> before = to_floats(base.view(tensor));
            const std::vector<float> after = to_floats(merged.at(tensor.name));
            std::vector<float> change(before.size());
            if (const auto it = layer_of.find(tensor.name); it != layer_of.end()) {
                change = change_of(changes, it->second);
            }
            for (size_t i = 0; i < before.size(); ++i) {
                ASSERT_NEAR(after[i], before[i] + 0.75 * change[i], 1e-6) << tensor.name;
            }
        }
        // The result is a model again, and a base for the next merge.
        EXPECT_EQ(models::detect_model(merged).unet.channels, info.unet.channels);
    }
}

TEST(Merge, IntoAModelOfAnotherFamily) {
    const TwoFiles files;
    const std::string mini = std::string(LORA_SOURCE_DIR) + "/assets/mini/mini-sd.safetensors";
    const auto error = attempt([&] { merge_into_model(mini, files.options(1, 1)); });
    ASSERT_TRUE(error.has_value());
    EXPECT_EQ(error->code(), ErrorCode::kFormat);
    EXPECT_FALSE(path_exists(files.out.path()));
}

}  // namespace
}  // namespace lora::tools

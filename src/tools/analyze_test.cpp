#include "tools/analyze.h"

#include <cmath>

#include <gtest/gtest.h>

#include "tools/internal/lora_maker.h"
#include "tools/resize.h"

namespace lora::tools {
namespace {

using internal::LoraMaker;

const std::string kMid = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_";
const std::string kText = "lora_te_text_model_encoder_layers_0_mlp_fc1";

// A layer [n, n] whose singular values are the given ones.
void add_layer(LoraMaker& maker,
               const std::string& name,
               const std::vector<float>& s,
               float alpha) {
    const auto rank = static_cast<int64_t>(s.size());
    const int64_t n = rank + 3;
    Tensor& down = maker.add(name + ".lora_down.weight", {rank, n}, 0);
    Tensor& up = maker.add(name + ".lora_up.weight", {n, rank}, 0);
    for (int64_t r = 0; r < rank; ++r) {
        down.data<float>()[static_cast<size_t>(r * n + r)] = 1;
        up.data<float>()[static_cast<size_t>((r + 1) * rank + r)] = s[static_cast<size_t>(r)];
    }
    maker.set(name + ".alpha", alpha);
}

TEST(Analyze, EnergiesRanksAndLayersThatNeverMoved) {
    LoraMaker maker;
    add_layer(maker, kMid + "q", {3, 4, 0, 0}, 4);
    add_layer(maker, kMid + "k", {0, 0, 0, 0}, 4);
    add_layer(maker, kText, {2, 2, 2, 2}, 2);  // scale 0.5
    const LoraAnalysis out = analyze_lora(maker.read(), {.threads = 1});
    ASSERT_EQ(out.blocks.size(), 2u);
    EXPECT_EQ(out.blocks[0].block, -1);
    EXPECT_NEAR(out.blocks[0].energy, 4, 1e-6);
    EXPECT_NEAR(out.blocks[0].effective_rank, 4, 1e-6);
    EXPECT_EQ(out.blocks[1].block, 12);
    EXPECT_EQ(out.blocks[1].layers, 2);
    EXPECT_NEAR(out.blocks[1].energy, 25, 1e-5);
    const double p = 16.0 / 25;
    const double entropy = -p * std::log(p) - (1 - p) * std::log(1 - p);
    EXPECT_NEAR(out.blocks[1].effective_rank, std::exp(entropy), 1e-6);
    EXPECT_EQ(out.unmoved, std::vector<std::string>{kMid + "k"});
    EXPECT_NEAR(out.energy, 29, 1e-5);
}

// The suggested rank keeps what it says, one less would not, and the size is that of the file.
TEST(Analyze, SuggestsARankWithItsExactSize) {
    LoraMaker maker;
    add_layer(maker, kMid + "q", {10, 5, 1, 0.1F, 0.1F, 0}, 6);
    add_layer(maker, kText, {8, 2, 0.5F, 0, 0, 0}, 6);
    const LoraMaker::TemporaryFile in("in.safetensors");
    const LoraMaker::TemporaryFile out("out.safetensors");
    maker.save(in.path(), {{"ss_network_dim", "6"}});
    const LoraAnalysis told = analyze_lora(open_lora(in.path()));
    // Of 100 + 25 + 1 + 0.02 + 64 + 4 + 0.25: two ranks are 193 / 194.27.
    EXPECT_EQ(told.suggested_rank, 2);
    EXPECT_NEAR(told.kept_share, 193 / 194.27, 1e-4);
    const ResizeReport report =
        resize_lora({.model = in.path(), .save_to = out.path(), .new_rank = told.suggested_rank});
    EXPECT_EQ(report.bytes, told.suggested_bytes);
    // The resized file has the rank, and nothing smaller is suggested for all of it.
    const LoraAnalysis again = analyze_lora(open_lora(out.path()), {.kept_share = 0.9999999});
    EXPECT_EQ(again.layers[0].rank, 2);
    EXPECT_EQ(again.suggested_rank, 0);
}

TEST(Analyze, OtherKindsHaveEnergiesOnly) {
    LoraMaker maker;
    maker.add(kMid + "q.lokr_w1", {2, 2}, 1);
    maker.add(kMid + "q.lokr_w2", {3, 3}, 1);
    const LoraFile file = maker.read();
    const LoraAnalysis out = analyze_lora(file);
    EXPECT_NEAR(out.energy, squared_norm(weight_change(file.layers[0])), 1e-6);
    EXPECT_EQ(out.layers[0].effective_rank, 0);
    EXPECT_EQ(out.suggested_rank, 0);
    EXPECT_TRUE(out.unmoved.empty());
}

}  // namespace
}  // namespace lora::tools

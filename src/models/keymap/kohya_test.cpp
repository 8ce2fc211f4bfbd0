// Names, shapes, order and block numbers of the layers that take a LoRA, against sd-scripts' own.
#include "models/keymap/kohya.h"

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/json.h"

namespace lora::models {
namespace {

Json golden_modules() {
    const std::string path = std::string(LORA_SOURCE_DIR) + "/tests/golden/spec/modules.json";
    return parse_json(read_text_file(path), path);
}

std::string_view kind_name(LayerKind kind) {
    if (kind == LayerKind::kLinear) return "linear";
    return kind == LayerKind::kConv1x1 ? "conv1x1" : "conv3x3";
}

// Rows of the golden table: name, kind, shape, block, in LoRA, in LoRA with convolutions.
void expect_unet_rows(bool conv, const ModelInfo& info = sd15_info(), const char* table = "sd1") {
    const std::vector<LoraTarget> targets =
        list_lora_targets(info, {.text_encoder = false, .conv = conv});
    const Json golden = golden_modules();
    size_t i = 0;
    for (const Json& row : golden[table]["unet"]) {
        if (row[conv ? 5 : 4].get<int>() == 0) continue;
        ASSERT_LT(i, targets.size());
        const LoraTarget& target = targets[i++];
        EXPECT_EQ(target.lora_name, row[0].get<std::string>());
        EXPECT_EQ(kind_name(target.kind), row[1].get<std::string>()) << target.lora_name;
        EXPECT_EQ(target.weight_shape, Shape(row[2].get<std::vector<int64_t>>()));
        EXPECT_EQ(target.block_index, row[3].get<int>()) << target.lora_name;
        EXPECT_EQ(target.needs_conv_dim, row[4].get<int>() == 0) << target.lora_name;
    }
    EXPECT_EQ(i, targets.size());
    EXPECT_EQ(targets.size(), conv ? 278U : 192U);
}

TEST(LoraTargets, UNetAsSdScripts) { expect_unet_rows(false); }

TEST(LoraTargets, UNetWithConvolutionsAsSdScripts) { expect_unet_rows(true); }

// The projections are matrices in the file, but sd-scripts adapts 1x1 convolutions.
TEST(LoraTargets, UNetOfStableDiffusion2AsSdScripts) {
    expect_unet_rows(false, sd21_info(), "sd2_from_single_file");
    expect_unet_rows(true, sd21_info(), "sd2_from_single_file");
}

TEST(LoraTargets, TextEncoderOfStableDiffusion2HasTheNamesOfTheFirst) {
    const std::vector<LoraTarget> targets = list_lora_targets(sd21_info(), {.unet = false});
    const std::vector<LoraTarget> sd1 = list_lora_targets(sd15_info(), {.unet = false});
    ASSERT_EQ(targets.size(), 138U);
    for (size_t i = 0; i < sd1.size(); ++i) {
        EXPECT_EQ(targets[i].lora_name, sd1[i].lora_name);
        EXPECT_TRUE(targets[i].is_text_encoder);
    }
    EXPECT_EQ(targets[132].lora_name, "lora_te_text_model_encoder_layers_22_self_attn_k_proj");
    EXPECT_EQ(targets[132].weight_name,
              "cond_stage_model.model.transformer.resblocks.22.attn.k_proj.weight");
    EXPECT_EQ(targets[132].weight_shape, (Shape{1024, 1024}));
    EXPECT_EQ(targets[136].weight_shape, (Shape{4096, 1024}));
    EXPECT_EQ(targets[137].weight_name,
              "cond_stage_model.model.transformer.resblocks.22.mlp.c_proj.weight");
    EXPECT_EQ(targets[137].weight_shape, (Shape{1024, 4096}));
}

TEST(LoraTargets, TextEncoderFirst) {
    const std::vector<LoraTarget> targets = list_lora_targets(sd15_info());
    const Json golden = golden_modules();
    const Json& rows = golden["sd1"]["text_encoder"];
    ASSERT_EQ(rows.size(), 72U);
    ASSERT_EQ(targets.size(), 264U);
    for (size_t i = 0; i < rows.size(); ++i) {
        EXPECT_EQ(targets[i].lora_name, rows[i][0].get<std::string>());
        EXPECT_EQ(targets[i].weight_shape, Shape(rows[i][2].get<std::vector<int64_t>>()));
        EXPECT_TRUE(targets[i].is_text_encoder);
    }
    EXPECT_FALSE(targets[72].is_text_encoder);
}

}  // namespace
}  // namespace lora::models

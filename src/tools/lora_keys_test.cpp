#include "tools/lora_keys.h"

#include <gtest/gtest.h>

#include "models/keymap/kohya.h"

namespace lora::tools {
namespace {

// Every layer of SD 1.5: there and back, its block and its kernel.
TEST(LoraKeys, EveryLayerGoesBothWays) {
    const auto targets =
        models::list_lora_targets(models::sd15_info(), {.conv = true, .ends = true});
    ASSERT_EQ(targets.size(), 72u + 282u);
    for (const models::LoraTarget& target : targets) {
        for (const char* suffix : {"lora_down.weight", "lora_up.weight", "alpha"}) {
            const std::string name = diffusers_key({target.lora_name, suffix});
            const auto parsed = parse_lora_key(name);
            ASSERT_TRUE(parsed.has_value()) << name;
            EXPECT_EQ(parsed->key.layer, target.lora_name) << name;
            EXPECT_EQ(parsed->key.suffix, suffix) << name;
            EXPECT_EQ(parsed->style, KeyStyle::kDiffusers);
        }
        EXPECT_EQ(block_of_layer(target.lora_name), target.block_index) << target.lora_name;
        const bool conv3 = target.kind == models::LayerKind::kConv3x3;
        EXPECT_EQ(kernel_of_layer(target.lora_name), conv3 ? 3 : 1) << target.lora_name;
    }
}

TEST(LoraKeys, SpellsPathsAsDiffusers) {
    EXPECT_EQ(
        diffusers_path("lora_unet_down_blocks_0_attentions_1_transformer_blocks_0_attn2_to_out_0"),
        "unet.down_blocks.0.attentions.1.transformer_blocks.0.attn2.to_out.0");
    EXPECT_EQ(diffusers_path("lora_unet_up_blocks_1_upsamplers_0_conv"),
              "unet.up_blocks.1.upsamplers.0.conv");
    EXPECT_EQ(diffusers_path("lora_unet_mid_block_resnets_0_time_emb_proj"),
              "unet.mid_block.resnets.0.time_emb_proj");
    EXPECT_EQ(
        diffusers_path("lora_unet_up_blocks_3_attentions_0_transformer_blocks_0_ff_net_0_proj"),
        "unet.up_blocks.3.attentions.0.transformer_blocks.0.ff.net.0.proj");
    EXPECT_EQ(diffusers_path("lora_te_text_model_encoder_layers_11_self_attn_q_proj"),
              "text_encoder.text_model.encoder.layers.11.self_attn.q_proj");
}

TEST(LoraKeys, ReadsOlderSpellings) {
    const std::string to_q = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q";
    const std::string path = "mid_block.attentions.0.transformer_blocks.0.attn1.";
    const std::pair<std::string, std::string> cases[] = {
        {"unet." + path + "processor.to_q_lora.down.weight", to_q},
        {"unet." + path + "to_q.lora.down.weight", to_q},
        {path + "to_q.lora_linear_layer.down.weight", to_q},
        {"base_model.model." + path + "to_q.lora_A.default.weight", to_q},
        {to_q + ".lora_A.weight", to_q},
        {"unet." + path + "processor.to_out_lora.down.weight",
         "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_out_0"},
        {"text_encoder.text_model.encoder.layers.0.self_attn.to_out_lora.down.weight",
         "lora_te_text_model_encoder_layers_0_self_attn_out_proj"}};
    for (const auto& [name, layer] : cases) {
        const auto parsed = parse_lora_key(name);
        ASSERT_TRUE(parsed.has_value()) << name;
        EXPECT_EQ(parsed->key.layer, layer);
        EXPECT_EQ(parsed->key.suffix, "lora_down.weight");
    }
    for (const char* name : {"emb_params",
                             "transformer.blocks.0.attn.lora_A.weight",
                             "lora_unet_x",
                             "model.diffusion_model.out.2.weight",
                             ""}) {
        EXPECT_FALSE(parse_lora_key(name).has_value()) << name;
    }
}

TEST(LoraKeys, NamesBlocks) {
    EXPECT_EQ(block_name(-1), "text encoder");
    EXPECT_EQ(block_name(4), "IN04");
    EXPECT_EQ(block_name(12), "MID");
    EXPECT_EQ(block_name(24), "OUT11");
    // Numbers that no model has stay in range.
    EXPECT_EQ(block_of_layer("lora_unet_up_blocks_98_resnets_99_conv1"), 24);
    EXPECT_EQ(block_of_layer("lora_unet_down_blocks_x"), 0);
}

}  // namespace
}  // namespace lora::tools

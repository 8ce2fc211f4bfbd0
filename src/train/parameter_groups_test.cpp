#include "train/parameter_groups.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "train/block_args.h"

namespace lora::train {
namespace {

Network network_of(const std::vector<std::string>& names) {
    std::vector<LoraModule> modules;
    for (const std::string& name : names) {
        const bool unet = name.starts_with("lora_unet");
        modules.push_back(
            {name, Shape{3, 5}, unet ? NetworkPart::kUNet : NetworkPart::kTextEncoder, 2, 1.0});
    }
    return Network(std::move(modules));
}

const std::vector<std::string> kNames = {
    "lora_te_text_model_encoder_layers_0_mlp_fc1",
    "lora_unet_down_blocks_0_attentions_0_proj_in",
    "lora_unet_up_blocks_3_attentions_2_proj_in",
    "lora_unet_mid_block_attentions_0_proj_in",
};

TEST(ParameterGroups, BlockOfAModule) {
    EXPECT_EQ(block_of_module("lora_unet_down_blocks_0_attentions_0_proj_in"), 1);
    EXPECT_EQ(block_of_module("lora_unet_down_blocks_2_attentions_1_proj_in"), 8);
    EXPECT_EQ(block_of_module("lora_unet_down_blocks_0_downsamplers_0_conv"), 3);
    EXPECT_EQ(block_of_module("lora_unet_down_blocks_3_resnets_1_conv1"), 11);
    EXPECT_EQ(block_of_module("lora_unet_mid_block_resnets_1_conv1"), 12);
    EXPECT_EQ(block_of_module("lora_unet_up_blocks_0_resnets_0_conv1"), 13);
    EXPECT_EQ(block_of_module("lora_unet_up_blocks_1_upsamplers_0_conv"), 18);
    EXPECT_EQ(block_of_module("lora_unet_up_blocks_3_attentions_2_proj_in"), 24);
    EXPECT_EQ(block_of_module("lora_unet_conv_in"), 0);
    EXPECT_EQ(block_of_module("lora_unet_time_embedding_linear_1"), -1);
}

TEST(ParameterGroups, OneAPart) {
    const ParameterGroups groups = make_parameter_groups(network_of(kNames));
    ASSERT_EQ(groups.groups.size(), 2U);
    EXPECT_EQ(groups.groups[0].name, "textencoder");
    EXPECT_EQ(groups.groups[1].name, "unet");
    EXPECT_EQ(groups.of_entry, (std::vector<int>{0, 0, 1, 1, 1, 1, 1, 1}));
}

// Text encoder, down, up, mid; lora_up after its lora_down.
TEST(ParameterGroups, BlocksAndLoraPlus) {
    const GroupOptions options = read_block_args({{"down_lr_weight", "1,0.5,1,1,1,1,1,1,1,1,1,1"},
                                                  {"mid_lr_weight", "0.25"},
                                                  {"loraplus_unet_lr_ratio", "16"}})
                                     .groups;
    const ParameterGroups groups = make_parameter_groups(network_of(kNames), options);
    std::vector<std::string> names;
    std::vector<double> scales;
    for (const ParameterGroup& group : groups.groups) {
        names.push_back(group.name);
        scales.push_back(group.scale);
    }
    EXPECT_EQ(names,
              (std::vector<std::string>{"textencoder",
                                        "unet_block1",
                                        "unet_block1 plus",
                                        "unet_block24",
                                        "unet_block24 plus",
                                        "unet_block12",
                                        "unet_block12 plus"}));
    EXPECT_EQ(scales, (std::vector<double>{1, 0.5, 8, 1, 16, 0.25, 4}));
    EXPECT_EQ(groups.of_entry, (std::vector<int>{0, 0, 1, 2, 3, 4, 5, 6}));
}

TEST(ParameterGroups, PresetsAndLists) {
    const auto weights = [](const std::string& down, double threshold = 0) {
        return *block_weights({.down_lr_weight = down,
                               .mid_lr_weight = "",
                               .up_lr_weight = "",
                               .block_lr_zero_threshold = threshold});
    };
    EXPECT_NEAR(weights("sine")[11], 1, 1e-12);
    EXPECT_EQ(weights("sine")[0], 0);
    EXPECT_NEAR(weights("cosine+0.5")[0], 1.5, 1e-12);
    EXPECT_NEAR(weights("linear")[3], 3.0 / 11, 1e-12);
    EXPECT_NEAR(weights("reverse_linear+.25")[11], 0.25, 1e-12);
    EXPECT_EQ(weights("zeros")[5], 0);
    EXPECT_EQ(weights("linear", 0.3)[3], 0);  // weights up to the threshold become 0
    EXPECT_EQ(weights("0,,0.5")[1], 0);       // an empty entry
    EXPECT_EQ(weights("0,,0.5")[3], 1);       // a short list goes on with 1
    EXPECT_EQ(weights("0,0")[12], 1);         // mid and up were not named
    EXPECT_FALSE(block_weights({}).has_value());
    EXPECT_THROW((void)weights("sinus"), Error);
    EXPECT_THROW((void)weights("1,x"), Error);
}

TEST(BlockArgs, NamesWhatItCannotRead) {
    EXPECT_EQ(read_block_args({{"conv_dim", "4"}}).groups.loraplus_unet_lr_ratio, 0);
    EXPECT_EQ(read_block_args({{"loraplus_lr_ratio", "4"}}).groups.loraplus_unet_lr_ratio, 4);
    const std::vector<std::pair<std::string, std::string>> wrong[] = {
        {{"block_dims", "1,2,3"}},
        {{"block_lr_zero_threshold", "x"}},
        {{"loraplus_lr_ratio", "1,2"}}};
    for (const auto& args : wrong) {
        try {
            (void)read_block_args(args);
            ADD_FAILURE() << args[0].first;
        } catch (const Error& error) {
            EXPECT_EQ(error.code(), ErrorCode::kConfig);
            EXPECT_NE(error.message().find(args[0].first), std::string::npos);
        }
    }
}

}  // namespace
}  // namespace lora::train

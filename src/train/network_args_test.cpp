// network_module and network_args: what they mean, and what is refused.
#include "train/network_args.h"

#include <functional>
#include <set>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "io/safetensors.h"
#include "train/lora_file.h"
#include "train/train_model.h"

namespace lora::train {
namespace {

using Pairs = std::vector<std::pair<std::string, std::string>>;

NetworkOptions lycoris(const Pairs& args) {
    NetworkOptions options;
    options.network_module = "lycoris.kohya";
    options.network_dim = 8;
    options.network_alpha = 4;
    options.network_args = args;
    return options;
}

size_t num_layers(const NetworkOptions& options) {
    return choose_layers(models::sd15_info(), read_network_args(options), options).size();
}

std::string refusal(const NetworkOptions& options) {
    try {
        (void)read_network_args(options);
    } catch (const Error& error) {
        return error.what();
    }
    return "";
}

// 72 layers of the text encoder; 192 of transformers, 86 beside them, 4 at the ends.
TEST(NetworkArgs, PresetsChooseLayers) {
    EXPECT_EQ(num_layers({}), 72U + 192U);
    NetworkOptions conv;
    conv.network_args = {{"conv_dim", "4"}};
    EXPECT_EQ(num_layers(conv), 72U + 278U);
    EXPECT_EQ(num_layers(lycoris({})), 72U + 282U);
    EXPECT_EQ(num_layers(lycoris({{"preset", "unet-only"}})), 282U);
    EXPECT_EQ(num_layers(lycoris({{"preset", "attn-mlp"}})), 72U + 192U);
    EXPECT_EQ(num_layers(lycoris({{"preset", "attn-only"}})), 48U + 128U);
    EXPECT_EQ(num_layers(lycoris({{"preset", "unet-transformer-only"}})), 192U);
    EXPECT_EQ(num_layers(lycoris({{"preset", "unet-convblock-only"}})), 86U);
    // Without the 3x3 layers: 44 of residual blocks, 6 of samplers, 2 at the ends.
    EXPECT_EQ(num_layers(lycoris({{"preset", "full-lin"}})), 72U + 282U - 52U);
    EXPECT_EQ(num_layers(lycoris({{"conv_dim", "0"}})), 72U + 282U - 52U);
    // to_k and to_v of 32 attentions and 16 feed-forward layers; k, v and fc2 of 12 layers.
    EXPECT_EQ(num_layers(lycoris({{"algo", "ia3"}})), 36U + 80U);
}

TEST(NetworkArgs, SizesOfLargeKernels) {
    const NetworkArgs same = read_network_args(lycoris({{"algo", "loha"}}));
    EXPECT_EQ(same.module.kind, nn::LoraKind::kLoha);
    EXPECT_EQ(same.conv_dim, 8);
    EXPECT_EQ(same.conv_alpha, 4);
    const NetworkArgs own = read_network_args(
        lycoris({{"conv_dim", "2"}, {"conv_alpha", "1"}, {"use_tucker", "False"}}));
    EXPECT_EQ(own.conv_dim, 2);
    EXPECT_EQ(own.conv_alpha, 1);
    EXPECT_FALSE(own.module.tucker);
    EXPECT_TRUE(read_network_args(lycoris({{"use_cp", "True"}})).module.tucker);
}

// "1,2,..." or "w,w,...": 25 numbers.
std::string by_block(const std::function<int64_t(int)>& value) {
    std::string text;
    for (int block = 0; block < kNumBlocks; ++block) {
        text += fmt::format("{}{}", block == 0 ? "" : ",", value(block));
    }
    return text;
}

// M48 to M50 and M52: a plain LoRA has layers in these blocks of the UNet alone.
const std::set<int> kPlainBlocks = {1, 2, 4, 5, 7, 8, 12, 16, 17, 18, 19, 20, 21, 22, 23, 24};

std::set<int> blocks_of(const NetworkOptions& options) {
    std::set<int> blocks;
    for (const models::LoraModule& module : choose_modules(models::sd15_info(), options)) {
        const bool is_text = module.target.is_text_encoder;
        if (!is_text) blocks.insert(block_of_module(module.target.lora_name));
    }
    return blocks;
}

TEST(NetworkArgs, ARateOfZeroRemovesTheBlock) {
    NetworkOptions plain;
    plain.network_dim = 4;
    EXPECT_EQ(blocks_of(plain), kPlainBlocks);
    const auto left = [&plain](const Pairs& args) {
        NetworkOptions options = plain;
        options.network_args = args;
        return blocks_of(options);
    };
    std::set<int> wanted = kPlainBlocks;
    for (const int block : {1, 5}) wanted.erase(block);
    EXPECT_EQ(left({{"down_lr_weight", "1,0,1,1,1,0,1,1,1,1,1,1"}}), wanted);
    wanted = kPlainBlocks;
    wanted.erase(12);
    EXPECT_EQ(left({{"mid_lr_weight", "0"}}), wanted);
    wanted = kPlainBlocks;
    for (const int block : {16, 24}) wanted.erase(block);  // the 4th and the 12th going up
    EXPECT_EQ(left({{"up_lr_weight", "1,1,1,0,1,1,1,1,1,1,1,0"}}), wanted);
}

// M51 to M53.
TEST(NetworkArgs, RanksAndAlphasByBlock) {
    NetworkOptions options;
    options.network_dim = 32;
    options.network_alpha = 16;
    options.network_args = {
        {"block_dims", by_block([](int block) { return block == 7 ? 0 : block + 1; })},
        {"block_alphas", by_block([](int block) { return 2 * block + 1; })}};
    for (const models::LoraModule& module : choose_modules(models::sd15_info(), options)) {
        const std::string& name = module.target.lora_name;
        const int block = block_of_module(name);
        const bool is_text = module.target.is_text_encoder;
        EXPECT_EQ(module.rank, is_text ? 32 : block + 1) << name;
        EXPECT_EQ(module.alpha, is_text ? 16 : 2 * block + 1) << name;
    }
    std::set<int> wanted = kPlainBlocks;
    wanted.erase(7);
    EXPECT_EQ(blocks_of(options), wanted);
    for (const char* key : {"block_dims", "block_alphas"}) {
        NetworkOptions wrong;
        wrong.network_args = {{key, "1,2,3"}};
        EXPECT_NE(refusal(wrong).find(fmt::format("{}: 3 numbers instead of 25", key)),
                  std::string::npos)
            << refusal(wrong);
    }
}

// M31, M63 and M64: what a file holds of alpha, and the scale that follows.
TEST(NetworkArgs, RankAlphaAndScaleOfEveryLayer) {
    NetworkOptions options = lycoris({{"conv_dim", "4"}, {"conv_alpha", "1"}});
    options.network_dim = 32;
    options.network_alpha = 16;
    int64_t num_large = 0;
    for (const models::LoraModule& module : choose_modules(models::sd15_info(), options)) {
        const bool large = module.target.kind == models::LayerKind::kConv3x3;
        num_large += large ? 1 : 0;
        EXPECT_EQ(module.rank, large ? 4 : 32) << module.target.lora_name;
        EXPECT_EQ(module.alpha, large ? 1 : 16) << module.target.lora_name;
        EXPECT_EQ(module.scale(), large ? 0.25 : 0.5) << module.target.lora_name;
    }
    EXPECT_EQ(num_large, 52);
    NetworkOptions unset;
    unset.network_dim = 8;
    unset.network_alpha = 1;
    EXPECT_EQ(choose_modules(models::sd15_info(), unset).front().scale(), 0.125);
}

// The file's alpha / rank is what other programs compute, so the root goes into alpha.
TEST(NetworkArgs, RankStabilisedScaleIsInAlpha) {
    NetworkOptions options = lycoris({{"rs_lora", "True"}, {"preset", "attn-only"}});
    options.network_dim = 16;
    const models::LoraModule first = choose_modules(models::sd15_info(), options).front();
    EXPECT_EQ(first.alpha, 16);
    EXPECT_EQ(first.scale(), 4 / 4.0);
}

// Test of network_dropout and its relatives in network_args.
TEST(NetworkArgs, DropoutsAndMagnitudes) {
    NetworkOptions options;
    options.network_dropout = 0.1;
    options.network_args = {
        {"rank_dropout", "0.2"}, {"module_dropout", "0.3"}, {"dora_wd", "True"}};
    const NetworkArgs args = read_network_args(options);
    EXPECT_EQ(args.dropout.elements, 0.1);
    EXPECT_EQ(args.dropout.rank, 0.2);
    EXPECT_EQ(args.dropout.module, 0.3);
    EXPECT_FALSE(args.dropout.on_output);
    const models::LoraModule module = choose_modules(models::sd15_info(), options).front();
    EXPECT_EQ(module.dropout.rank, 0.2);
    EXPECT_EQ(module.factors.back().suffix, "dora_scale");
    EXPECT_EQ(module.factors.back().shape, (Shape{768, 1}));
    const NetworkArgs own = read_network_args(
        lycoris({{"dropout", "0.4"}, {"weight_decompose", "1"}, {"wd_on_output", "True"}}));
    EXPECT_EQ(own.dropout.elements, 0.4);
    EXPECT_TRUE(own.dropout.on_output);
    EXPECT_TRUE(own.dora);
    EXPECT_NE(refusal(lycoris({{"rank_dropout", "1"}})).find("no chance below 1"),
              std::string::npos);
    EXPECT_NE(refusal(lycoris({{"wd_on_output", "False"}})).find("wd_on_output"),
              std::string::npos);
    EXPECT_NE(refusal(lycoris({{"algo", "ia3"}, {"dora_wd", "True"}})).find("no magnitudes"),
              std::string::npos);
}

// Requirement M144: dim 32 and conv 4 at full size, really saved. 42.1 and 84.2 MiB with Tucker
// cores, 45.5 without.
TEST(NetworkArgs, SizesOfFullModels) {
    const auto saved_mib = [](const Pairs& args) {
        NetworkOptions options = lycoris(args);
        options.network_dim = 32;
        options.network_alpha = 16;
        const models::ModelInfo info = models::sd15_info();
        const Network network = make_train_model(info, choose_modules(info, options), {}).network;
        const std::vector<float> values(static_cast<size_t>(network.num_elements()), 0.0F);
        const std::string path = ::testing::TempDir() + "size.safetensors";
        save_lora(path, network, values, DType::kF16, {});
        const size_t bytes = io::SafetensorsFile::open(path).data_section().size();
        remove_file_if_exists(path);
        return static_cast<double>(bytes) / (1 << 20);
    };
    EXPECT_NEAR(saved_mib({{"conv_dim", "4"}, {"use_tucker", "True"}}), 42.1, 0.06);
    EXPECT_NEAR(
        saved_mib({{"algo", "loha"}, {"conv_dim", "4"}, {"use_tucker", "True"}}), 84.2, 0.06);
    EXPECT_NEAR(saved_mib({{"conv_dim", "4"}}), 45.5, 0.06);
}

TEST(NetworkArgs, Refusals) {
    NetworkOptions other;
    other.network_module = "networks.oft";
    EXPECT_NE(refusal(other).find("networks.oft is not known"), std::string::npos);
    NetworkOptions plain;
    plain.network_args = {{"algo", "loha"}};
    EXPECT_NE(refusal(plain).find("algo"), std::string::npos);
    EXPECT_NE(refusal(lycoris({{"algo", "oft"}})).find("\"oft\""), std::string::npos);
    EXPECT_NE(refusal(lycoris({{"conv_dim", "many"}})).find("\"many\""), std::string::npos);
    EXPECT_NE(refusal(lycoris({{"conv_dim", "1.5"}})).find("whole"), std::string::npos);
    EXPECT_NE(refusal(lycoris({{"use_tucker", "maybe"}})).find("\"maybe\""), std::string::npos);
    EXPECT_NE(refusal(lycoris({{"color", "red"}})).find("color"), std::string::npos);
}

}  // namespace
}  // namespace lora::train

// network_module and network_args: what they mean, and what is refused.
#include "train/network_args.h"

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

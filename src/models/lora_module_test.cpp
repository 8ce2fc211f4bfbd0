// Factors of every kind of module: shapes as LyCORIS stores them, and the round trip through a
// file.
#include "models/lora_module.h"

#include <gtest/gtest.h>

#include "io/safetensors.h"
#include "models/lora_file_weights.h"

namespace lora::models {
namespace {

using nn::LoraKind;

LoraTarget layer(const Shape& weight) {
    LoraTarget target;
    target.lora_name = "lora_unet_x";
    target.weight_name = "x.weight";
    target.weight_shape = weight;
    return target;
}

std::string text(const LoraModule& module) {
    std::string out;
    for (const nn::LoraFactor& factor : module.factors) {
        out += (out.empty() ? "" : " ") + factor.suffix + factor.shape.to_string();
    }
    return out;
}

void expect_sizes(int64_t size, int64_t factor, int64_t m, int64_t n) {
    const Factorization f = factorize(size, factor);
    EXPECT_EQ(f.m, m) << size << " by " << factor;
    EXPECT_EQ(f.n, n) << size << " by " << factor;
}

TEST(LoraModule, FactorizationIsAsSquareAsItMayBe) {
    expect_sizes(320, -1, 16, 20);
    expect_sizes(360, -1, 18, 20);
    expect_sizes(1280, -1, 32, 40);
    expect_sizes(250, 4, 2, 125);
    expect_sizes(320, 8, 8, 40);
    expect_sizes(64, 32, 2, 32);  // sorted
    expect_sizes(7, -1, 1, 7);
    expect_sizes(1, -1, 1, 1);
}

TEST(LoraModule, LoraAndLocon) {
    EXPECT_EQ(text(make_lora_module(layer({8, 4}), 2, 1)),
              "lora_down.weight[2, 4] lora_up.weight[8, 2]");
    EXPECT_EQ(text(make_lora_module(layer({8, 4, 1, 1}), 2, 1, {.tucker = true})),
              "lora_down.weight[2, 4, 1, 1] lora_up.weight[8, 2, 1, 1]");
    EXPECT_EQ(text(make_lora_module(layer({8, 4, 3, 3}), 2, 1)),
              "lora_down.weight[2, 4, 3, 3] lora_up.weight[8, 2, 1, 1]");
    EXPECT_EQ(
        text(make_lora_module(layer({8, 4, 3, 3}), 2, 1, {.tucker = true})),
        "lora_down.weight[2, 4, 1, 1] lora_mid.weight[2, 2, 3, 3] lora_up.weight[8, 2, 1, 1]");
}

TEST(LoraModule, Loha) {
    EXPECT_EQ(text(make_lora_module(layer({8, 4, 3, 3}), 2, 1, {.kind = LoraKind::kLoha})),
              "hada_w1_a[8, 2] hada_w1_b[2, 36] hada_w2_a[8, 2] hada_w2_b[2, 36]");
    EXPECT_EQ(text(make_lora_module(
                  layer({8, 4, 3, 3}), 2, 1, {.kind = LoraKind::kLoha, .tucker = true})),
              "hada_t1[2, 2, 3, 3] hada_w1_a[2, 8] hada_w1_b[2, 4] "
              "hada_t2[2, 2, 3, 3] hada_w2_a[2, 8] hada_w2_b[2, 4]");
}

TEST(LoraModule, LokrSplitsWhatPays) {
    LoraModuleOptions options{.kind = LoraKind::kLokr};
    const LoraModule split = make_lora_module(layer({320, 320}), 2, 1, options);
    EXPECT_EQ(text(split), "lokr_w1[16, 16] lokr_w2_a[20, 2] lokr_w2_b[2, 20]");
    EXPECT_EQ(split.scale(), 0.5);
    // A rank of half of w2 or more: both whole, so alpha is the rank.
    const LoraModule whole = make_lora_module(layer({320, 320, 3, 3}), 10, 1, options);
    EXPECT_EQ(text(whole), "lokr_w1[16, 16] lokr_w2[20, 20, 3, 3]");
    EXPECT_EQ(whole.scale(), 1);
    options.decompose_both = true;
    options.tucker = true;
    EXPECT_EQ(text(make_lora_module(layer({320, 320, 3, 3}), 2, 1, options)),
              "lokr_w1_a[16, 2] lokr_w1_b[2, 16] lokr_t2[2, 2, 3, 3] lokr_w2_a[2, 20] "
              "lokr_w2_b[2, 20]");
}

TEST(LoraModule, Ia3ScalesOutputsOrInputs) {
    LoraModuleOptions options{.kind = LoraKind::kIa3};
    EXPECT_EQ(text(make_lora_module(layer({8, 4}), 1, 1, options)), "weight[8]");
    options.on_input = true;
    EXPECT_EQ(text(make_lora_module(layer({8, 4, 3, 3}), 1, 1, options)), "weight[1, 4, 1, 1]");
}

// Every kind, written as its factors say and read back.
TEST(LoraModule, FilesOfEveryKindAreRead) {
    const ModelInfo info = sd15_info();
    const LoraTargetOptions all{.conv = true, .ends = true};
    const LoraTarget conv = list_lora_targets(info, all).back();  // conv_out
    ASSERT_EQ(conv.lora_name, "lora_unet_conv_out");
    const std::vector<LoraModuleOptions> kinds = {
        {},
        {.tucker = true},
        {.kind = LoraKind::kLoha},
        {.kind = LoraKind::kLoha, .tucker = true},
        {.kind = LoraKind::kLokr},
        {.kind = LoraKind::kLokr, .tucker = true, .decompose_both = true},
        {.kind = LoraKind::kLokr, .factor = 4},
        {.kind = LoraKind::kIa3},
        {.kind = LoraKind::kIa3, .on_input = true}};
    for (const LoraModuleOptions& options : kinds) {
        const LoraModule module = make_lora_module(conv, 2, 0.5, options);
        std::vector<Tensor> storage;
        storage.reserve(module.factors.size() + 1);
        std::vector<io::NamedTensor> tensors;
        const auto add = [&](const std::string& suffix, Tensor tensor) {
            storage.push_back(std::move(tensor));
            tensors.push_back({module.key(suffix), storage.back().view()});
        };
        for (const nn::LoraFactor& f : module.factors) add(f.suffix, Tensor(DType::kF32, f.shape));
        const float extra =
            options.kind == LoraKind::kIa3 ? (options.on_input ? 1.0F : 0.0F) : 0.5F;
        add(options.kind == LoraKind::kIa3 ? "on_input" : "alpha",
            Tensor::from_floats(Shape{}, {&extra, 1}));
        const std::string path = ::testing::TempDir() + "kinds.safetensors";
        io::write_safetensors(path, tensors, {});
        const LoraFileContent content = read_lora_file(io::SafetensorsFile::open(path), info);
        ASSERT_EQ(content.modules.size(), 1U) << text(module);
        EXPECT_EQ(text(content.modules[0]), text(module));
        EXPECT_EQ(content.modules[0].kind, options.kind);
        EXPECT_EQ(content.modules[0].scale(), module.scale()) << text(module);
        EXPECT_EQ(content.modules[0].on_input, options.on_input);
    }
}

}  // namespace
}  // namespace lora::models

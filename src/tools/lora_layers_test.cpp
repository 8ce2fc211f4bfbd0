#include "tools/lora_layers.h"

#include <cmath>
#include <span>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/attempt.h"
#include "tools/internal/lora_maker.h"

namespace lora::tools {
namespace {

using internal::LoraMaker;

const std::string kToQ = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q";
const std::string kConv = "lora_unet_mid_block_resnets_0_conv1";

// Element (i, j, ...) of a tensor.
double at(const Tensor& t, std::initializer_list<int64_t> place) {
    int64_t index = 0;
    int axis = 0;
    for (const int64_t i : place) index = index * t.shape()[axis++] + i;
    return t.data<float>()[static_cast<size_t>(index)];
}

void expect_change(const LoraLayer& layer, const std::function<double(int64_t, int64_t)>& wanted) {
    const Matrix change = weight_change(layer);
    ASSERT_EQ(change.rows, layer.out());
    ASSERT_EQ(change.cols, layer.columns());
    for (int64_t i = 0; i < change.rows; ++i) {
        for (int64_t j = 0; j < change.cols; ++j) {
            ASSERT_NEAR(change.at(i, j), wanted(i, j), 1e-6) << i << ", " << j;
        }
    }
}

TEST(LoraLayers, ALoraIsUpTimesDownTimesItsScale) {
    LoraMaker maker;
    const Tensor& down = maker.add(kToQ + ".lora_down.weight", {3, 7});
    const Tensor& up = maker.add(kToQ + ".lora_up.weight", {5, 3});
    maker.set(kToQ + ".alpha", 1.5F);
    const LoraFile file = maker.read();
    ASSERT_EQ(file.layers.size(), 1u);
    EXPECT_EQ(file.layers[0].rank, 3);
    EXPECT_EQ(file.layers[0].scale(), 0.5);
    expect_change(file.layers[0], [&](int64_t i, int64_t j) {
        double sum = 0;
        for (int64_t r = 0; r < 3; ++r) sum += at(up, {i, r}) * at(down, {r, j});
        return 0.5 * sum;
    });
}

TEST(LoraLayers, TheTuckerFormOfAConvolution) {
    LoraMaker maker;
    const Tensor& down = maker.add(kConv + ".lora_down.weight", {2, 4, 1, 1}, 1);
    const Tensor& mid = maker.add(kConv + ".lora_mid.weight", {2, 2, 3, 3}, 1);
    const Tensor& up = maker.add(kConv + ".lora_up.weight", {5, 2, 1, 1}, 1);
    const LoraFile file = maker.read();
    EXPECT_EQ(file.layers[0].weight_shape, (Shape{5, 4, 3, 3}));
    EXPECT_EQ(file.layers[0].alpha, 2);  // none in the file: the rank
    expect_change(file.layers[0], [&](int64_t i, int64_t j) {
        double sum = 0;
        for (int64_t r = 0; r < 2; ++r) {
            for (int64_t s = 0; s < 2; ++s) {
                sum += at(up, {i, r, 0, 0}) * at(mid, {r, s, j % 9 / 3, j % 3}) *
                       at(down, {s, j / 9, 0, 0});
            }
        }
        return sum;
    });
}

TEST(LoraLayers, LoHaPlainAndInTuckerForm) {
    LoraMaker maker;
    const Tensor& a1 = maker.add(kConv + ".hada_w1_a", {5, 2}, 1);
    const Tensor& b1 = maker.add(kConv + ".hada_w1_b", {2, 36}, 1);
    const Tensor& a2 = maker.add(kConv + ".hada_w2_a", {5, 2}, 1);
    const Tensor& b2 = maker.add(kConv + ".hada_w2_b", {2, 36}, 1);
    maker.set(kConv + ".alpha", 1);
    const LoraFile file = maker.read();
    EXPECT_EQ(file.layers[0].weight_shape, (Shape{5, 4, 3, 3}));
    const auto part = [](const Tensor& a, const Tensor& b, int64_t i, int64_t j) {
        return at(a, {i, 0}) * at(b, {0, j}) + at(a, {i, 1}) * at(b, {1, j});
    };
    expect_change(file.layers[0], [&](int64_t i, int64_t j) {
        return 0.5 * part(a1, b1, i, j) * part(a2, b2, i, j);
    });

    LoraMaker tucker;
    std::vector<const Tensor*> t;
    for (const std::string n : {"1", "2"}) {
        t.push_back(&tucker.add(fmt::format("{}.hada_t{}", kConv, n), {2, 2, 3, 3}, 1));
        t.push_back(&tucker.add(fmt::format("{}.hada_w{}_a", kConv, n), {2, 5}, 1));
        t.push_back(&tucker.add(fmt::format("{}.hada_w{}_b", kConv, n), {2, 4}, 1));
    }
    const auto z = [&](size_t first, int64_t i, int64_t j) {
        double sum = 0;
        for (int64_t m = 0; m < 2; ++m) {
            for (int64_t n = 0; n < 2; ++n) {
                sum += at(*t[first], {m, n, j % 9 / 3, j % 3}) * at(*t[first + 1], {m, i}) *
                       at(*t[first + 2], {n, j / 9});
            }
        }
        return sum;
    };
    const LoraFile other = tucker.read();
    expect_change(other.layers[0], [&](int64_t i, int64_t j) { return z(0, i, j) * z(3, i, j); });
}

TEST(LoraLayers, LoKrIsAKroneckerProduct) {
    LoraMaker maker;
    const Tensor& w1 = maker.add(kToQ + ".lokr_w1", {2, 3}, 1);
    const Tensor& w2a = maker.add(kToQ + ".lokr_w2_a", {4, 2}, 1);
    const Tensor& w2b = maker.add(kToQ + ".lokr_w2_b", {2, 5}, 1);
    maker.set(kToQ + ".alpha", 1);
    const LoraFile file = maker.read();
    EXPECT_EQ(file.layers[0].weight_shape, (Shape{8, 15}));
    expect_change(file.layers[0], [&](int64_t i, int64_t j) {
        const double w2 =
            at(w2a, {i % 4, 0}) * at(w2b, {0, j % 5}) + at(w2a, {i % 4, 1}) * at(w2b, {1, j % 5});
        return 0.5 * at(w1, {i / 4, j / 5}) * w2;
    });

    // Both whole: the alpha in the file says nothing.
    LoraMaker whole;
    const Tensor& v1 = whole.add(kConv + ".lokr_w1", {2, 3}, 1);
    const Tensor& v2 = whole.add(kConv + ".lokr_w2", {4, 5, 3, 3}, 1);
    whole.set(kConv + ".alpha", 100);
    const LoraFile other = whole.read();
    EXPECT_EQ(other.layers[0].weight_shape, (Shape{8, 15, 3, 3}));
    expect_change(other.layers[0], [&](int64_t i, int64_t j) {
        const int64_t in = j / 9;
        return at(v1, {i / 4, in / 5}) * at(v2, {i % 4, in % 5, j % 9 / 3, j % 3});
    });
}

TEST(LoraLayers, Ia3ScalesOutputsOrInputs) {
    LoraMaker maker;
    const Tensor& w = maker.add(kToQ + ".weight", {3}, 1);
    maker.set(kToQ + ".on_input", 0);
    const LoraFile file = maker.read();
    Matrix base(3, 2);
    base.values = {1, 2, 3, 4, 5, 6};
    Matrix change(3, 2);
    add_weight_change(file.layers[0], 2, base, change);
    for (int64_t i = 0; i < 3; ++i) {
        EXPECT_NEAR(change.at(i, 1), 2 * at(w, {i}) * base.at(i, 1), 1e-6);
    }
    Matrix wrong(4, 2);
    EXPECT_THROW(add_weight_change(file.layers[0], 1, wrong, wrong), Error);
    EXPECT_THROW(static_cast<void>(weight_change(file.layers[0])), Error);
}

TEST(LoraLayers, DiffusersNamesAndTheAlphaInTheirMetadata) {
    LoraMaker maker;
    const std::string path = "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q";
    maker.add(path + ".lora_A.weight", {4, 6});
    maker.add(path + ".lora_B.weight", {5, 4});
    EXPECT_EQ(maker.read().find(kToQ)->scale(), 1);
    const LoraFile file =
        maker.read({{"lora_adapter_metadata", R"({"unet.lora_alpha": 2, "unet.r": 4})"}});
    EXPECT_EQ(file.style, KeyStyle::kDiffusers);
    ASSERT_NE(file.find(kToQ), nullptr);
    EXPECT_EQ(file.find(kToQ)->scale(), 0.5);
}

struct Broken {
    const char* what;
    std::function<void(LoraMaker&)> make;
    std::string message;
};

// Hostile files: one clear error each, naming the layer.
void expect_refused(std::span<const Broken> cases) {
    for (const Broken& broken : cases) {
        LoraMaker maker;
        broken.make(maker);
        const auto error = attempt([&] { static_cast<void>(maker.read()); });
        ASSERT_TRUE(error.has_value()) << broken.what;
        EXPECT_EQ(error->code(), ErrorCode::kFormat) << broken.what;
        EXPECT_NE(error->message().find(broken.message), std::string::npos)
            << broken.what << ": " << error->message();
    }
}

TEST(LoraLayers, BrokenLayersAreRefusedByName) {
    const Broken cases[] = {
        {"no up",
         [](LoraMaker& m) {
             m.add(kToQ + ".lora_down.weight", {4, 8});
         },
         "lacks lora_up"},
        {"no down",
         [](LoraMaker& m) {
             m.add(kToQ + ".lora_up.weight", {8, 4});
         },
         "lacks lora_down"},
        {"ranks",
         [](LoraMaker& m) {
             m.add(kToQ + ".lora_down.weight", {4, 8});
             m.add(kToQ + ".lora_up.weight", {8, 3});
         },
         "do not fit each other"},
        {"rank 0",
         [](LoraMaker& m) {
             m.add(kToQ + ".lora_down.weight", {0, 8});
             m.add(kToQ + ".lora_up.weight", {8, 0});
         },
         "shape [0, 8]"},
        {"axes",
         [](LoraMaker& m) {
             m.add(kToQ + ".lora_down.weight", {4, 8, 2});
             m.add(kToQ + ".lora_up.weight", {8, 4});
         },
         "do not fit each other"},
        {"NaN alpha",
         [](LoraMaker& m) {
             m.lora(kToQ, {8, 8}, 4);
             m.set(kToQ + ".alpha", NAN);
         },
         "alpha that is not finite"},
        {"long alpha",
         [](LoraMaker& m) {
             m.lora(kToQ, {8, 8}, 4);
             m.add(kToQ + ".alpha", {2});
         },
         "no single number"},
        {"alpha alone", [](LoraMaker& m) { m.set(kToQ + ".alpha", 1); }, "nothing else"},
    };
    expect_refused(cases);
}

TEST(LoraLayers, OddAndHugeLayersAreRefusedByName) {
    const Broken cases[] = {
        {"DoRA",
         [](LoraMaker& m) {
             m.lora(kToQ, {8, 8}, 4);
             m.add(kToQ + ".dora_scale", {1, 8});
         },
         "is a DoRA"},
        {"two kinds",
         [](LoraMaker& m) {
             m.lora(kToQ, {8, 8}, 4);
             m.add(kToQ + ".hada_w1_a", {8, 4});
         },
         "two kinds"},
        {"another word",
         [](LoraMaker& m) {
             m.lora(kToQ, {8, 8}, 4);
             m.add(kToQ + ".lora_down.bias", {4});
         },
         "lora_down.bias"},
        {"huge",
         [](LoraMaker& m) {
             m.add(kToQ + ".lora_down.weight", {1, 60000});
             m.add(kToQ + ".lora_up.weight", {60000, 1});
         },
         "which no model has"},
        {"huge core",
         [](LoraMaker& m) {
             for (const std::string n : {"1", "2"}) {
                 m.add(fmt::format("{}.hada_t{}", kConv, n), {1, 30000, 1, 1});
                 m.add(fmt::format("{}.hada_w{}_a", kConv, n), {1, 30000});
                 m.add(fmt::format("{}.hada_w{}_b", kConv, n), {30000, 1});
             }
         },
         "do not fit each other"},
        {"lokr halves",
         [](LoraMaker& m) {
             m.add(kToQ + ".lokr_w1", {2, 2});
             m.add(kToQ + ".lokr_w2_a", {2, 2});
         },
         "lacks lokr_w2_b"},
        {"no LoRA",
         [](LoraMaker& m) {
             m.add("some.weight", {2, 2});
         },
         "holds no layers"},
        {"twice",
         [](LoraMaker& m) {
             m.lora(kToQ, {8, 8}, 4);
             m.add("unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q.lora_A.weight",
                   {4, 8});
         },
         "twice"},
    };
    expect_refused(cases);
}

TEST(LoraLayers, AFactorThatIsNotFinite) {
    LoraMaker maker;
    maker.lora(kToQ, {8, 8}, 4);
    const LoraFile good = maker.read();
    EXPECT_NO_THROW(static_cast<void>(weight_change(good.layers[0])));
    LoraMaker bad;
    bad.add(kToQ + ".lora_down.weight", {4, 8}).data<float>()[3] = INFINITY;
    bad.add(kToQ + ".lora_up.weight", {8, 4});
    const LoraFile file = bad.read();
    const auto error = attempt([&] { static_cast<void>(weight_change(file.layers[0])); });
    ASSERT_TRUE(error.has_value());
    EXPECT_EQ(error->code(), ErrorCode::kFormat);
    EXPECT_NE(error->message().find("lora_down.weight holds a value"), std::string::npos);
}

}  // namespace
}  // namespace lora::tools

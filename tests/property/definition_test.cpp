// The reference backend against PyTorch: it defines the numbers, so somebody else has to agree.
// Inputs are sin(phase + 0.7 i); expected values were printed by PyTorch 1.13 in fp64.
#include <cmath>

#include <gtest/gtest.h>

#include "backend/reference/reference_backend.h"
#include "support/graph_runner.h"

namespace lora::support {
namespace {

using ir::Layout;
using ir::OpKind;
using ir::ValueId;

class DefinitionTest : public testing::Test {
protected:
    ir::Graph graph_;
    ir::Builder b_{graph_};
    std::unordered_map<std::string, std::vector<double>> contents_;
    std::unique_ptr<backend::Backend> backend_ = reference::open({});
    std::unique_ptr<GraphRunner> runner_;

    ValueId value(std::vector<double> values, Shape shape) {
        const std::string name = "v" + std::to_string(contents_.size());
        contents_[name] = std::move(values);
        return b_.input(name, DType::kF64, std::move(shape));
    }

    ValueId wave(double phase, const Shape& shape, double scale = 1) {
        std::vector<double> values;
        for (int64_t i = 0; i < shape.num_elements(); ++i) {
            values.push_back(scale * std::sin(phase + 0.7 * static_cast<double>(i)));
        }
        return value(std::move(values), shape);
    }

    ValueId image(double phase, const Shape& shape) {
        return b_.reorder(wave(phase, shape), Layout::kChannelsLast);
    }

    void run() {
        runner_ = std::make_unique<GraphRunner>(
            *backend_, plan_without_reuse(graph_), std::unordered_map<std::string, Fill>{}, 1);
        for (const auto& [name, values] : contents_) runner_->write(name, values);
        runner_->run();
    }

    void expect(ValueId result, const std::vector<double>& expected) {
        if (b_.shape(result).num_axes() == 4) result = b_.reorder(result, Layout::kRowMajor);
        graph_.mark_output(result, "result");
        run();
        expect_values("result", expected, 1e-10);
    }

    void expect_values(std::string_view name, const std::vector<double>& expected, double bound) {
        const std::vector<double> actual = runner_->read(name);
        ASSERT_EQ(actual.size(), expected.size());
        for (size_t i = 0; i < actual.size(); ++i) EXPECT_NEAR(actual[i], expected[i], bound) << i;
    }
};

TEST_F(DefinitionTest, Conv2d) {
    expect(b_.conv2d(image(1, {1, 2, 3, 4}),
                     wave(2, {2, 2, 3, 3}),
                     {.bias = wave(3, {2}), .pad = {1, 1, 1, 1}}),
           {-2.18180543235, -1.04736198594, 1.38207727375,  1.61411185889,    3.25190160518,
            3.42658058559,  0.532909611952, -1.30899126163, -1.66983612137,   -2.93280744825,
            -1.48712232275, 0.396738463761, -2.87255742229, -1.79245031616,   0.663295832306,
            0.96053026094,  2.55583611465,  2.81615065512,  -0.0420261419997, -1.94230648766,
            -2.26536253318, -3.57530831605, -2.19142417556, -0.301911154255});
}

TEST_F(DefinitionTest, Conv2dWithStride) {
    expect(b_.conv2d(image(1, {1, 2, 3, 4}),
                     wave(2, {2, 2, 3, 3}),
                     {.bias = wave(3, {2}), .stride = 2, .pad = {1, 1, 1, 1}}),
           {-2.18180543235,
            1.38207727375,
            -1.66983612137,
            -1.48712232275,
            -2.87255742229,
            0.663295832306,
            -2.26536253318,
            -2.19142417556});
}

TEST_F(DefinitionTest, Conv2dPaddedAtTheEndOnly) {
    expect(b_.conv2d(image(1, {1, 2, 3, 4}),
                     wave(2, {2, 2, 3, 3}),
                     {.bias = wave(3, {2}), .stride = 2, .pad = {0, 0, 1, 1}}),
           {3.42658058559, -1.30899126163, 2.81615065512, -1.94230648766});
}

TEST_F(DefinitionTest, GroupNormWithSilu) {
    expect(b_.group_norm(image(1, {1, 4, 1, 3}),
                         {.gamma = wave(2, {4}),
                          .beta = wave(3, {4}),
                          .groups = 2,
                          .activation = ir::Activation::kSilu}),
           {0.70638619199,
            0.879967245744,
            0.526761475498,
            -0.212147554831,
            -0.266877495865,
            -0.277427344177,
            -0.194027298365,
            -0.234487887292,
            -0.266734102118,
            -0.266477495559,
            -0.254774483272,
            -0.276609568263});
}

TEST_F(DefinitionTest, LayerNorm) {
    expect(b_.layer_norm(wave(1, {2, 5}), {.gamma = wave(2, {5}), .beta = wave(3, {5})}),
           {0.834185606325,
            -0.0962764663231,
            -1.07512493076,
            -0.450173915447,
            1.20772446373,
            -0.846738160649,
            -0.936889710334,
            -0.893636909264,
            -1.53883407552,
            -1.97529703259});
}

TEST_F(DefinitionTest, Attention) {
    const ir::AttentionResult result =
        b_.attention(wave(1, {1, 3, 4}), wave(2, {1, 3, 4}), wave(3, {1, 3, 4}), {.heads = 2});
    graph_.mark_output(result.lse, "lse");
    expect(result.output,
           {0.438014387485,
            -0.123078982846,
            -0.230684316257,
            -0.321002891065,
            -0.248291753093,
            0.0942944770226,
            -0.351110343976,
            -0.388595290056,
            0.364294256268,
            -0.108411284495,
            -0.0667910882294,
            -0.139209214863});
    expect_values(
        "lse",
        {1.79237562186, 1.21216340547, 1.44323255704, 1.11497601753, 1.16030791201, 1.09255066299},
        1e-10);
}

TEST_F(DefinitionTest, CausalAttention) {
    const ir::AttentionResult result = b_.attention(
        wave(1, {1, 3, 4}), wave(2, {1, 3, 4}), wave(3, {1, 3, 4}), {.heads = 2, .causal = true});
    graph_.mark_output(result.lse, "lse");
    expect(result.output,
           {0.14112000806,
            -0.529836140908,
            -0.95160207389,
            -0.925814682328,
            -0.363484587022,
            0.0907590652763,
            -0.283224329529,
            -0.188700003355,
            0.364294256268,
            -0.108411284495,
            -0.0667910882294,
            -0.139209214863});
    expect_values("lse",
                  {0.840725206427,
                   1.10131808431,
                   1.44323255704,
                   -0.146111673206,
                   0.858794157831,
                   1.09255066299},
                  1e-10);
}

TEST_F(DefinitionTest, Silu) {
    expect(b_.activation(wave(1, {6}, 3), ir::Activation::kSilu),
           {2.33719147314,
            2.83050367709,
            1.79039639137,
            0.0662560979372,
            -0.252530200753,
            -0.148288835949});
}

TEST_F(DefinitionTest, Gelu) {
    expect(b_.activation(wave(1, {6}, 3), ir::Activation::kGelu),
           {2.50978502877,
            2.97063615575,
            1.9831009148,
            0.068562698412,
            -0.0609600751774,
            -0.00492890865951});
}

TEST_F(DefinitionTest, QuickGelu) {
    expect(b_.activation(wave(1, {6}, 3), ir::Activation::kQuickGelu),
           {2.4905036518,
            2.95629948816,
            1.96397424552,
            0.0689672542695,
            -0.0773183201642,
            -0.0197983494041});
}

TEST_F(DefinitionTest, Geglu) {
    expect(b_.geglu(wave(1, {1, 6}, 2)), {0.0746157448567, -0.268259169762, -0.0667891577789});
}

TEST_F(DefinitionTest, Upsample2x) {
    const double a = 0.841470984808;
    const double b = 0.991664810452;
    const double c = 0.675463180551;
    const double d = 0.0415806624333;
    expect(b_.upsample2x(image(1, {1, 1, 2, 2})), {a, a, b, b, a, a, b, b, c, c, d, d, c, c, d, d});
}

TEST_F(DefinitionTest, WeightedMse) {
    const ir::Builder::Loss loss =
        b_.weighted_mse(wave(1, {2, 3}), wave(2, {2, 3}), value({0.5, 2}, {2}));
    graph_.mark_output(loss.losses, "losses");
    expect(loss.loss, {0.419490737263});
    expect_values("losses", {0.396595627629, 0.320341830355}, 1e-10);
}

TEST_F(DefinitionTest, TimestepEmbedding) {
    expect(b_.timestep_embedding(value({3, 250}, {2}), 6, DType::kF64),
           {-0.9899924966,
            0.990320699136,
            0.999979112923,
            0.14112000806,
            0.13879810108,
            0.00646325907019,
            0.240988305285,
            0.571553482422,
            0.8584231825,
            -0.970528019542,
            -0.82056481568,
            0.512942140739});
}

// Two steps with torch.optim.AdamW(lr=0.1, betas=(0.9, 0.99), weight_decay=0.05).
TEST_F(DefinitionTest, AdamW) {
    const ValueId p = b_.state("p", {4});
    const ValueId g = b_.state("g", {4});
    const ValueId m = b_.state("m", {4});
    const ValueId v = b_.state("v", {4});
    const ValueId clip = b_.input("clip", DType::kF32, {});
    const ValueId schedule = b_.input("schedule", DType::kF32, {1, 4});
    const ValueId pieces = b_.input("pieces", DType::kI32, {1, 4});
    const ValueId none = ir::kNoValue;
    b_.node(OpKind::kUpdateStep,
            {p, g, m, v, none, none, none, clip, schedule, pieces, none},
            {.update = {.beta2 = 0.99, .weight_decay = 0.05}});
    contents_["pieces"] = {0, 4, 0, 0};
    run();
    const auto waves = [](double phase) {
        std::vector<double> values;
        values.reserve(4);
        for (int i = 0; i < 4; ++i) values.push_back(std::sin(phase + 0.7 * i));
        return values;
    };
    runner_->write("p", waves(1));
    for (const char* moment : {"m", "v"}) runner_->write(moment, std::vector<double>(4, 0.0));
    runner_->write("clip", std::vector{1.0});
    for (const int step : {1, 2}) {
        runner_->write("g", waves(1.0 + step));
        runner_->write("schedule",
                       std::vector{0.1, 1 - std::pow(0.9, step), 1 - std::pow(0.99, step), 0.0});
        runner_->run();
    }
    expect_values("p", {0.655779215417, 0.898140561353, 0.857291018424, 0.240769354448}, 1e-6);
}

}  // namespace
}  // namespace lora::support

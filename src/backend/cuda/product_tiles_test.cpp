// Every kernel that may compute a product computes the same one, split sums included. Needs a card.
#include <cmath>

#include <gtest/gtest.h>

#include "backend/cuda/cuda_backend.h"
#include "backend/cuda/internal/executable.h"
#include "base/rng.h"
#include "ir/builder.h"

namespace lora::cuda {
namespace {

using ir::Builder;
using ir::OpKind;
using ir::ValueId;

// Largest difference between two of them, in units of the largest element: each rounds its sum
// once.
constexpr double kBound = 1.0 / 128;

class ProductTilesTest : public testing::Test {
protected:
    void SetUp() override {
        const std::string reason = why_unavailable();
        if (!reason.empty()) GTEST_SKIP() << reason;
        session_.card = std::make_shared<Card>();
        session_.arena = std::make_shared<Arena>(session_.card);
        session_.parameter_copies = std::make_shared<Arena>(session_.card);
        session_.gradient_workspace = std::make_shared<GradientWorkspace>(session_.card);
        session_.products = std::make_shared<Products>();
    }

    ValueId input(const std::string& name, const Shape& shape) {
        const ValueId id = b_.input(name, DType::kBF16, shape);
        const auto count = static_cast<size_t>(shape.num_elements());
        Rng rng(7, RngStream::kTest, bindings_.size());
        std::vector<float> values(count);
        for (float& x : values) x = 0.3F * rng.normal();
        std::vector<uint16_t> rounded(count);
        convert_elements(DType::kF32,
                         std::as_bytes(std::span(values)),
                         DType::kBF16,
                         std::as_writable_bytes(std::span(rounded)));
        auto buffer = std::make_shared<CudaBuffer>(session_.card, 2 * count);
        buffer->write(0, std::as_bytes(std::span(rounded)));
        bindings_[name] = {.weight = nullptr, .buffer = buffer, .offset_bytes = 0};
        return id;
    }
    ValueId image(const std::string& name, int64_t n, int64_t c, int64_t h, int64_t w) {
        return b_.tokens_to_image(input(name, {n, h * w, c}), h, w);
    }

    std::vector<float> run(const plan::MemoryPlan& plan, const std::string& output) {
        const auto executable = make_executable(session_, plan, bindings_);
        executable->run();
        const ir::Value& value = plan.graph.value(plan.graph.at(output));
        std::vector<std::byte> bytes(value.num_bytes());
        executable->read_output(output, bytes);
        std::vector<float> values(static_cast<size_t>(value.shape.num_elements()));
        convert_elements(
            value.dtype, bytes, DType::kF32, std::as_writable_bytes(std::span(values)));
        return values;
    }

    // Runs the graph with every kernel that its last product can take.
    void compare(const std::vector<std::string>& outputs) {
        const auto backend = open({.autotune = false});
        const plan::MemoryPlan plan = plan::make_plan(graph_, backend->capabilities());
        const DeviceInfo& info = session_.card->info();
        const ProductShape shape = product_shape(info, plan.graph, plan.graph.nodes().back());
        const std::vector<ProductConfig> all = candidate_configs(info, shape);
        EXPECT_GT(all.size(), 4U);
        for (const std::string& output : outputs) {
            std::vector<float> expected;
            for (const ProductConfig& config : all) {
                session_.products->set(shape, config);
                const std::vector<float> actual = run(plan, output);
                if (expected.empty()) expected = actual;
                double largest = 0;
                double difference = 0;
                for (size_t i = 0; i < actual.size(); ++i) {
                    largest = std::max(largest, std::abs(static_cast<double>(expected[i])));
                    difference = std::max(difference,
                                          std::abs(static_cast<double>(actual[i]) - expected[i]));
                }
                EXPECT_LE(difference, kBound * largest)
                    << output << " by " << product_tile_name(config.tile) << " / " << config.splits;
            }
        }
    }

    Session session_;
    backend::Bindings bindings_;
    ir::Graph graph_;
    Builder b_{graph_};
};

TEST_F(ProductTilesTest, Linear) {
    const ValueId y =
        b_.linear(input("x", {3, 101, 520}),
                  input("w", {344, 520}),
                  {.bias = input("bias", {344}), .addend = input("add", {3, 101, 344})});
    graph_.mark_output(y, "y");
    compare({"y"});
}

TEST_F(ProductTilesTest, LinearTransposed) {
    const ValueId y =
        b_.linear(input("x", {303, 520}), input("w", {520, 344}), {.transpose_weight = true});
    graph_.mark_output(y, "y");
    compare({"y"});
}

// Both products of a LoRA beside the frozen one.
TEST_F(ProductTilesTest, Lora) {
    for (const bool transposed : {false, true}) {
        SCOPED_TRACE(transposed);
        graph_ = {};
        bindings_.clear();
        const auto matrix = [&](const std::string& name, int64_t out, int64_t in) {
            return input(name, transposed ? Shape{in, out} : Shape{out, in});
        };
        const ValueId x = input("x", {303, 520});
        const ValueId main = b_.linear(x, matrix("w", 344, 520), {.transpose_weight = transposed});
        const ValueId mid =
            b_.linear(x, matrix("down", 24, 520), {.alpha = 1.5, .transpose_weight = transposed});
        const ValueId y =
            b_.linear(mid,
                      matrix("up", 344, 24),
                      {.addend = main, .alpha = 0.25, .transpose_weight = transposed});
        graph_.mark_output(y, "y");
        graph_.mark_output(mid, "mid");
        compare({"y", "mid"});
    }
}

TEST_F(ProductTilesTest, Convolution) {
    const ValueId y = b_.conv2d(image("x", 2, 128, 11, 9),
                                input("w", {328, 128, 3, 3}),
                                {.bias = input("bias", {328}), .pad = {1, 1, 1, 1}});
    graph_.mark_output(y, "y");
    compare({"y"});
}

TEST_F(ProductTilesTest, ConvolutionOfStrideTwo) {
    const ValueId y = b_.conv2d(
        image("x", 2, 64, 13, 10), input("w", {168, 64, 3, 3}), {.stride = 2, .pad = {0, 0, 1, 1}});
    graph_.mark_output(y, "y");
    compare({"y"});
}

TEST_F(ProductTilesTest, ConvolutionBackward) {
    for (const int64_t stride : {1, 2}) {
        SCOPED_TRACE(stride);
        graph_ = {};
        bindings_.clear();
        ir::Attributes attrs;
        attrs.stride = stride;
        attrs.pad = {1, 1, 1, 1};
        attrs.height = 11;
        attrs.width = 9;
        const int64_t height = stride == 1 ? 11 : 6;
        const int64_t width = stride == 1 ? 9 : 5;
        const ValueId dx = b_.node(
            OpKind::kConv2dBackwardInput,
            {image("dy", 2, 128, height, width), input("w", {128, 168, 3, 3}), ir::kNoValue},
            attrs)[0];
        graph_.mark_output(dx, "dx");
        compare({"dx"});
    }
}

}  // namespace
}  // namespace lora::cuda

#include <array>
#include <cmath>

#include <gtest/gtest.h>

#include "backend/reference/reference_backend.h"
#include "base/error.h"
#include "ir/builder.h"

namespace lora::reference {
namespace {

class ReferenceBackendTest : public testing::Test {
protected:
    std::unique_ptr<backend::Backend> backend_ = open({});
    ir::Graph graph_;
    ir::Builder b_{graph_};
    backend::Bindings bindings_;

    std::shared_ptr<backend::Buffer> bind(const std::string& name,
                                          const std::vector<float>& values) {
        auto buffer = backend_->make_buffer(values.size() * sizeof(float));
        buffer->write(0, std::as_bytes(std::span(values)));
        bindings_[name] = {nullptr, buffer, 0};
        return buffer;
    }

    std::unique_ptr<backend::Executable> compile() {
        return backend_->compile(plan::make_plan(graph_, backend_->capabilities()), bindings_);
    }

    static std::vector<float> output(const backend::Executable& executable,
                                     std::string_view name,
                                     size_t count) {
        std::vector<float> values(count);
        executable.read_output(name, std::as_writable_bytes(std::span(values)));
        return values;
    }
};

TEST_F(ReferenceBackendTest, RunsALinearLayerWithBiasAndAddend) {
    const ir::ValueId x = b_.input("x", DType::kF32, {2, 2});
    const ir::ValueId w = b_.weight("w", DType::kF32, {1, 2});
    const ir::ValueId bias = b_.weight("bias", DType::kF32, {1});
    graph_.mark_output(b_.linear(x, w, {.bias = bias, .alpha = 2}), "y");
    bind("x", {1, 2, 3, 4});
    const auto source =
        std::make_shared<Tensor>(Tensor::from_floats({1, 2}, std::vector{10.F, 1.F}));
    bindings_["w"] = {backend_->make_weight(source->view(), source, DType::kF32), nullptr, 0};
    const auto offset = std::make_shared<Tensor>(Tensor::from_floats({1}, std::vector{0.5F}));
    bindings_["bias"] = {backend_->make_weight(offset->view(), offset, DType::kF32), nullptr, 0};
    const auto executable = compile();
    executable->run();
    EXPECT_EQ(output(*executable, "y", 2), (std::vector{24.5F, 68.5F}));
}

TEST_F(ReferenceBackendTest, WeightIsConvertedToTheTypeOfItsValue) {
    const ir::ValueId w = b_.weight("w", DType::kBF16, {3});
    graph_.mark_output(b_.cast(w, DType::kF32), "y");
    const auto source =
        std::make_shared<Tensor>(Tensor::from_floats({3}, std::vector{1.F, 1.00390625F, -3.F}));
    bindings_["w"] = {backend_->make_weight(source->view(), source, DType::kBF16), nullptr, 0};
    const auto executable = compile();
    executable->run();
    EXPECT_EQ(output(*executable, "y", 3), (std::vector{1.F, 1.F, -3.F}));
    EXPECT_EQ(backend_->persistent_bytes(), 6U);
}

TEST_F(ReferenceBackendTest, AdamWMatchesTheFormula) {
    const ir::ValueId p = b_.param("p", {1});
    const ir::ValueId g = b_.state("g", {1});
    const ir::ValueId m = b_.state("m", {1});
    const ir::ValueId v = b_.state("v", {1});
    const ir::ValueId sum = b_.node(ir::OpKind::kSumSquares, {g, ir::kNoValue})[0];
    const ir::ValueId clip = b_.node(ir::OpKind::kClipCoefficient, {sum}, {.alpha = 1})[0];
    const ir::ValueId schedule = b_.input("schedule", DType::kF32, {1, 4});
    const ir::ValueId pieces = b_.input("pieces", DType::kI32, {1, 4});
    const ir::ValueId none = ir::kNoValue;
    b_.node(ir::OpKind::kUpdateStep,
            {p, g, m, v, none, none, none, clip, schedule, pieces, none},
            {.update = {.weight_decay = 0.1}});
    const std::array<int32_t, 4> piece = {0, 1, 0, 0};
    const auto table = std::shared_ptr<backend::Buffer>(backend_->make_buffer(sizeof(piece)));
    table->write(0, std::as_bytes(std::span(piece)));
    bindings_["pieces"] = {nullptr, table, 0};
    const auto p_buffer = bind("p", {2});
    bind("g", {4});
    const auto m_buffer = bind("m", {0});
    bind("v", {0});
    bind("schedule", {0.5F, 0.1F, 0.001F, 0});
    const auto executable = compile();
    executable->run();
    float result = 0;
    p_buffer->read(0, std::as_writable_bytes(std::span(&result, 1)));
    // The clipped gradient is 1, so both corrected moments are 1 and the step is lr.
    EXPECT_NEAR(result, 2 * (1 - 0.05) - 0.5, 1e-5);
    m_buffer->read(0, std::as_writable_bytes(std::span(&result, 1)));
    EXPECT_NEAR(result, 0.1, 1e-6);
}

TEST_F(ReferenceBackendTest, TimestepEmbeddingPutsCosinesFirst) {
    const ir::ValueId t = b_.input("t", DType::kF32, {1});
    graph_.mark_output(b_.timestep_embedding(t, 4, DType::kF32), "y");
    bind("t", {3});
    const auto executable = compile();
    executable->run();
    const std::vector<float> y = output(*executable, "y", 4);
    EXPECT_NEAR(y[0], std::cos(3.0), 1e-6);
    EXPECT_NEAR(y[1], std::cos(0.03), 1e-6);
    EXPECT_NEAR(y[2], std::sin(3.0), 1e-6);
    EXPECT_NEAR(y[3], std::sin(0.03), 1e-6);
}

TEST_F(ReferenceBackendTest, ExecutablesShareOneArena) {
    const ir::ValueId x = b_.input("x", DType::kF32, {1});
    graph_.mark_output(b_.scale(x, 3), "y");
    bind("x", {2});
    const auto small = compile();
    ir::Graph large_graph;
    ir::Builder large_builder(large_graph);
    large_graph.mark_output(
        large_builder.scale(large_builder.input("large", DType::kF32, {100000}), 1), "y");
    const auto buffer = backend_->make_buffer(400000);
    const auto large = backend_->compile(plan::make_plan(large_graph, backend_->capabilities()),
                                         {{"large", {nullptr, buffer, 0}}});
    large->run();
    small->run();
    EXPECT_EQ(output(*small, "y", 1), std::vector{6.F});
}

TEST_F(ReferenceBackendTest, RefusesMissingAndShortBindings) {
    const ir::ValueId x = b_.input("x", DType::kF32, {4});
    graph_.mark_output(b_.scale(x, 3), "y");
    EXPECT_THROW(static_cast<void>(compile()), Error);
    bind("x", {1, 2, 3});
    EXPECT_THROW(static_cast<void>(compile()), Error);
    bind("x", {1, 2, 3, 4});
    EXPECT_NO_THROW(static_cast<void>(compile()));
}

TEST_F(ReferenceBackendTest, TracingTimesEachNodeThatRuns) {
    const ir::ValueId x = b_.input("x", DType::kF32, {4});
    graph_.mark_output(b_.scale(b_.reshape(x, {2, 2}), 3), "y");
    bind("x", {1, 2, 3, 4});
    const auto executable = compile();
    executable->run();
    EXPECT_TRUE(executable->node_times().empty());
    executable->set_tracing(true);
    executable->run();
    EXPECT_EQ(executable->node_times().size(), 1U);
}

}  // namespace
}  // namespace lora::reference

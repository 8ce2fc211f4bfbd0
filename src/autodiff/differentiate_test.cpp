// What differentiate() adds to a graph, and what it leaves out. The numbers are checked by
// tests/property/gradcheck_test.cpp.
#include "autodiff/differentiate.h"

#include <algorithm>
#include <map>

#include <gtest/gtest.h>

#include "base/error.h"
#include "ir/verify.h"

namespace lora::autodiff {
namespace {

using ir::OpKind;
using ir::ValueId;

class DifferentiateTest : public testing::Test {
protected:
    ir::Graph graph_;
    ir::Builder b_{graph_};
    size_t num_forward_ = 0;

    ValueId input(const std::string& name, Shape shape) {
        return b_.input(name, DType::kF32, std::move(shape));
    }

    std::vector<Gradient> differentiate_mse(ValueId y, const DifferentiateOptions& options = {}) {
        if (b_.shape(y).num_axes() == 4) y = b_.reorder(y, ir::Layout::kRowMajor);
        const ValueId target = input("target", b_.shape(y));
        const ValueId weights = input("weights", {b_.shape(y)[0]});
        const ValueId loss = b_.weighted_mse(y, target, weights).loss;
        num_forward_ = graph_.nodes().size();
        std::vector<Gradient> gradients = differentiate(b_, loss, options);
        ir::verify(graph_);
        return gradients;
    }

    // Operators that differentiate() added, by kind.
    std::map<OpKind, int> backward_ops() const {
        std::map<OpKind, int> counts;
        for (size_t i = num_forward_; i < graph_.nodes().size(); ++i)
            ++counts[graph_.nodes()[i].op];
        return counts;
    }

    bool backward_reads(ValueId id) const {
        for (size_t i = num_forward_; i < graph_.nodes().size(); ++i) {
            const std::vector<ValueId>& inputs = graph_.nodes()[i].inputs;
            if (std::find(inputs.begin(), inputs.end(), id) != inputs.end()) return true;
        }
        return false;
    }

    std::vector<std::string> names_of(const std::vector<Gradient>& gradients) const {
        std::vector<std::string> names;
        names.reserve(gradients.size());
        for (const Gradient& gradient : gradients)
            names.push_back(graph_.value(gradient.param).name);
        std::sort(names.begin(), names.end());
        return names;
    }
};

// x -> LoRA linear -> frozen linear -> frozen linear -> loss.
TEST_F(DifferentiateTest, FrozenLayersPassGradientsWithoutTheirInputs) {
    const ValueId x = input("x", {3, 8});
    const ValueId frozen = b_.linear(x, b_.weight("w0", DType::kF32, {8, 8}));
    const ValueId down = b_.linear(x, b_.param("down", {2, 8}));
    const ValueId h = b_.linear(down, b_.param("up", {8, 2}), {.addend = frozen});
    const ValueId h2 = b_.linear(h, b_.weight("w1", DType::kF32, {8, 8}));
    const ValueId y = b_.linear(h2, b_.weight("w2", DType::kF32, {8, 8}));
    const std::vector<Gradient> gradients = differentiate_mse(y);
    EXPECT_EQ(names_of(gradients), (std::vector<std::string>{"down", "up"}));
    // Two frozen layers and `up` pass a gradient down; nothing goes into x or into w0.
    EXPECT_EQ(backward_ops(),
              (std::map<OpKind, int>{{OpKind::kWeightedLossBackward, 1},
                                     {OpKind::kLinear, 3},
                                     {OpKind::kLinearBackwardWeight, 2}}));
    EXPECT_TRUE(backward_reads(x));  // by d_down alone
    EXPECT_FALSE(backward_reads(h));
    EXPECT_FALSE(backward_reads(h2));
    EXPECT_FALSE(backward_reads(frozen));
}

TEST_F(DifferentiateTest, FrozenConvolutionWantsItsWeightNeverItsInput) {
    const ValueId x = b_.reorder(input("x", {2, 4, 5, 5}), ir::Layout::kChannelsLast);
    const ValueId down = b_.conv2d(x, b_.param("down", {2, 4, 3, 3}), {.pad = {1, 1, 1, 1}});
    const ValueId h = b_.conv2d(down, b_.param("up", {4, 2, 1, 1}));
    const ValueId w = b_.weight("w", DType::kF32, {4, 4, 3, 3});
    const ValueId y = b_.conv2d(h, w, {.pad = {1, 1, 1, 1}});
    EXPECT_EQ(differentiate_mse(y).size(), 2U);
    EXPECT_EQ(backward_ops(),
              (std::map<OpKind, int>{{OpKind::kWeightedLossBackward, 1},
                                     {OpKind::kReorder, 1},
                                     {OpKind::kConv2dBackwardInput, 2},
                                     {OpKind::kConv2dBackwardWeight, 2}}));
    EXPECT_FALSE(backward_reads(h));
    EXPECT_TRUE(backward_reads(w));
}

TEST_F(DifferentiateTest, NothingIsComputedBelowTheLowestParameter) {
    const ValueId x = input("x", {3, 4});
    const ValueId h =
        b_.activation(b_.linear(x, b_.weight("w", DType::kF32, {4, 4})), ir::Activation::kSilu);
    const ValueId y = b_.linear(h, b_.param("p", {5, 4}));
    differentiate_mse(y);
    EXPECT_EQ(backward_ops(),
              (std::map<OpKind, int>{{OpKind::kWeightedLossBackward, 1},
                                     {OpKind::kLinearBackwardWeight, 1}}));
}

TEST_F(DifferentiateTest, ParametersOffThePathHaveNoGradient) {
    const ValueId x = input("x", {3, 4});
    const ValueId used = b_.linear(x, b_.param("used", {4, 4}));
    const ValueId unused = b_.linear(used, b_.param("unused", {4, 4}));
    b_.param("untouched", {4, 4});
    graph_.mark_output(b_.scale(unused, 2), "elsewhere");
    EXPECT_EQ(names_of(differentiate_mse(used)), std::vector<std::string>{"used"});
    EXPECT_FALSE(graph_.find("grad.unused").has_value());
}

TEST_F(DifferentiateTest, WithoutParametersNothingIsAdded) {
    EXPECT_TRUE(differentiate_mse(b_.scale(input("x", {3, 4}), 2)).empty());
    EXPECT_EQ(graph_.nodes().size(), num_forward_);
}

TEST_F(DifferentiateTest, GradientThroughACastGoesStraightIntoTheState) {
    const ValueId x = b_.input("x", DType::kBF16, {3, 4});
    const ValueId w = b_.cast(b_.param("p", {5, 4}), DType::kBF16);
    const std::vector<Gradient> gradients =
        differentiate_mse(b_.cast(b_.linear(x, w), DType::kF32));
    ASSERT_EQ(gradients.size(), 1U);
    const ir::Value& state = graph_.value(gradients[0].gradient);
    EXPECT_EQ(state.name, "grad.p");
    EXPECT_EQ(state.kind, ir::ValueKind::kState);
    EXPECT_EQ(state.dtype, DType::kF32);
    EXPECT_EQ(graph_.nodes()[static_cast<size_t>(state.producer)].op,
              OpKind::kLinearBackwardWeight);
}

TEST_F(DifferentiateTest, ParameterUsedTwiceIsSummedOnce) {
    const ValueId x = input("x", {3, 4});
    const ValueId p = b_.param("p", {4, 4});
    const std::vector<Gradient> gradients = differentiate_mse(b_.linear(b_.linear(x, p), p));
    ASSERT_EQ(gradients.size(), 1U);
    EXPECT_EQ(backward_ops(),
              (std::map<OpKind, int>{{OpKind::kWeightedLossBackward, 1},
                                     {OpKind::kLinear, 1},
                                     {OpKind::kLinearBackwardWeight, 2},
                                     {OpKind::kAdd, 1},
                                     {OpKind::kCast, 1}}));
}

TEST_F(DifferentiateTest, OptionsReachTheNodesThatWrite) {
    const ValueId x = input("x", {3, 4});
    const ValueId dst = b_.state("my_gradient", {5, 4});
    DifferentiateOptions options;
    options.loss_scale = 0.25;
    options.accumulate = true;
    options.destinations = {{"p", dst}};
    const std::vector<Gradient> gradients =
        differentiate_mse(b_.linear(x, b_.param("p", {5, 4})), options);
    ASSERT_EQ(gradients.size(), 1U);
    EXPECT_EQ(gradients[0].gradient, dst);
    const ir::Node& writer = graph_.nodes()[static_cast<size_t>(graph_.value(dst).producer)];
    EXPECT_TRUE(writer.attrs.accumulate);
    EXPECT_DOUBLE_EQ(graph_.nodes()[num_forward_].attrs.alpha, 0.25);
}

TEST_F(DifferentiateTest, ResidualGradientsAreAddedByTheProduct) {
    const ValueId p = b_.param("p", {3, 4});
    const ValueId h = b_.scale(p, 2);
    const ValueId y = b_.add(h, b_.linear(h, b_.weight("w", DType::kF32, {4, 4})));
    differentiate_mse(y);
    EXPECT_FALSE(backward_ops().contains(OpKind::kAdd));
}

TEST_F(DifferentiateTest, NodesCarryTheScopeOfTheirForwardNode) {
    ValueId y;
    {
        const ir::Builder::Scope scope(b_, "block");
        y = b_.linear(input("x", {3, 4}), b_.param("p", {5, 4}));
    }
    differentiate_mse(y);
    EXPECT_EQ(graph_.nodes().back().scope, "block");
}

TEST_F(DifferentiateTest, RefusesWhatHasNoGradient) {
    const ValueId p = b_.param("p", {2, 3});
    const ValueId factors = input("factors", {2});
    EXPECT_THROW(differentiate_mse(b_.mix_rows(p, p, factors, factors)), Error);
    EXPECT_THROW(differentiate(b_, b_.scale(p, 2)), Error);
}

TEST_F(DifferentiateTest, RefusesATrainableBias) {
    const ValueId x = input("x", {3, 4});
    const ValueId w = b_.weight("w", DType::kF32, {5, 4});
    EXPECT_THROW(differentiate_mse(b_.linear(x, w, {.bias = b_.param("bias", {5})})), Error);
}

}  // namespace
}  // namespace lora::autodiff

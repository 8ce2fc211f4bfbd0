#include "ir/graph.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "ir/builder.h"
#include "ir/print.h"
#include "ir/verify.h"

namespace lora::ir {
namespace {

class GraphTest : public testing::Test {
protected:
    Graph graph_;
    Builder b_{graph_};
};

TEST_F(GraphTest, NamesAreUnique) {
    b_.input("x", DType::kF32, {2});
    EXPECT_THROW(b_.param("x", {2}), Error);
    const ValueId y = b_.scale(graph_.at("x"), 2);
    EXPECT_THROW(graph_.mark_output(y, "x"), Error);
    graph_.mark_output(y, "y");
    EXPECT_EQ(graph_.at("y"), y);
    EXPECT_FALSE(graph_.find("z").has_value());
    EXPECT_THROW(static_cast<void>(graph_.at("z")), Error);
}

TEST_F(GraphTest, WeightAskedForTwiceIsOneValue) {
    const ValueId w = b_.weight("w", DType::kBF16, {3, 2});
    EXPECT_EQ(b_.weight("w", DType::kBF16, {3, 2}), w);
    EXPECT_THROW(b_.weight("w", DType::kF32, {3, 2}), Error);
    EXPECT_THROW(b_.weight("w", DType::kBF16, {2, 3}), Error);
}

TEST_F(GraphTest, StateHasOneWriter) {
    const ValueId x = b_.input("x", DType::kF32, {2});
    const ValueId state = b_.state("s", {2});
    b_.node(OpKind::kCast, {x}, {}, state);
    EXPECT_EQ(graph_.value(state).producer, 0);
    EXPECT_THROW(b_.node(OpKind::kCast, {x}, {}, state), Error);
    EXPECT_THROW(b_.node(OpKind::kCast, {x}, {}, b_.state("short", {1})), Error);
    EXPECT_THROW(b_.node(OpKind::kCast, {x}, {}, x), Error);
}

TEST_F(GraphTest, MissingInputsAreRejected) {
    const ValueId x = b_.input("x", DType::kF32, {2, 2});
    EXPECT_THROW(b_.node(OpKind::kAdd, {x, kNoValue}), Error);
    EXPECT_THROW(b_.node(OpKind::kAdd, {x}), Error);
    EXPECT_NO_THROW(b_.node(OpKind::kLinear, {x, x, kNoValue, kNoValue, kNoValue, kNoValue}));
}

TEST_F(GraphTest, StorageFollowsViews) {
    const ValueId x = b_.input("x", DType::kF32, {1, 6, 2});
    const ValueId y = b_.reshape(b_.image_to_tokens(b_.tokens_to_image(x, 2, 3)), {12});
    EXPECT_EQ(storage_of(graph_, y), x);
    const ValueId z = b_.scale(y, 2);
    EXPECT_EQ(storage_of(graph_, b_.reshape(z, {3, 4})), z);
}

TEST_F(GraphTest, ConsumersAreListedOnceAndInOrder) {
    const ValueId x = b_.input("x", DType::kF32, {2});
    const ValueId y = b_.add(x, x);
    b_.add(y, x);
    const auto consumers = graph_.consumers();
    EXPECT_EQ(consumers[static_cast<size_t>(x.index)], (std::vector<int32_t>{0, 1}));
    EXPECT_EQ(consumers[static_cast<size_t>(y.index)], std::vector<int32_t>{1});
}

TEST_F(GraphTest, BuilderLeavesOutWhatChangesNothing) {
    const ValueId x = b_.input("x", DType::kF32, {2, 3, 4, 5});
    EXPECT_EQ(b_.reorder(x, Layout::kRowMajor), x);
    EXPECT_EQ(b_.cast(x, DType::kF32), x);
    EXPECT_EQ(b_.reshape(x, {2, 3, 4, 5}), x);
    EXPECT_EQ(b_.slice(x, 1, 0, 3), x);
    EXPECT_EQ(b_.pad(x, 1, 0, 0), x);
    EXPECT_TRUE(graph_.nodes().empty());
}

TEST_F(GraphTest, ScopesNest) {
    const ValueId x = b_.input("x", DType::kF32, {2});
    {
        const Builder::Scope outer(b_, "unet");
        {
            const Builder::Scope inner(b_, "attn1");
            b_.scale(x, 2);
        }
        b_.scale(x, 3);
    }
    b_.scale(x, 4);
    EXPECT_EQ(graph_.nodes()[0].scope, "unet.attn1");
    EXPECT_EQ(graph_.nodes()[1].scope, "unet");
    EXPECT_EQ(graph_.nodes()[2].scope, "");
    EXPECT_NE(print(graph_).find("unet.attn1"), std::string::npos);
}

TEST(AxisSpanTest, RowMajor) {
    const Shape shape{2, 3, 5, 7};
    const AxisSpan channels = axis_span(shape, Layout::kRowMajor, 1);
    EXPECT_EQ(channels.outer, 2);
    EXPECT_EQ(channels.size, 3);
    EXPECT_EQ(channels.inner, 35);
    const AxisSpan last = axis_span(shape, Layout::kRowMajor, -1);
    EXPECT_EQ(last.outer, 30);
    EXPECT_EQ(last.size, 7);
    EXPECT_EQ(last.inner, 1);
}

TEST(AxisSpanTest, ChannelsLast) {
    const Shape shape{2, 3, 5, 7};
    const AxisSpan channels = axis_span(shape, Layout::kChannelsLast, 1);
    EXPECT_EQ(channels.outer, 70);
    EXPECT_EQ(channels.size, 3);
    EXPECT_EQ(channels.inner, 1);
    const AxisSpan width = axis_span(shape, Layout::kChannelsLast, -1);
    EXPECT_EQ(width.outer, 10);
    EXPECT_EQ(width.size, 7);
    EXPECT_EQ(width.inner, 3);
    EXPECT_THROW(static_cast<void>(axis_span(shape, Layout::kChannelsLast, 4)), Error);
    EXPECT_THROW(static_cast<void>(axis_span({2, 3}, Layout::kChannelsLast, 0)), Error);
}

class VerifyTest : public GraphTest {
protected:
    ValueId x_ = b_.input("x", DType::kF32, {2, 4});
    ValueId y_ = b_.scale(x_, 2);
    ValueId z_ = b_.linear(y_, b_.weight("w", DType::kF32, {3, 4}));
};

TEST_F(VerifyTest, AcceptsAWholeGraph) { EXPECT_NO_THROW(verify(graph_)); }

TEST_F(VerifyTest, FindsUseBeforeDefinition) {
    std::vector<Node> nodes = graph_.nodes();
    std::swap(nodes[0], nodes[1]);
    graph_.set_nodes(nodes);
    EXPECT_THROW(verify(graph_), Error);
}

TEST_F(VerifyTest, FindsWrongShape) {
    graph_.value(z_).shape = Shape{2, 4};
    EXPECT_THROW(verify(graph_), Error);
}

TEST_F(VerifyTest, FindsWrongType) {
    graph_.value(y_).dtype = DType::kBF16;
    EXPECT_THROW(verify(graph_), Error);
}

TEST_F(VerifyTest, FindsTwoWriters) {
    std::vector<Node> nodes = graph_.nodes();
    nodes.push_back(nodes[0]);
    graph_.set_nodes(nodes);
    EXPECT_THROW(verify(graph_), Error);
}

TEST_F(VerifyTest, FindsUpdateOfATemporary) {
    const ValueId scalar = b_.input("clip", DType::kF32, {});
    const ValueId schedule = b_.input("schedule", DType::kF32, {1, 4});
    const ValueId pieces = b_.input("pieces", DType::kI32, {1, 4});
    const ValueId m = b_.state("m", {8});
    const ValueId temporary = b_.reshape(y_, {8});
    b_.node(OpKind::kUpdateStep,
            {temporary,
             m,
             m,
             kNoValue,
             kNoValue,
             kNoValue,
             kNoValue,
             scalar,
             schedule,
             pieces,
             kNoValue},
            {.update = {.rule = UpdateRule::kLion}});
    EXPECT_THROW(verify(graph_), Error);
}

}  // namespace
}  // namespace lora::ir

#include "ir/cost.h"

#include <gtest/gtest.h>

#include "ir/builder.h"

namespace lora::ir {
namespace {

TEST(Cost, ProductsCountTwoForEachWeightAndRow) {
    Graph graph;
    Builder b(graph);
    const ValueId x = b.input("x", DType::kF32, Shape{2, 3, 5});
    const ValueId w = b.weight("w", DType::kF32, Shape{7, 5});
    const ValueId y = b.linear(x, w);
    const Node& linear = graph.nodes().back();
    EXPECT_EQ(num_flops(graph, linear), 2.0 * 6 * 5 * 7);
    EXPECT_EQ(num_bytes(graph, linear), 4.0 * (6 * 5 + 7 * 5 + 6 * 7));
    graph.mark_output(y, "y");
    EXPECT_EQ(num_flops(graph), 2.0 * 6 * 5 * 7);
}

TEST(Cost, AJoinedSecondProductCountsToo) {
    Graph graph;
    Builder b(graph);
    const ValueId x = b.input("x", DType::kF32, Shape{6, 5});
    const ValueId w = b.weight("w", DType::kF32, Shape{7, 5});
    const ValueId x2 = b.input("x2", DType::kF32, Shape{6, 2});
    const ValueId w2 = b.weight("w2", DType::kF32, Shape{7, 2});
    b.node(OpKind::kLinear, {x, w, kNoValue, kNoValue, x2, w2});
    EXPECT_EQ(num_flops(graph), 2.0 * 6 * 7 * (5 + 2));
}

}  // namespace
}  // namespace lora::ir

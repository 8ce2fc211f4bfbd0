// Every operator of the table has cases, a shape rule, a kernel in the reference, and a gradient
// that the cases check, unless it has none by its nature.
#include <algorithm>
#include <set>

#include <gtest/gtest.h>

#include "autodiff/rule.h"
#include "backend/reference/reference_backend.h"
#include "ir/verify.h"
#include "support/graph_runner.h"

namespace lora::support {
namespace {

using ir::OpKind;

// Sources, backward operators, updates, and mixing of latents with noise.
const std::set<OpKind> kNotDifferentiable = {
    OpKind::kUpsample2xBackward,
    OpKind::kLinearBackwardWeight,
    OpKind::kConv2dBackwardInput,
    OpKind::kConv2dBackwardWeight,
    OpKind::kHadamardBackward,
    OpKind::kGroupNormBackward,
    OpKind::kDoraScaleBackward,
    OpKind::kLayerNormBackward,
    OpKind::kAttentionBackward,
    OpKind::kActivationBackward,
    OpKind::kGegluBackward,
    OpKind::kSumSpatial,
    OpKind::kMixRows,
    OpKind::kEmbedding,
    OpKind::kTimestepEmbedding,
    OpKind::kDequantize,
    OpKind::kWeightedLossBackward,
    OpKind::kSumSquares,
    OpKind::kClipCoefficient,
    OpKind::kUpdateGlobals,
    OpKind::kUpdateSums,
    OpKind::kUpdateStep,
    OpKind::kUpdateStep8bit,
    OpKind::kUpdateFactored,
    OpKind::kLimitNorm,
};

std::set<OpKind> kinds_in(const ir::Graph& graph) {
    std::set<OpKind> kinds;
    for (const ir::Node& node : graph.nodes()) kinds.insert(node.op);
    return kinds;
}

std::vector<OpKind> all_kinds() {
    std::vector<OpKind> kinds;
    for (uint8_t i = 0; i < static_cast<uint8_t>(OpKind::kCount_); ++i) {
        kinds.push_back(static_cast<OpKind>(i));
    }
    return kinds;
}

TEST(OpCoverageTest, EveryCaseHoldsTheOperatorItIsNamedAfter) {
    for (const OpCase& item : all_cases()) {
        const CaseGraph built = build_case(item, {});
        EXPECT_TRUE(kinds_in(built.graph).contains(item.op)) << item.name;
        EXPECT_TRUE(item.name.starts_with(ir::op_info(item.op).name)) << item.name;
        EXPECT_FALSE(built.results.empty()) << item.name;
    }
}

TEST(OpCoverageTest, EveryOperatorRunsInSomeCase) {
    const std::unique_ptr<backend::Backend> backend = reference::open({});
    std::set<OpKind> covered;
    for (const OpCase& item : all_cases()) {
        const CaseGraph built =
            build_case(item, {.gradients = item.differentiable, .accumulate = item.differentiable});
        ir::verify(built.graph);
        covered.merge(kinds_in(built.graph));
        GraphRunner runner(*backend, plan_without_reuse(built.graph), built.fills, 1);
        runner.run();  // refuses an operator without kernel
    }
    for (const OpKind kind : all_kinds()) {
        EXPECT_TRUE(covered.contains(kind)) << ir::op_info(kind).name << " has no case";
    }
}

TEST(OpCoverageTest, EveryOperatorHasAGradientOrNoneByNature) {
    for (const OpKind kind : all_kinds()) {
        EXPECT_NE(autodiff::gradient_rule(kind) != nullptr, kNotDifferentiable.contains(kind))
            << ir::op_info(kind).name;
        EXPECT_EQ(autodiff::is_differentiable(kind), !kNotDifferentiable.contains(kind));
    }
}

TEST(OpCoverageTest, EveryGradientRuleHasACaseOfItsOwn) {
    std::set<OpKind> checked;
    for (const OpCase& item : all_cases()) {
        if (item.differentiable) checked.insert(item.op);
    }
    for (const OpKind kind : all_kinds()) {
        if (kNotDifferentiable.contains(kind)) continue;
        EXPECT_TRUE(checked.contains(kind)) << ir::op_info(kind).name << " has no gradient check";
    }
}

TEST(OpCoverageTest, CaseNamesAreUnique) {
    std::set<std::string> names;
    std::vector<OpCase> list = all_cases();
    for (OpCase& item : large_cases()) list.push_back(std::move(item));
    for (const OpCase& item : list) EXPECT_TRUE(names.insert(item.name).second) << item.name;
}

TEST(OpCoverageTest, LargeCasesBuild) {
    for (const OpCase& item : large_cases()) {
        ir::verify(build_case(item, {.dtype = DType::kBF16, .gradients = true}).graph);
    }
}

}  // namespace
}  // namespace lora::support

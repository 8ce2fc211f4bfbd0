// The graphs that layers write: which weights they ask for, and how LoRA branches join.
#include <gtest/gtest.h>

#include "nn/conv2d.h"
#include "nn/linear.h"

namespace lora::nn {
namespace {

int64_t count(const ir::Graph& graph, ir::OpKind op) {
    int64_t n = 0;
    for (const ir::Node& node : graph.nodes()) n += node.op == op ? 1 : 0;
    return n;
}

struct Net {
    ir::Graph graph;
    ir::Builder builder{graph};
    LoraAttachments lora;
    NetContext context(DType dtype) { return {&builder, dtype, &lora}; }
};

LoraAttachment branch(const std::string& module, const Shape& weight, bool trainable) {
    return {
        .module = module, .factors = lora_factors(weight, 2), .scale = 0.5, .trainable = trainable};
}

TEST(Linear, FetchesWeightAndBiasByName) {
    Net net;
    const ValueId x = net.builder.input("x", DType::kF32, Shape{2, 3, 5});
    const ValueId y = linear(net.context(DType::kF32), "a.b", x, 7);
    EXPECT_EQ(net.graph.value(y).shape, (Shape{2, 3, 7}));
    EXPECT_EQ(net.graph.value(net.graph.at("a.b.weight")).shape, (Shape{7, 5}));
    EXPECT_EQ(net.graph.value(net.graph.at("a.b.bias")).shape, (Shape{7}));
    EXPECT_EQ(count(net.graph, ir::OpKind::kLinear), 1);
}

TEST(Linear, TrainableBranchIsCastAndAddsIntoTheResult) {
    Net net;
    net.lora.add("a.weight", branch("m", Shape{7, 5}, true));
    const ValueId x = net.builder.input("x", DType::kBF16, Shape{1, 3, 5});
    const ValueId y = linear(net.context(DType::kBF16), "a", x, 7, {.bias = false});
    EXPECT_FALSE(net.graph.find("a.bias").has_value());
    EXPECT_EQ(net.graph.value(net.graph.at("m.lora_down.weight")).kind, ir::ValueKind::kParam);
    EXPECT_EQ(net.graph.value(net.graph.at("m.lora_down.weight")).dtype, DType::kF32);
    EXPECT_EQ(net.graph.value(net.graph.at("m.lora_down.weight")).shape, (Shape{2, 5}));
    EXPECT_EQ(net.graph.value(net.graph.at("m.lora_up.weight")).shape, (Shape{7, 2}));
    EXPECT_EQ(count(net.graph, ir::OpKind::kCast), 2);
    EXPECT_EQ(count(net.graph, ir::OpKind::kLinear), 3);
    EXPECT_EQ(count(net.graph, ir::OpKind::kAdd), 0);
    const ir::Node& last = net.graph.nodes().back();
    EXPECT_EQ(last.outputs[0], y);
    EXPECT_TRUE(last.inputs[3].valid());  // the frozen layer's result is the addend
    EXPECT_EQ(last.attrs.alpha, 0.5);
}

LoraAttachment loha(const std::string& module, const Shape& weight) {
    const int64_t cols = weight.num_elements() / weight[0];
    LoraAttachment attachment;
    attachment.kind = LoraKind::kLoha;
    attachment.module = module;
    for (const char* pair : {"hada_w1", "hada_w2"}) {
        attachment.factors.push_back({pair + std::string("_a"), Shape{weight[0], 2}});
        attachment.factors.push_back({pair + std::string("_b"), Shape{2, cols}});
    }
    attachment.trainable = true;
    return attachment;
}

TEST(Linear, ALohaCostsNoSecondProduct) {
    Net net;
    net.lora.add("a.weight", loha("m", Shape{7, 5}));
    const ValueId x = net.builder.input("x", DType::kBF16, Shape{1, 3, 5});
    static_cast<void>(linear(net.context(DType::kBF16), "a", x, 7));
    EXPECT_EQ(count(net.graph, ir::OpKind::kLinear), 1);
    ASSERT_EQ(count(net.graph, ir::OpKind::kHadamard), 1);
    for (const ir::Node& node : net.graph.nodes()) {
        if (node.op != ir::OpKind::kHadamard) continue;
        EXPECT_EQ(node.inputs[4], net.graph.at("a.weight"));
    }
}

TEST(Conv, ALohaIsAFilterThatLiesAsOne) {
    Net net;
    net.lora.add("c.weight", loha("m", Shape{6, 4, 3, 3}));
    const ValueId x = net.builder.reorder(net.builder.input("x", DType::kF32, Shape{2, 4, 3, 5}),
                                          ir::Layout::kChannelsLast);
    static_cast<void>(conv3x3(net.context(DType::kF32), "c", x, 6, {}));
    EXPECT_EQ(count(net.graph, ir::OpKind::kConv2d), 1);
    for (const ir::Node& node : net.graph.nodes()) {
        if (node.op != ir::OpKind::kConv2d) continue;
        EXPECT_EQ(net.graph.value(node.inputs[1]).layout, ir::Layout::kChannelsLast);
        EXPECT_EQ(net.graph.value(node.inputs[1]).shape, (Shape{6, 4, 3, 3}));
    }
}

// What a dropout leaves of it is known only of its product.
TEST(Linear, ALohaWithDropoutHasItsOwnProduct) {
    Net net;
    LoraAttachment attachment = loha("m", Shape{7, 5});
    attachment.dropout = {.module = 0.5, .on_output = true};
    net.lora.add("a.weight", attachment);
    NetContext context = net.context(DType::kF32);
    context.dropout_key = net.builder.input("key", DType::kI32, Shape{4});
    const ValueId x = net.builder.input("x", DType::kF32, Shape{1, 3, 5});
    static_cast<void>(linear(context, "a", x, 7));
    EXPECT_EQ(count(net.graph, ir::OpKind::kLinear), 2);
}

TEST(Linear, FrozenBranchesStack) {
    Net net;
    for (const char* file : {"lora0/", "lora1/"}) {
        net.lora.add("a.weight", branch(file + std::string("m"), Shape{7, 5}, false));
    }
    const ValueId x = net.builder.input("x", DType::kF32, Shape{1, 3, 5});
    static_cast<void>(linear(net.context(DType::kF32), "a", x, 7));
    EXPECT_EQ(count(net.graph, ir::OpKind::kLinear), 5);
    EXPECT_EQ(net.graph.value(net.graph.at("lora1/m.lora_up.weight")).kind, ir::ValueKind::kWeight);
}

TEST(Conv, PointwiseRunsAsLinearAndKeepsTheImage) {
    Net net;
    const ValueId x = net.builder.reorder(net.builder.input("x", DType::kF32, Shape{2, 4, 3, 5}),
                                          ir::Layout::kChannelsLast);
    const ValueId y = conv1x1(net.context(DType::kF32), "c", x, 6, ir::kNoValue);
    EXPECT_EQ(net.graph.value(y).shape, (Shape{2, 6, 3, 5}));
    EXPECT_EQ(net.graph.value(net.graph.at("c.weight")).shape, (Shape{6, 4}));
    EXPECT_EQ(count(net.graph, ir::OpKind::kConv2d), 0);
}

TEST(Conv, BranchFollowsStrideAndPadding) {
    Net net;
    net.lora.add("c.weight", branch("m", Shape{6, 4, 3, 3}, true));
    const ValueId x = net.builder.reorder(net.builder.input("x", DType::kF32, Shape{1, 4, 7, 5}),
                                          ir::Layout::kChannelsLast);
    const ValueId y = conv3x3(net.context(DType::kF32), "c", x, 6, {.stride = 2});
    EXPECT_EQ(net.graph.value(y).shape, (Shape{1, 6, 4, 3}));
    EXPECT_EQ(net.graph.value(net.graph.at("m.lora_down.weight")).shape, (Shape{2, 4, 3, 3}));
    EXPECT_EQ(net.graph.value(net.graph.at("m.lora_up.weight")).shape, (Shape{6, 2}));
}

// Without a key there is none; each kind has a stream of random numbers of its own.
TEST(Dropout, IsOnTheRanksWithAKey) {
    for (const bool has_key : {false, true}) {
        Net net;
        net.lora.add("other.weight", branch("o", Shape{7, 5}, true));
        LoraAttachment attachment = branch("m", Shape{7, 5}, true);
        attachment.dropout = {.elements = 0.1, .rank = 0.2, .module = 0.3};
        net.lora.add("a.weight", attachment);
        NetContext context = net.context(DType::kF32);
        if (has_key) context.dropout_key = net.builder.input("key", DType::kI32, Shape{4});
        const ValueId x = net.builder.input("x", DType::kF32, Shape{2, 3, 5});
        static_cast<void>(linear(context, "a", x, 7));
        std::vector<ir::Attributes> drops;
        for (const ir::Node& node : net.graph.nodes()) {
            if (node.op != ir::OpKind::kDropout) continue;
            EXPECT_EQ(net.graph.value(node.outputs[0]).shape, (Shape{2, 3, 2}));
            drops.push_back(node.attrs);
        }
        ASSERT_EQ(drops.size(), has_key ? 3U : 0U);
        if (!has_key) continue;
        EXPECT_EQ(drops[0].draw_axes, 7);
        EXPECT_EQ(drops[0].alpha, 1 / 0.9);
        EXPECT_EQ(drops[1].draw_axes, 5);
        EXPECT_EQ(drops[1].alpha, 1 / 0.8);
        EXPECT_EQ(drops[2].draw_axes, 0);
        EXPECT_EQ(drops[2].alpha, 1);
        EXPECT_EQ(drops[0].size, 4);  // of the second branch
        EXPECT_EQ(drops[2].size, 6);
    }
}

TEST(Dropout, IsOnTheOutputAsLycorisHasIt) {
    Net net;
    LoraAttachment attachment = branch("m", Shape{6, 4, 3, 3}, true);
    attachment.dropout = {.elements = 0.1, .rank = 0.2, .module = 0.3, .on_output = true};
    net.lora.add("c.weight", attachment);
    NetContext context = net.context(DType::kF32);
    context.dropout_key = net.builder.input("key", DType::kI32, Shape{4});
    const ValueId x = net.builder.reorder(net.builder.input("x", DType::kF32, Shape{1, 4, 7, 5}),
                                          ir::Layout::kChannelsLast);
    const ValueId y = conv3x3(context, "c", x, 6);
    EXPECT_EQ(net.graph.value(y).shape, (Shape{1, 6, 7, 5}));
    std::vector<int> axes;
    for (const ir::Node& node : net.graph.nodes()) {
        if (node.op != ir::OpKind::kDropout) continue;
        EXPECT_EQ(net.graph.value(node.outputs[0]).shape, (Shape{1, 35, 6}));
        axes.push_back(node.attrs.draw_axes);
    }
    EXPECT_EQ(axes, (std::vector<int>{7, 1, 0}));
}

TEST(Magnitude, TakesTheNormOfTheChangedWeightInFp32) {
    Net net;
    LoraAttachment attachment = branch("m", Shape{7, 5}, true);
    attachment.factors.push_back({"dora_scale", Shape{7, 1}});
    net.lora.add("a.weight", attachment);
    const ValueId x = net.builder.input("x", DType::kBF16, Shape{2, 3, 5});
    static_cast<void>(linear(net.context(DType::kBF16), "a", x, 7));
    const ir::Node* norm = nullptr;
    for (const ir::Node& node : net.graph.nodes()) {
        if (node.op == ir::OpKind::kDoraScale) norm = &node;
    }
    ASSERT_NE(norm, nullptr);
    EXPECT_EQ(net.graph.value(norm->inputs[0]).shape, (Shape{7, 5}));
    EXPECT_EQ(net.graph.value(norm->inputs[0]).dtype, DType::kF32);
    EXPECT_EQ(norm->inputs[1], net.graph.at("m.dora_scale"));
}

}  // namespace
}  // namespace lora::nn

// Shape rules: what each accepts and gives, and that what does not fit is refused with the
// operator's name.
#include "ir/infer.h"

#include <cmath>

#include <gtest/gtest.h>

#include "base/error.h"
#include "ir/builder.h"

namespace lora::ir {
namespace {

class InferTest : public testing::Test {
protected:
    Graph graph_;
    Builder b_{graph_};
    int num_inputs_ = 0;

    ValueId value(const Shape& shape,
                  DType dtype = DType::kF32,
                  Layout layout = Layout::kRowMajor) {
        return graph_.add_external(
            ValueKind::kInput, "x" + std::to_string(num_inputs_++), dtype, shape, layout);
    }
    ValueId image(const Shape& shape, DType dtype = DType::kF32) {
        return value(shape, dtype, Layout::kChannelsLast);
    }

    static std::vector<ValueId> linear_inputs(ValueId x,
                                              ValueId w,
                                              ValueId bias = kNoValue,
                                              ValueId addend = kNoValue) {
        return {x, w, bias, addend, kNoValue, kNoValue};
    }

    void expect_rejected(OpKind op, std::vector<ValueId> inputs, const Attributes& attrs = {}) {
        try {
            b_.node(op, std::move(inputs), attrs);
            ADD_FAILURE() << op_info(op).name << " accepted what does not fit";
        } catch (const Error& error) {
            EXPECT_EQ(error.code(), ErrorCode::kInternal);
            EXPECT_NE(error.message().find(op_info(op).name), std::string::npos) << error.message();
        }
    }
};

TEST_F(InferTest, Views) {
    EXPECT_EQ(b_.shape(b_.image_to_tokens(image({2, 3, 4, 5}))), (Shape{2, 20, 3}));
    const ValueId back = b_.tokens_to_image(value({2, 20, 3}), 4, 5);
    EXPECT_EQ(b_.shape(back), (Shape{2, 3, 4, 5}));
    EXPECT_EQ(graph_.value(back).layout, Layout::kChannelsLast);
    expect_rejected(OpKind::kReshape, {value({2, 3})}, {.shape = Shape{7}});
    expect_rejected(OpKind::kReshape, {image({1, 2, 3, 4})}, {.shape = Shape{24}});
    expect_rejected(OpKind::kImageToTokens, {value({2, 3, 4, 5})});
    expect_rejected(OpKind::kTokensToImage, {value({2, 20, 3})}, {.height = 4, .width = 4});
}

TEST_F(InferTest, Movement) {
    EXPECT_EQ(b_.shape(b_.concat(image({2, 3, 4, 5}), image({2, 1, 4, 5}), 1)),
              (Shape{2, 4, 4, 5}));
    EXPECT_EQ(b_.shape(b_.slice(value({2, 7}), -1, 2, 5)), (Shape{2, 3}));
    EXPECT_EQ(b_.shape(b_.pad(value({2, 7}), 1, 2, 1)), (Shape{2, 10}));
    EXPECT_EQ(b_.shape(b_.upsample2x(image({1, 3, 2, 5}))), (Shape{1, 3, 4, 10}));
    expect_rejected(OpKind::kConcat, {value({2, 3}), value({3, 3})}, {.axis = 1});
    expect_rejected(OpKind::kConcat, {value({2, 3}), value({2, 3}, DType::kBF16)}, {.axis = 1});
    expect_rejected(OpKind::kConcat, {value({1, 1, 1, 1}), image({1, 1, 1, 1})}, {.axis = 1});
    expect_rejected(OpKind::kSlice, {value({2, 7})}, {.axis = 1, .begin = 3, .end = 8});
    expect_rejected(OpKind::kSlice, {value({2, 7})}, {.axis = 1, .begin = 4, .end = 3});
    expect_rejected(OpKind::kPad, {value({2, 7})}, {.axis = 1, .begin = -1});
    expect_rejected(OpKind::kSwapAxes, {value({2, 7, 3})});
    expect_rejected(OpKind::kUpsample2x, {value({2, 7})});
    expect_rejected(OpKind::kUpsample2xBackward, {image({1, 1, 3, 2})});
    expect_rejected(OpKind::kReorder, {value({2, 7})}, {.layout = Layout::kChannelsLast});
}

TEST_F(InferTest, Linear) {
    const ValueId x = value({2, 3, 5});
    EXPECT_EQ(b_.shape(b_.linear(x, value({7, 5}))), (Shape{2, 3, 7}));
    EXPECT_EQ(b_.shape(b_.linear(x, value({5, 7}), {.transpose_weight = true})), (Shape{2, 3, 7}));
    expect_rejected(OpKind::kLinear, linear_inputs(x, value({5, 7})));
    expect_rejected(OpKind::kLinear, linear_inputs(x, value({7, 5}, DType::kBF16)));
    expect_rejected(OpKind::kLinear, linear_inputs(x, value({7, 5}), value({5})));
    expect_rejected(OpKind::kLinear, linear_inputs(x, value({7, 5}), kNoValue, value({3, 7})));
    expect_rejected(OpKind::kLinear,
                    {x, value({7, 5}), kNoValue, kNoValue, value({2, 4}), value({6, 4})});
    expect_rejected(OpKind::kLinearBackwardWeight, {value({2, 3, 7}), value({5, 5})});
}

TEST_F(InferTest, WeightGradientsAreFp32) {
    const ValueId dy = value({4, 7}, DType::kBF16);
    const ValueId dw = b_.node(OpKind::kLinearBackwardWeight, {dy, value({4, 5}, DType::kBF16)})[0];
    EXPECT_EQ(b_.shape(dw), (Shape{7, 5}));
    EXPECT_EQ(b_.dtype(dw), DType::kF32);
}

TEST_F(InferTest, Conv2d) {
    const ValueId x = image({2, 3, 7, 8});
    const ValueId w = value({5, 3, 3, 3});
    EXPECT_EQ(b_.shape(b_.conv2d(x, w, {.pad = {1, 1, 1, 1}})), (Shape{2, 5, 7, 8}));
    EXPECT_EQ(b_.shape(b_.conv2d(x, w, {.stride = 2, .pad = {1, 1, 1, 1}})), (Shape{2, 5, 4, 4}));
    EXPECT_EQ(b_.shape(b_.conv2d(x, w, {.stride = 2, .pad = {0, 0, 1, 1}})), (Shape{2, 5, 3, 4}));
    expect_rejected(OpKind::kConv2d, {value({2, 3, 7, 8}), w, kNoValue, kNoValue});
    expect_rejected(OpKind::kConv2d, {x, value({5, 4, 3, 3}), kNoValue, kNoValue});
    expect_rejected(OpKind::kConv2d, {x, w, value({3}), kNoValue});
    expect_rejected(OpKind::kConv2d, {x, w, kNoValue, image({2, 5, 7, 8})});
    expect_rejected(OpKind::kConv2d, {image({2, 3, 2, 2}), w, kNoValue, kNoValue});
    expect_rejected(OpKind::kConv2dBackwardInput, {image({2, 4, 7, 8}), w, kNoValue});
    expect_rejected(OpKind::kConv2dBackwardWeight, {image({1, 5, 7, 8}), x});
}

TEST_F(InferTest, Norms) {
    const std::vector<ValueId> group =
        b_.node(OpKind::kGroupNorm,
                {image({2, 6, 3, 3}, DType::kBF16), value({6}), value({6})},
                {.groups = 3});
    EXPECT_EQ(b_.shape(group[1]), (Shape{2, 3, 2}));
    EXPECT_EQ(b_.dtype(group[0]), DType::kBF16);
    EXPECT_EQ(b_.dtype(group[1]), DType::kF32);
    const std::vector<ValueId> layer =
        b_.node(OpKind::kLayerNorm, {value({2, 3, 5}), value({5}), value({5})});
    EXPECT_EQ(b_.shape(layer[1]), (Shape{6, 2}));
    expect_rejected(
        OpKind::kGroupNorm, {image({2, 6, 3, 3}), value({6}), value({6})}, {.groups = 4});
    expect_rejected(
        OpKind::kGroupNorm, {value({2, 6, 3, 3}), value({6}), value({6})}, {.groups = 3});
    expect_rejected(
        OpKind::kGroupNorm, {image({2, 6, 3, 3}), value({3}), value({6})}, {.groups = 3});
    expect_rejected(OpKind::kLayerNorm, {value({2, 5}), value({5}), value({2})});
    expect_rejected(OpKind::kLayerNormBackward,
                    {value({2, 5}), value({3, 5}), value({5}), value({2, 2}), kNoValue});
}

TEST_F(InferTest, Attention) {
    const ValueId q = value({2, 7, 6});
    const ValueId k = value({2, 4, 6});
    const ir::AttentionResult result = b_.attention(q, k, k, {.heads = 3});
    EXPECT_EQ(b_.shape(result.output), (Shape{2, 7, 6}));
    EXPECT_EQ(b_.shape(result.lse), (Shape{2, 3, 7}));
    EXPECT_DOUBLE_EQ(graph_.nodes()[0].attrs.alpha, 1 / std::sqrt(2.0));
    expect_rejected(OpKind::kAttention, {q, k, k}, {.heads = 4});
    expect_rejected(OpKind::kAttention, {q, k, value({2, 5, 6})}, {.heads = 3});
    expect_rejected(OpKind::kAttention, {q, value({1, 4, 6}), value({1, 4, 6})}, {.heads = 3});
    expect_rejected(OpKind::kAttention, {q, value({2, 4, 6}, DType::kBF16), k}, {.heads = 3});
}

TEST_F(InferTest, Elementwise) {
    EXPECT_EQ(b_.shape(b_.geglu(value({2, 3, 8}))), (Shape{2, 3, 4}));
    EXPECT_EQ(b_.shape(b_.add(value({2, 3, 5}), value({3, 5}))), (Shape{2, 3, 5}));
    expect_rejected(OpKind::kGeglu, {value({2, 5})});
    expect_rejected(OpKind::kAdd, {value({2, 3}), value({2})});
    expect_rejected(OpKind::kMultiply, {value({2, 3}), value({2})});
    expect_rejected(OpKind::kAdd, {value({3}), value({2, 3})});
    expect_rejected(OpKind::kAdd, {value({2, 3}), value({2, 3}, DType::kBF16)});
    expect_rejected(OpKind::kAdd, {image({1, 2, 3, 4}), value({1, 2, 3, 4})});
    expect_rejected(OpKind::kAddChannel, {image({2, 3, 4, 5}), value({2, 4})});
    expect_rejected(OpKind::kSumSpatial, {value({2, 3})});
    expect_rejected(OpKind::kMixRows, {value({2, 3}), value({2, 3}), value({2}), value({3})});
    expect_rejected(OpKind::kActivationBackward, {value({2, 3}), value({3, 2})});
    expect_rejected(OpKind::kGegluBackward, {value({2, 3}), value({2, 3})});
}

TEST_F(InferTest, Sources) {
    const ValueId ids = value({2, 7}, DType::kI32);
    EXPECT_EQ(b_.shape(b_.embedding(ids, value({11, 5}))), (Shape{2, 7, 5}));
    EXPECT_EQ(b_.shape(b_.timestep_embedding(value({3}), 8, DType::kBF16)), (Shape{3, 8}));
    expect_rejected(OpKind::kEmbedding, {value({2, 7}), value({11, 5})});
    expect_rejected(OpKind::kTimestepEmbedding, {value({3})}, {.size = 7});
    expect_rejected(OpKind::kTimestepEmbedding, {value({3, 1})}, {.size = 8});
}

TEST_F(InferTest, LossAndUpdate) {
    const ir::Builder::Loss loss =
        b_.weighted_mse(value({2, 3}, DType::kBF16), value({2, 3}, DType::kBF16), value({2}));
    EXPECT_EQ(b_.shape(loss.loss), Shape{});
    EXPECT_EQ(b_.shape(loss.losses), Shape{2});
    EXPECT_EQ(b_.dtype(loss.loss), DType::kF32);
    expect_rejected(OpKind::kWeightedLoss,
                    {value({2, 3}), value({2, 3}), value({3}), kNoValue, kNoValue});
    expect_rejected(OpKind::kWeightedLoss,
                    {value({2, 3}), value({3, 2}), value({2}), kNoValue, kNoValue});
    // A mask that does not fill a row, one of images that lie channels-last, and a threshold that
    // the loss does not have or lacks.
    expect_rejected(OpKind::kWeightedLoss,
                    {value({2, 6}), value({2, 6}), value({2}), value({2, 4}), kNoValue});
    expect_rejected(
        OpKind::kWeightedLoss,
        {image({2, 3, 2, 2}), image({2, 3, 2, 2}), value({2}), value({2, 1, 2, 2}), kNoValue});
    expect_rejected(OpKind::kWeightedLoss,
                    {value({2, 6}), value({2, 6}), value({2}), kNoValue, value({2})});
    expect_rejected(OpKind::kWeightedLoss,
                    {value({2, 6}), value({2, 6}), value({2}), kNoValue, kNoValue},
                    {.loss = LossKind::kHuber});
    EXPECT_EQ(b_.shape(b_.dropout(value({2, 3, 4}), value({4}, DType::kI32), {.probability = 0.5})),
              (Shape{2, 3, 4}));
    expect_rejected(OpKind::kDropout, {value({2, 3}), value({4})}, {.probability = 0.5});
    expect_rejected(OpKind::kDropout, {value({2, 3}), value({4}, DType::kI32)}, {.probability = 1});
    EXPECT_EQ(b_.shape(b_.dora_scale(value({3, 5}), value({3}), 0)), (Shape{3}));
    expect_rejected(OpKind::kDoraScale, {value({3, 5}), value({5})});
    expect_rejected(OpKind::kClipCoefficient, {value({1})});
    const ValueId flat = value({5});
    const ValueId pieces = value({2, 4}, DType::kI32);
    const auto step = [&](ValueId g, ValueId s1, ValueId schedule, ValueId table) {
        return std::vector<ValueId>{
            flat, g, flat, s1, kNoValue, kNoValue, kNoValue, value({}), schedule, table, kNoValue};
    };
    const Attributes adamw{.update = {.rule = UpdateRule::kAdamW}};
    EXPECT_TRUE(
        b_.node(OpKind::kUpdateStep, step(flat, flat, value({2, 4}), pieces), adamw).empty());
    expect_rejected(OpKind::kUpdateStep, step(value({4}), flat, value({2, 4}), pieces), adamw);
    expect_rejected(OpKind::kUpdateStep, step(flat, kNoValue, value({2, 4}), pieces), adamw);
    expect_rejected(OpKind::kUpdateStep, step(flat, flat, value({2, 3}), pieces), adamw);
    expect_rejected(OpKind::kUpdateStep, step(flat, flat, value({2, 4}), value({2, 4})), adamw);
    // Kernels read the moment and the residues wherever the rule has them.
    const auto factored = [&](ValueId m, ValueId res) {
        const ValueId tensors = value({2, 7}, DType::kI32);
        return std::vector<ValueId>{
            flat, flat, flat, flat, m, res, res, value({}), value({2, 4}), tensors};
    };
    const Attributes came{.update = {.rule = UpdateRule::kCame}};
    const Attributes adafactor{.update = {.rule = UpdateRule::kAdafactor}};
    EXPECT_TRUE(b_.node(OpKind::kUpdateFactored, factored(flat, flat), came).empty());
    EXPECT_TRUE(b_.node(OpKind::kUpdateFactored, factored(kNoValue, kNoValue), adafactor).empty());
    EXPECT_TRUE(b_.node(OpKind::kUpdateFactored, factored(flat, kNoValue), adafactor).empty());
    expect_rejected(OpKind::kUpdateFactored, factored(kNoValue, flat), came);
    expect_rejected(OpKind::kUpdateFactored, factored(flat, kNoValue), came);
    expect_rejected(OpKind::kUpdateFactored, factored(flat, flat), adafactor);
}

}  // namespace
}  // namespace lora::ir

#include "backend/reference/internal/kernel.h"

#include <cstring>

#include "base/check.h"
#include "tensor/half.h"

namespace lora::reference {
namespace {

template <typename T, typename Convert>
void load_as(const std::byte* src, std::span<double> dst, Convert convert) {
    for (size_t i = 0; i < dst.size(); ++i) {
        T element;
        std::memcpy(&element, src + i * sizeof(T), sizeof(T));
        dst[i] = static_cast<double>(convert(element));
    }
}

template <typename T, typename Convert>
void store_as(std::span<const double> src, std::byte* dst, Convert convert) {
    for (size_t i = 0; i < src.size(); ++i) {
        const T element = convert(src[i]);
        std::memcpy(dst + i * sizeof(T), &element, sizeof(T));
    }
}

void load_elements(DType dtype, const std::byte* src, std::span<double> dst) {
    switch (dtype) {
        case DType::kF64: return load_as<double>(src, dst, [](double x) { return x; });
        case DType::kF32: return load_as<float>(src, dst, [](float x) { return x; });
        case DType::kF16: return load_as<uint16_t>(src, dst, f16_to_float);
        case DType::kBF16: return load_as<uint16_t>(src, dst, bf16_to_float);
        case DType::kI32: return load_as<int32_t>(src, dst, [](int32_t x) { return x; });
        case DType::kU8: return load_as<uint8_t>(src, dst, [](uint8_t x) { return x; });
        default: LORA_CHECK(false, "the reference backend does not read this type");
    }
}

void store_elements(DType dtype, std::span<const double> src, std::byte* dst) {
    switch (dtype) {
        case DType::kF64: return store_as<double>(src, dst, [](double x) { return x; });
        case DType::kF32:
            return store_as<float>(src, dst, [](double x) { return static_cast<float>(x); });
        case DType::kF16:
            return store_as<uint16_t>(
                src, dst, [](double x) { return float_to_f16(static_cast<float>(x)); });
        case DType::kBF16:
            return store_as<uint16_t>(
                src, dst, [](double x) { return float_to_bf16(static_cast<float>(x)); });
        case DType::kU8:
            return store_as<uint8_t>(src, dst, [](double x) { return static_cast<uint8_t>(x); });
        default: LORA_CHECK(false, "the reference backend does not write this type");
    }
}

}  // namespace

bool NodeRun::has(int input) const { return node_->inputs[static_cast<size_t>(input)].valid(); }

const ir::Value& NodeRun::input(int i) const {
    return graph_->value(node_->inputs[static_cast<size_t>(i)]);
}

const ir::Value& NodeRun::output(int i) const {
    return graph_->value(node_->outputs[static_cast<size_t>(i)]);
}

std::byte* NodeRun::address(ir::ValueId id) const {
    return addresses_[static_cast<size_t>(id.index)];
}

Doubles NodeRun::load(int input) const {
    return load_range(input, 0, this->input(input).shape.num_elements());
}

Doubles NodeRun::load_range(int input, int64_t first, int64_t count) const {
    const ir::Value& value = this->input(input);
    LORA_CHECK(first >= 0 && count >= 0 && first + count <= value.shape.num_elements());
    Doubles result(static_cast<size_t>(count));
    const std::byte* src = address(node_->inputs[static_cast<size_t>(input)]);
    load_elements(value.dtype, src + static_cast<size_t>(first) * dtype_bytes(value.dtype), result);
    return result;
}

Doubles NodeRun::zeros_like_output(int i) const {
    return Doubles(static_cast<size_t>(output(i).shape.num_elements()), 0.0);
}

void NodeRun::store(int output, std::span<const double> values) const {
    const ir::Value& value = this->output(output);
    LORA_CHECK(narrow<int64_t>(values.size()) == value.shape.num_elements());
    std::byte* dst = address(node_->outputs[static_cast<size_t>(output)]);
    if (!attrs().accumulate || output != 0) return store_elements(value.dtype, values, dst);
    Doubles sum(values.size());
    load_elements(value.dtype, dst, sum);
    for (size_t i = 0; i < sum.size(); ++i) sum[i] += values[i];
    store_elements(value.dtype, sum, dst);
}

void NodeRun::store_input(int input, std::span<const double> values) const {
    const ir::Value& value = this->input(input);
    LORA_CHECK(narrow<int64_t>(values.size()) == value.shape.num_elements());
    store_elements(value.dtype, values, address(node_->inputs[static_cast<size_t>(input)]));
}

ImageStrides image_strides(const Shape& shape, ir::Layout layout) {
    const int64_t channels = shape[1];
    const int64_t height = shape[2];
    const int64_t width = shape[3];
    if (layout == ir::Layout::kChannelsLast) {
        return {height * width * channels, 1, width * channels, channels};
    }
    return {channels * height * width, height * width, width, 1};
}

Kernel kernel_for(ir::OpKind op) {
    using ir::OpKind;
    switch (op) {
        case OpKind::kReshape:
        case OpKind::kImageToTokens:
        case OpKind::kTokensToImage: return nullptr;
        case OpKind::kReorder: return ops::reorder;
        case OpKind::kCast: return ops::cast;
        case OpKind::kConcat: return ops::concat;
        case OpKind::kSlice: return ops::slice;
        case OpKind::kPad: return ops::pad;
        case OpKind::kSwapAxes: return ops::swap_axes;
        case OpKind::kUpsample2x: return ops::upsample2x;
        case OpKind::kUpsample2xBackward: return ops::upsample2x_backward;
        case OpKind::kLinear: return ops::linear;
        case OpKind::kLinearBackwardWeight: return ops::linear_backward_weight;
        case OpKind::kConv2d: return ops::conv2d;
        case OpKind::kConv2dBackwardInput: return ops::conv2d_backward_input;
        case OpKind::kConv2dBackwardWeight: return ops::conv2d_backward_weight;
        case OpKind::kHadamard: return ops::hadamard;
        case OpKind::kHadamardBackward: return ops::hadamard_backward;
        case OpKind::kGroupNorm: return ops::group_norm;
        case OpKind::kGroupNormBackward: return ops::group_norm_backward;
        case OpKind::kLayerNorm: return ops::layer_norm;
        case OpKind::kLayerNormBackward: return ops::layer_norm_backward;
        case OpKind::kDoraScale: return ops::dora_scale;
        case OpKind::kDoraScaleBackward: return ops::dora_scale_backward;
        case OpKind::kAttention: return ops::attention;
        case OpKind::kAttentionBackward: return ops::attention_backward;
        case OpKind::kActivation: return ops::activation;
        case OpKind::kActivationBackward: return ops::activation_backward;
        case OpKind::kGeglu: return ops::geglu;
        case OpKind::kGegluBackward: return ops::geglu_backward;
        case OpKind::kAdd: return ops::add;
        case OpKind::kMultiply: return ops::multiply;
        case OpKind::kScale: return ops::scale;
        case OpKind::kAddChannel: return ops::add_channel;
        case OpKind::kSumSpatial: return ops::sum_spatial;
        case OpKind::kMixRows: return ops::mix_rows;
        case OpKind::kDropout: return ops::dropout;
        case OpKind::kEmbedding: return ops::embedding;
        case OpKind::kTimestepEmbedding: return ops::timestep_embedding;
        case OpKind::kDequantize: return ops::dequantize;
        case OpKind::kWeightedLoss: return ops::weighted_loss;
        case OpKind::kWeightedLossBackward: return ops::weighted_loss_backward;
        case OpKind::kSumSquares: return ops::sum_squares;
        case OpKind::kClipCoefficient: return ops::clip_coefficient;
        case OpKind::kUpdateGlobals: return ops::update_globals;
        case OpKind::kUpdateSums: return ops::update_sums;
        case OpKind::kUpdateStep: return ops::update_step;
        case OpKind::kUpdateStep8bit: return ops::update_step_8bit;
        case OpKind::kUpdateFactored: return ops::update_factored;
        case OpKind::kLimitNorm: return ops::limit_norm;
        case OpKind::kCount_: break;
    }
    return nullptr;
}

}  // namespace lora::reference

// What layers share: the graph being written, the compute type, and the branches to add to layers.
// A branch is a change of a frozen layer's weight, y = W x + b + scale * dW x. It is not added into
// W, where half precision would round small changes away, but for loha without dropout or
// magnitudes: its dW is a whole weight, and a product of its own would cost as much as the layer.
// Its sum with W is rounded so that nothing is lost on average (backend/dither_rules.h,
// docs/decisions/0009). Not the training of it (train/), not key names (models/keymap).
//
// Kinds, with the layer's weight [out, in(, k, k)] and the factors' names in files:
//   lora  dW = up down (Hu et al., arXiv:2106.09685 eq. 3); with lora_mid up mid down, where
//         down is 1x1
//   loha  dW = (w1_a w1_b) * (w2_a w2_b) elementwise (Hyeon-Woo et al., arXiv:2108.06098); with
//         hada_t1, t2 each factor is the Tucker product of t, w_a, w_b
//   lokr  dW = kron(w1, w2), each whole or a product of two (Yeh et al., arXiv:2309.14859)
//   ia3   dW = W scaled by the layer's outputs (or inputs) (Liu et al., arXiv:2205.05638)
// All but ia3 may have a magnitude for each output, dora_scale (DoRA: Liu et al.,
// arXiv:2402.09353): the rows of W + dW are then as long as it says. Shapes of factors   as LyCORIS
// and sd-scripts store them (training-semantics 6.2, 6.7).
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "ir/builder.h"

namespace lora::nn {

using ir::ValueId;

enum class LoraKind : uint8_t { kLora, kLoha, kLokr, kIa3 };

// The suffix of DoRA's magnitudes [out, 1(, 1, 1)].
inline constexpr std::string_view kMagnitude = "dora_scale";

struct LoraFactor {
    std::string suffix;  // "lora_down.weight"
    Shape shape;         // as in the file
};

// What a training step leaves out of a branch at random; the chances. As sd-scripts' networks.lora
// does (training-semantics 6.3), on the activations of the rank:
//   elements  single values, the rest divided by 1 - p
//   rank      whole ranks of a sample, the rest divided by 1 - p
//   module    the whole branch
// on_output: as LyCORIS does, on what the branch adds: single values; whole outputs of all samples,
// the rest as it was; the whole branch.
struct LoraDropout {
    double elements = 0;
    double rank = 0;
    double module = 0;
    bool on_output = false;
    [[nodiscard]] bool any() const { return elements > 0 || rank > 0 || module > 0; }
};

struct LoraAttachment {
    LoraKind kind = LoraKind::kLora;
    std::string module;               // values are named "<module>.<suffix>"
    std::vector<LoraFactor> factors;  // those of the kind that the module has
    double scale = 1;                 // alpha / rank, times the multiplier when sampling
    double multiplier = 1;            // of magnitudes, when sampling
    bool on_input = false;            // ia3: scales the layer's inputs
    bool trainable = false;
    LoraDropout dropout = {};
    int64_t number = 0;  // of the branch among all: its dropout's random numbers
};

// down [rank, in(, k, k)] and up [out, rank(, 1, 1)] for a weight of this shape.
[[nodiscard]] std::vector<LoraFactor> lora_factors(const Shape& weight, int64_t rank);

class LoraAttachments {
public:
    // `weight_name` is the adapted tensor ("...to_q.weight"); several branches may share one. Gives
    // the branch its number.
    void add(const std::string& weight_name, LoraAttachment attachment);
    // Empty when the tensor has no branch.
    [[nodiscard]] const std::vector<LoraAttachment>& find(const std::string& weight_name) const;
    [[nodiscard]] bool empty() const { return by_weight_.empty(); }
    // A branch has a dropout.
    [[nodiscard]] bool drops() const { return drops_; }

private:
    std::unordered_map<std::string, std::vector<LoraAttachment>> by_weight_;
    int64_t num_added_ = 0;
    std::vector<LoraAttachment> none_;
    bool drops_ = false;
};

struct NetContext {
    ir::Builder* builder = nullptr;
    DType dtype = DType::kF32;              // of activations and frozen weights
    const LoraAttachments* lora = nullptr;  // may be null
    bool quantize_base = false;             // matrices and filters in 8 bits (base_quant)
    ValueId dropout_key = ir::kNoValue;     // I32 [4]: seed and step; without it nothing is dropped
};

// The frozen tensor `name` in the compute type.
[[nodiscard]] ValueId weight(const NetContext& net, const std::string& name, const Shape& shape);

// The same for the matrix of a linear layer or the filter of a convolution, which may be quantised:
// the graph then names `name` in U8 and `name`#scale, one fp32 a row.
inline constexpr const char* kScaleSuffix = "#scale";
[[nodiscard]] ValueId matrix(const NetContext& net, const std::string& name, const Shape& shape);

// `w`, the weight of that name, with the branches that are added into it. The functions below leave
// these out, and take `w` as it was.
[[nodiscard]] ValueId with_rebuilt(const NetContext& net,
                                   const std::string& weight_name,
                                   ValueId w);

// y [.., out] plus the branches of `weight_name` applied to x [.., in]; `w` is that weight.
[[nodiscard]] ValueId add_lora_to_linear(
    const NetContext& net, const std::string& weight_name, ValueId w, ValueId x, ValueId y);

// The change of a whole weight [out, in(, k, k)] as a matrix [out, in * k * k] in the net's type,
// with the branch's scale but without its magnitudes. `w` is that weight, of any type; ia3 alone
// reads it.
[[nodiscard]] ValueId weight_change(const NetContext& net,
                                    const LoraAttachment& attachment,
                                    const Shape& weight,
                                    ValueId w);
// The whole weight with its change, and with magnitudes where the module has them.
[[nodiscard]] ValueId changed_weight(const NetContext& net,
                                     const LoraAttachment& attachment,
                                     const Shape& weight,
                                     ValueId w);

// The same for a convolution with kernel size, stride and padding of the original.
struct LoraConv {
    int64_t kernel = 3;
    int64_t stride = 1;
    std::array<int64_t, 4> pad{};  // top, left, bottom, right
    // Of height (axis 0) or width (axis 1).
    [[nodiscard]] int64_t output_size(int64_t size, size_t axis) const {
        return (size + pad[axis] + pad[axis + 2] - kernel) / stride + 1;
    }
};
[[nodiscard]] ValueId add_lora_to_conv(const NetContext& net,
                                       const std::string& weight_name,
                                       const LoraConv& conv,
                                       ValueId w,
                                       ValueId x,
                                       ValueId y);

}  // namespace lora::nn

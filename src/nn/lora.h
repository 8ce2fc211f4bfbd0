// What layers share: the graph being written, the compute type, and the LoRA branches to add.
// A branch computes y = W x + b + scale * up(down(x)); its two matrices are trainable parameters or
// frozen weights. Not the training of them (train/), not key names (models/keymap).
// Shapes   down [rank, in] or [rank, in, kh, kw]; up [out, rank]. Files hold 1x1 kernels with two
//          more axes of size 1.
// Source   Hu et al., arXiv:2106.09685 eq. 3.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "ir/builder.h"

namespace lora::nn {

using ir::ValueId;

struct LoraAttachment {
    std::string down_name;  // value names; for parameters the keys of the LoRA file
    std::string up_name;
    int64_t rank = 4;
    double scale = 1;  // alpha / rank, times the multiplier when sampling
    bool trainable = false;
};

class LoraAttachments {
public:
    // `weight_name` is the adapted tensor ("...to_q.weight"); several branches may share one.
    void add(const std::string& weight_name, LoraAttachment attachment);
    // Empty when the tensor has no branch.
    [[nodiscard]] const std::vector<LoraAttachment>& find(const std::string& weight_name) const;
    [[nodiscard]] bool empty() const { return by_weight_.empty(); }

private:
    std::unordered_map<std::string, std::vector<LoraAttachment>> by_weight_;
    std::vector<LoraAttachment> none_;
};

struct NetContext {
    ir::Builder* builder = nullptr;
    DType dtype = DType::kF32;              // of activations and frozen weights
    const LoraAttachments* lora = nullptr;  // may be null
};

// The frozen tensor `name` in the compute type.
[[nodiscard]] ValueId weight(const NetContext& net, const std::string& name, const Shape& shape);

// y [.., out] plus the branches of `weight_name` applied to x [.., in].
[[nodiscard]] ValueId add_lora_to_linear(const NetContext& net,
                                         const std::string& weight_name,
                                         ValueId x,
                                         ValueId y);

// The same for a convolution with kernel size, stride and padding of the original.
struct LoraConv {
    int64_t kernel = 3;
    int64_t stride = 1;
    std::array<int64_t, 4> pad{};
};
[[nodiscard]] ValueId add_lora_to_conv(const NetContext& net,
                                       const std::string& weight_name,
                                       const LoraConv& conv,
                                       ValueId x,
                                       ValueId y);

}  // namespace lora::nn

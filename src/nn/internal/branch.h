// One branch of one layer while its graph is written. Each kind has a file: lora.cpp, loha.cpp,
// lokr.cpp, ia3.cpp; what they share: dropout.cpp, weight_change.cpp.
#pragma once

#include <string_view>

#include "nn/lora.h"

namespace lora::nn::internal {

struct Branch {
    const NetContext& net;
    const LoraAttachment& attachment;
    ValueId w;    // the frozen weight; none where only the change is wanted
    DType dtype;  // of the factors' values

    [[nodiscard]] ir::Builder& builder() const { return *net.builder; }
    // The factor's shape in the file; nullptr when the module has no such factor.
    [[nodiscard]] const Shape* find(std::string_view suffix) const;
    [[nodiscard]] const Shape& shape(std::string_view suffix) const;
    // The factor in `dtype`, as `shape`: same numbers in the same order as in the file.
    [[nodiscard]] ValueId factor(std::string_view suffix, const Shape& shape) const;
    // As a matrix [first axis, all others].
    [[nodiscard]] ValueId matrix(std::string_view suffix) const;
};

// The activations of the rank [N, .., R] with what the branch's dropout leaves of them, unless that
// works on the output.
[[nodiscard]] ValueId drop_ranks(const Branch& branch, ValueId ranks);
// What the branch adds [N, .., out], the same.
[[nodiscard]] ValueId drop_change(const Branch& branch, ValueId change);
// Whether drop_change does anything.
[[nodiscard]] bool drops_change(const Branch& branch);

// What the branch adds, plus y unless that is kNoValue. Linear: x [.., in], y [.., out].
// Convolution: images; `conv` is the layer's.
[[nodiscard]] ValueId lora_linear(const Branch& branch, ValueId x, ValueId y);
[[nodiscard]] ValueId lora_conv(const Branch& branch, const LoraConv& conv, ValueId x, ValueId y);
[[nodiscard]] ValueId loha_linear(const Branch& branch, ValueId x, ValueId y);
[[nodiscard]] ValueId loha_conv(const Branch& branch, const LoraConv& conv, ValueId x, ValueId y);
[[nodiscard]] ValueId lokr_linear(const Branch& branch, ValueId x, ValueId y);
[[nodiscard]] ValueId lokr_conv(const Branch& branch, const LoraConv& conv, ValueId x, ValueId y);
[[nodiscard]] ValueId ia3_linear(const Branch& branch, ValueId x, ValueId y);
[[nodiscard]] ValueId ia3_conv(const Branch& branch, const LoraConv& conv, ValueId x, ValueId y);

// LoHa's change of the weight [out, in * k * k], with the branch's scale; plus `weight`
// [out, in(, k, k)] unless that is kNoValue, whose shape the result then has.
[[nodiscard]] ValueId loha_change(const Branch& branch, ValueId weight = ir::kNoValue);
// Z[p, q, k] = sum over m, n of t[m, n, k] a[m, p] b[n, q] as a product of two: the core t
// [r, r, k, k] goes into the right factor b [r, in], which is small. -> [r, in * k * k]
[[nodiscard]] ValueId tucker_right(const Branch& branch, std::string_view t, ValueId right);
// Both: [out, r] of w_a [r, out], and the right one of w_b [r, in].
[[nodiscard]] ir::Builder::LowRank tucker_pair(const Branch& branch,
                                               std::string_view t,
                                               std::string_view w_a,
                                               std::string_view w_b);

// Whether the module has magnitudes (DoRA).
[[nodiscard]] bool has_magnitude(const Branch& branch);
// What the magnitudes make of a change: change + h * (W x + change), h [out] = m / ||W + dW|| - 1
// of each output's row (Liu et al., arXiv:2402.09353, eq. 5). `base` is W x without bias, alike.
[[nodiscard]] ValueId with_magnitude(const Branch& branch,
                                     const Shape& weight,
                                     ValueId change,
                                     ValueId base);

}  // namespace lora::nn::internal

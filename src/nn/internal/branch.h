// One branch of one layer while its graph is written. Each kind has a file: lora.cpp, loha.cpp,
// lokr.cpp, ia3.cpp.
#pragma once

#include <string_view>

#include "nn/lora.h"

namespace lora::nn::internal {

struct Branch {
    const NetContext& net;
    const LoraAttachment& attachment;
    ValueId w;  // the frozen weight

    [[nodiscard]] ir::Builder& builder() const { return *net.builder; }
    // The factor's shape in the file; nullptr when the module has no such factor.
    [[nodiscard]] const Shape* find(std::string_view suffix) const;
    [[nodiscard]] const Shape& shape(std::string_view suffix) const;
    // The factor in the compute type, as `shape`: same numbers in the same order as in the file.
    [[nodiscard]] ValueId factor(std::string_view suffix, const Shape& shape) const;
    // As a matrix [first axis, all others].
    [[nodiscard]] ValueId matrix(std::string_view suffix) const;
};

// Each gives y plus the branch. Linear: x [.., in], y [.., out]. Convolution: images; `conv` is the
// layer's.
[[nodiscard]] ValueId lora_linear(const Branch& branch, ValueId x, ValueId y);
[[nodiscard]] ValueId lora_conv(const Branch& branch, const LoraConv& conv, ValueId x, ValueId y);
[[nodiscard]] ValueId loha_linear(const Branch& branch, ValueId x, ValueId y);
[[nodiscard]] ValueId loha_conv(const Branch& branch, const LoraConv& conv, ValueId x, ValueId y);
[[nodiscard]] ValueId lokr_linear(const Branch& branch, ValueId x, ValueId y);
[[nodiscard]] ValueId lokr_conv(const Branch& branch, const LoraConv& conv, ValueId x, ValueId y);
[[nodiscard]] ValueId ia3_linear(const Branch& branch, ValueId x, ValueId y);
[[nodiscard]] ValueId ia3_conv(const Branch& branch, const LoraConv& conv, ValueId x, ValueId y);

}  // namespace lora::nn::internal

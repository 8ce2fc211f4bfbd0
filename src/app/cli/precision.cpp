#include "app/cli/precision.h"

#include "base/log.h"

namespace lora::app {
namespace {

std::string precision_name(DType dtype) {
    if (dtype == DType::kBF16) return "bf16";
    return dtype == DType::kF16 ? "fp16" : "no";
}

}  // namespace

DType precision_dtype(std::string_view precision) {
    if (precision == "bf16") return DType::kBF16;
    return precision == "fp16" ? DType::kF16 : DType::kF32;
}

std::string choose_precision(std::string_view asked, const backend::Backend& backend) {
    std::string best = precision_name(backend.preferred_dtype());
    if (asked == "auto" || asked.empty()) return best;
    if (backend.supports(precision_dtype(asked))) return std::string(asked);
    log::warning("{} does not compute in {}; mixed_precision {} is used instead",
                 backend.device_description(),
                 asked,
                 best);
    return best;
}

}  // namespace lora::app

// The optimizer's methods, for op.h and for kernels, which include nothing else of the graph.
#pragma once

#include <cstdint>

namespace lora::ir {

// Methods of the update. Equations: training-semantics 7.3 and the papers named in
// backend/reference/update.cpp.
enum class UpdateRule : uint8_t {
    kAdamW,
    kLion,
    kSgdNesterov,
    kScheduleFreeAdamW,
    kDAdaptAdam,
    kDAdaptLion,
    kDAdaptSgd,
    kDAdaptAdan,
    kProdigy,
    kAdafactor,
    kCame,
};

inline constexpr int kMostLimitFactors = 6;  // of limit_norm

}  // namespace lora::ir

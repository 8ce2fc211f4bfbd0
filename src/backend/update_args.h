// Operands and settings of the optimizer's kernels, which cpu and cuda share, and the few functions
// that their rules need. Also compiled by nvcc; without the standard library, because it is
// compiled once for every instruction set.
#pragma once

#include <cstdint>

#include "ir/update_rule.h"

#ifdef __CUDACC__
#define LORA_RULE __host__ __device__ __forceinline__
#else
#define LORA_RULE inline __attribute__((always_inline))
#endif

namespace lora::ir {
struct UpdateAttributes;
}

namespace lora::backend {

inline constexpr int kMaxUpdateStates = 5;
inline constexpr int kNumUpdateSums = 4;

// ir::UpdateAttributes as kernels want them.
struct UpdateConstants {
    float beta1 = 0;
    float one_minus_beta1 = 0;
    float beta2 = 0;
    float one_minus_beta2 = 0;
    float beta3 = 0;
    float one_minus_beta3 = 0;
    float root_beta2 = 0;  // q = sqrt(beta2)
    float one_minus_root_beta2 = 0;
    float eps = 0;
    float eps2 = 0;
    float weight_decay = 0;
    float clip_threshold = 1;
    double growth_rate = 0;
    double d_coef = 1;
    double weight_lr_power = 2;
    double exact_beta2 = 0;
    double exact_beta3 = 0;
    int decouple = 1;
    int decay_last = 0;
    int safeguard_warmup = 0;
    int no_prox = 0;
    int scale_parameter = 1;
};

[[nodiscard]] UpdateConstants update_constants(const ir::UpdateAttributes& attrs);

// Operands of update_sums and update_step. Pointers lie where the kernels run.
struct UpdateArgs {
    float* p = nullptr;
    const float* g = nullptr;
    float* s[kMaxUpdateStates] = {};
    const float* clip = nullptr;
    const float* schedule = nullptr;
    const int32_t* pieces = nullptr;
    const float* scalars = nullptr;
    double* partial = nullptr;  // update_sums: four sums a piece
    float* sums = nullptr;
    int64_t num_pieces = 0;
    int aligned = 0;  // cuda: all flat operands start at a multiple of 16 bytes
    UpdateConstants k;
};

struct Update8bitArgs {
    float* p = nullptr;
    const float* g = nullptr;
    uint8_t* q[2] = {};
    float* absmax[2] = {};
    const float* clip = nullptr;
    const float* schedule = nullptr;
    const int32_t* pieces = nullptr;
    const float* maps = nullptr;
    UpdateConstants k;
};

struct UpdateFactoredArgs {
    float* p = nullptr;
    const float* g = nullptr;
    float* row = nullptr;
    float* col = nullptr;
    float* m = nullptr;
    float* res_row = nullptr;
    float* res_col = nullptr;
    const float* clip = nullptr;
    const float* schedule = nullptr;
    const int32_t* tensors = nullptr;
    float* direction = nullptr;  // scratch as long as p
    float* mean = nullptr;       // cuda: scratch as long as p; of a tensor's matrices
    int64_t num_tensors = 0;
    int is_came = 0;
    UpdateConstants k;
};

// A row of `tensors`: `matrices` of rows x cols, one after the other.
struct FactoredTensor {
    int begin, count, group, rows, cols, row_begin, col_begin, matrices;
    LORA_RULE explicit FactoredTensor(const int32_t* t)
        : begin(t[0]),
          count(t[1]),
          group(t[2]),
          rows(t[3]),
          cols(t[4]),
          row_begin(t[5]),
          col_begin(t[6]),
          matrices(t[1] / (t[3] * t[4])) {}
};

// state = beta state + rest * mean of (x^2 + eps).
struct FactoredAverage {
    float eps;
    float beta;
    float rest;  // 1 - beta
};

struct UpdateGlobalsArgs {
    ir::UpdateRule rule = ir::UpdateRule::kAdamW;
    float* globals = nullptr;
    const float* schedule = nullptr;
    const float* sums = nullptr;         // null before the sums
    const float* sum_squares = nullptr;  // null where not needed
    const float* clip = nullptr;
    float* scalars = nullptr;
    UpdateConstants k;
};

// What the elements of a piece share.
struct UpdateFactors {
    float clip = 1;
    const float* row = nullptr;      // of the schedule
    const float* scalars = nullptr;  // null where the rule has none
};

LORA_RULE float update_sign(float x) {
    return static_cast<float>(x > 0.0F) - static_cast<float>(x < 0.0F);
}
#ifdef __CUDACC__
LORA_RULE float update_root(float x) { return sqrtf(x); }
LORA_RULE float update_abs(float x) { return fabsf(x); }
#else
// The compiler's own: this header is compiled once for every instruction set.
LORA_RULE float update_root(float x) { return __builtin_sqrtf(x); }
LORA_RULE float update_abs(float x) { return __builtin_fabsf(x); }
#endif

}  // namespace lora::backend

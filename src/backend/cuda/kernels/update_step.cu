// The optimizer's methods over pieces of the flat parameters; formulas: backend/update_rules.h.
// Launch: 256 threads, a block a piece. Checked by tests/support/cases/update.cpp.
#include "backend/cuda/kernels/pieces.cuh"
#include "backend/update_globals.h"
#include "backend/update_rules.h"
#include "backend/update_sum_rules.h"

namespace lora::cuda {

using backend::kMaxUpdateStates;
using backend::kNumUpdateSums;
using backend::UpdateArgs;

// Four neighbouring elements of a block's piece, their states, and where they lie.
template <int kStates>
struct Quad {
    float p[4];
    float g[4];
    float s[kMaxUpdateStates][4];
    int valid = 0;
    bool whole = false;

    __device__ __forceinline__ void load(const UpdateArgs& a, const int32_t* piece, int j) {
        const int rest = piece[1] - j;
        valid = rest < 4 ? rest : 4;
        whole = a.aligned != 0 && rest >= 4 && (piece[0] | piece[3]) % 4 == 0;
        load_elements(a.p + piece[0] + j, valid, whole, p);
        load_elements(a.g + piece[0] + j, valid, whole, g);
#pragma unroll
        for (int i = 0; i < kStates; ++i) {
            load_elements(a.s[i] + piece[3] + j, valid, whole, s[i]);
        }
    }
    __device__ __forceinline__ void store(
        const UpdateArgs& a, const int32_t* piece, int j, bool moves_p, unsigned written) const {
        if (moves_p) store_elements(a.p + piece[0] + j, valid, whole, p);
#pragma unroll
        for (int i = 0; i < kStates; ++i) {
            if ((written >> i & 1U) != 0) {
                store_elements(a.s[i] + piece[3] + j, valid, whole, s[i]);
            }
        }
    }
    // fn(p, g, s) for each element.
    template <typename Fn>
    __device__ __forceinline__ void each(Fn fn) {
#pragma unroll
        for (int e = 0; e < 4; ++e) {
            if (e >= valid) continue;
            float states[kMaxUpdateStates];
#pragma unroll
            for (int i = 0; i < kStates; ++i) states[i] = s[i][e];
            fn(p[e], g[e], states);
#pragma unroll
            for (int i = 0; i < kStates; ++i) s[i][e] = states[i];
        }
    }
};

template <typename Rule>
__device__ void step_piece(const UpdateArgs& a) {
    const int32_t* piece = a.pieces + 4 * blockIdx.x;
    const Rule rule(a.k, {*a.clip, a.schedule + 4 * piece[2], a.scalars});
    for (int j = static_cast<int>(threadIdx.x) * 4; j < piece[1];
         j += static_cast<int>(blockDim.x) * 4) {
        Quad<Rule::kStates> quad;
        quad.load(a, piece, j);
        quad.each([&](float& p, float g, float* s) { rule(p, g, s); });
        quad.store(a, piece, j, true, Rule::kWritten);
    }
}

template <typename Rule>
__device__ void sum_piece(const UpdateArgs& a) {
    __shared__ double partial[kNumUpdateSums][32];
    const int32_t* piece = a.pieces + 4 * blockIdx.x;
    const Rule rule(a.k, {*a.clip, a.schedule + 4 * piece[2], a.scalars});
    double sum[kNumUpdateSums] = {};
    for (int j = static_cast<int>(threadIdx.x) * 4; j < piece[1];
         j += static_cast<int>(blockDim.x) * 4) {
        Quad<Rule::kStates> quad;
        quad.load(a, piece, j);
        quad.each([&](float& p, float g, float* s) { rule(p, g, s, sum); });
        quad.store(a, piece, j, Rule::kMovesP, Rule::kWritten);
    }
    for (int i = 0; i < kNumUpdateSums; ++i) {
        const double total = block_sum(sum[i], partial[i]);
        if (threadIdx.x == 0) a.partial[kNumUpdateSums * blockIdx.x + i] = total;
    }
}

// The sums of all pieces; one block.
extern "C" __global__ void update_sums_finish(const UpdateArgs a) {
    __shared__ double partial[kNumUpdateSums][32];
    for (int i = 0; i < kNumUpdateSums; ++i) {
        double sum = 0;
        for (int64_t j = threadIdx.x; j < a.num_pieces; j += blockDim.x) {
            sum += a.partial[kNumUpdateSums * j + i];
        }
        const double total = block_sum(sum, partial[i]);
        if (threadIdx.x == 0) a.sums[i] = static_cast<float>(total);
    }
}

extern "C" __global__ void update_globals(const backend::UpdateGlobalsArgs a) {
    backend::begin_update(a);
    if (a.sums != nullptr) backend::end_update(a);
}

#define LORA_STEP(name, Rule) \
    extern "C" __global__ void update_step_##name(const UpdateArgs a) { step_piece<Rule>(a); }
// Nothing moves while nothing is known of d.
#define LORA_ADAPTED_STEP(name, Rule)                                   \
    extern "C" __global__ void update_step_##name(const UpdateArgs a) { \
        if (a.scalars[2] != 0.0F) step_piece<Rule>(a);                  \
    }
#define LORA_SUMS(name, Rule) \
    extern "C" __global__ void update_sums_##name(const UpdateArgs a) { sum_piece<Rule>(a); }

LORA_STEP(adamw, backend::AdamWStep)
LORA_STEP(lion, backend::LionStep)
LORA_STEP(sgd_nesterov, backend::SgdNesterovStep)
LORA_STEP(schedule_free_adamw, backend::ScheduleFreeAdamWStep)
LORA_ADAPTED_STEP(dadapt_adam, backend::DAdaptAdamStep)
LORA_ADAPTED_STEP(dadapt_sgd, backend::DAdaptSgdStep)
LORA_ADAPTED_STEP(dadapt_adan, backend::DAdaptAdanStep)
LORA_ADAPTED_STEP(prodigy, backend::ProdigyStep)
LORA_SUMS(dadapt_adam, backend::DAdaptAdamSums)
LORA_SUMS(dadapt_lion, backend::DAdaptLionSums)
LORA_SUMS(dadapt_sgd, backend::DAdaptSgdSums)
LORA_SUMS(dadapt_adan, backend::DAdaptAdanSums)
LORA_SUMS(prodigy, backend::ProdigySums)

// States in 8 bit: a thread an element, a block one block of at most 256 elements.
template <typename Rule>
__device__ void step_block(const backend::Update8bitArgs& a) {
    __shared__ float map[2][256];
    __shared__ float most[2][8];
    const int32_t* piece = a.pieces + 4 * blockIdx.x;
    const int t = static_cast<int>(threadIdx.x);
    const bool valid = t < piece[1];
    float s[kMaxUpdateStates] = {};
#pragma unroll
    for (int i = 0; i < Rule::kStates; ++i) map[i][t] = a.maps[256 * i + t];
    __syncthreads();
#pragma unroll
    for (int i = 0; i < Rule::kStates; ++i) {
        if (valid) s[i] = map[i][a.q[i][piece[3] + t]] * a.absmax[i][blockIdx.x];
    }
    const float g = valid ? a.g[piece[0] + t] : 0.0F;
    if (valid && isfinite(*a.clip * g)) {
        const Rule rule(a.k, {*a.clip, a.schedule + 4 * piece[2], nullptr});
        float p = a.p[piece[0] + t];
        rule(p, g, s);
        a.p[piece[0] + t] = p;
    }
#pragma unroll
    for (int i = 0; i < Rule::kStates; ++i) {
        const float size = warp_max(fabsf(s[i]));
        if (t % 32 == 0) most[i][t / 32] = size;
    }
    __syncthreads();
#pragma unroll
    for (int i = 0; i < Rule::kStates; ++i) {
        float absmax = 0;
        for (int w = 0; w < 8; ++w) absmax = fmaxf(absmax, most[i][w]);
        const float share = absmax > 0.0F ? s[i] / absmax : 0.0F;
        if (valid) {
            a.q[i][piece[3] + t] = static_cast<uint8_t>(backend::nearest_in_map(map[i], share));
        }
        if (t == 0) a.absmax[i][blockIdx.x] = absmax;
    }
}

#define LORA_STEP_8BIT(name, Rule)                                                        \
    extern "C" __global__ void update_step_8bit_##name(const backend::Update8bitArgs a) { \
        step_block<Rule>(a);                                                              \
    }
LORA_STEP_8BIT(adamw, backend::AdamWStep)
LORA_STEP_8BIT(lion, backend::LionStep)
LORA_STEP_8BIT(sgd_nesterov, backend::SgdNesterovStep)

}  // namespace lora::cuda

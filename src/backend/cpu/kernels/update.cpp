// The optimizer's methods over pieces of the flat parameters; formulas: backend/update_rules.h.
#include "backend/cpu/kernels/registry.h"
#include "backend/cpu/kernels/simd.h"
#include "backend/update_rules.h"
#include "backend/update_sum_rules.h"

namespace lora::cpu::LORA_CPU_ISA {
namespace {

using backend::Update8bitArgs;
using backend::UpdateArgs;
using backend::UpdateFactoredArgs;
using backend::UpdateFactors;
using ir::UpdateRule;

constexpr int kMaxStates = backend::kMaxUpdateStates;
constexpr int kBlock = 256;  // elements of an 8-bit block

// Where a piece lies.
struct Span {
    float* __restrict p;
    const float* __restrict g;
    float* __restrict s[kMaxStates];
    int64_t count;
};

Span span_of(const UpdateArgs& a, const int32_t* piece) {
    Span span{a.p + piece[0], a.g + piece[0], {}, piece[1]};
    for (int i = 0; i < kMaxStates; ++i) {
        span.s[i] = a.s[i] == nullptr ? nullptr : a.s[i] + piece[3];
    }
    return span;
}

UpdateFactors factors_of(const UpdateArgs& a, const int32_t* piece) {
    return {*a.clip, a.schedule + 4 * piece[2], a.scalars};
}

template <typename Rule>
void step_piece(const UpdateArgs& a, const int32_t* piece) {
    const Rule rule(a.k, factors_of(a, piece));
    const Span span = span_of(a, piece);
    float* __restrict p = span.p;
    const float* __restrict g = span.g;
    for (int64_t j = 0; j < span.count; ++j) {
        float s[kMaxStates];
        for (int i = 0; i < Rule::kStates; ++i) s[i] = span.s[i][j];
        float value = p[j];
        rule(value, g[j], s);
        p[j] = value;
        for (int i = 0; i < Rule::kStates; ++i) {
            if ((Rule::kWritten >> i & 1U) != 0) span.s[i][j] = s[i];
        }
    }
}

template <typename Rule>
void sum_piece(const UpdateArgs& a, const int32_t* piece, double* sum) {
    const Rule rule(a.k, factors_of(a, piece));
    const Span span = span_of(a, piece);
    for (int i = 0; i < backend::kNumUpdateSums; ++i) sum[i] = 0;
    for (int64_t j = 0; j < span.count; ++j) {
        float s[kMaxStates];
        for (int i = 0; i < Rule::kStates; ++i) s[i] = span.s[i][j];
        float value = span.p[j];
        rule(value, span.g[j], s, sum);
        if (Rule::kMovesP) span.p[j] = value;
        for (int i = 0; i < Rule::kStates; ++i) {
            if ((Rule::kWritten >> i & 1U) != 0) span.s[i][j] = s[i];
        }
    }
}

using StepPiece = void (*)(const UpdateArgs&, const int32_t*);
using SumPiece = void (*)(const UpdateArgs&, const int32_t*, double*);

StepPiece step_of(UpdateRule rule) {
    switch (rule) {
        case UpdateRule::kAdamW: return step_piece<backend::AdamWStep>;
        case UpdateRule::kLion: return step_piece<backend::LionStep>;
        case UpdateRule::kSgdNesterov: return step_piece<backend::SgdNesterovStep>;
        case UpdateRule::kScheduleFreeAdamW: return step_piece<backend::ScheduleFreeAdamWStep>;
        case UpdateRule::kDAdaptAdam: return step_piece<backend::DAdaptAdamStep>;
        case UpdateRule::kDAdaptSgd: return step_piece<backend::DAdaptSgdStep>;
        case UpdateRule::kDAdaptAdan: return step_piece<backend::DAdaptAdanStep>;
        case UpdateRule::kProdigy: return step_piece<backend::ProdigyStep>;
        default: return nullptr;
    }
}

SumPiece sum_of_rule(UpdateRule rule) {
    switch (rule) {
        case UpdateRule::kDAdaptAdam: return sum_piece<backend::DAdaptAdamSums>;
        case UpdateRule::kDAdaptLion: return sum_piece<backend::DAdaptLionSums>;
        case UpdateRule::kDAdaptSgd: return sum_piece<backend::DAdaptSgdSums>;
        case UpdateRule::kDAdaptAdan: return sum_piece<backend::DAdaptAdanSums>;
        case UpdateRule::kProdigy: return sum_piece<backend::ProdigySums>;
        default: return nullptr;
    }
}

void update_step(UpdateRule rule, const UpdateArgs& a, int64_t begin, int64_t end) {
    const StepPiece step = step_of(rule);
    for (int64_t i = begin; i < end; ++i) step(a, a.pieces + 4 * i);
}

void update_sums(UpdateRule rule, const UpdateArgs& a, int64_t begin, int64_t end) {
    const SumPiece sum = sum_of_rule(rule);
    for (int64_t i = begin; i < end; ++i) {
        sum(a, a.pieces + 4 * i, a.partial + backend::kNumUpdateSums * i);
    }
}

void pack(const float* map, const float* x, int64_t count, uint8_t* q, float& absmax) {
    float most = 0;
    for (int64_t j = 0; j < count; ++j) {
        const float size = __builtin_fabsf(x[j]);
        most = size > most ? size : most;
    }
    absmax = most;
    for (int64_t j = 0; j < count; ++j) {
        const float share = most > 0 ? x[j] / most : 0.0F;
        q[j] = static_cast<uint8_t>(backend::nearest_in_map(map, share));
    }
}

template <typename Rule>
void step_block(const Update8bitArgs& a, int64_t index) {
    const int32_t* piece = a.pieces + 4 * index;
    const int64_t count = piece[1];
    const Rule rule(a.k, {*a.clip, a.schedule + 4 * piece[2], nullptr});
    float state[Rule::kStates][kBlock];
    for (int i = 0; i < Rule::kStates; ++i) {
        const uint8_t* q = a.q[i] + piece[3];
        const float absmax = a.absmax[i][index];
        for (int64_t j = 0; j < count; ++j) state[i][j] = a.maps[256 * i + q[j]] * absmax;
    }
    for (int64_t j = 0; j < count; ++j) {
        const float g = a.g[piece[0] + j];
        if (!__builtin_isfinite(*a.clip * g)) continue;
        float s[kMaxStates];
        for (int i = 0; i < Rule::kStates; ++i) s[i] = state[i][j];
        rule(a.p[piece[0] + j], g, s);
        for (int i = 0; i < Rule::kStates; ++i) state[i][j] = s[i];
    }
    for (int i = 0; i < Rule::kStates; ++i) {
        pack(a.maps + 256 * i, state[i], count, a.q[i] + piece[3], a.absmax[i][index]);
    }
}

void update_step_8bit(UpdateRule rule, const Update8bitArgs& a, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
        if (rule == UpdateRule::kLion) {
            step_block<backend::LionStep>(a, i);
        } else if (rule == UpdateRule::kSgdNesterov) {
            step_block<backend::SgdNesterovStep>(a, i);
        } else {
            step_block<backend::AdamWStep>(a, i);
        }
    }
}

using backend::FactoredAverage;
using backend::FactoredTensor;

// state = beta state + (1 - beta) mean of x^2 + eps, over rows and over columns.
void average(
    const FactoredTensor& t, const float* x, const FactoredAverage& by, float* row, float* col) {
    const auto num_rows = static_cast<float>(t.rows);
    const auto num_cols = static_cast<float>(t.cols);
    for (int64_t i = 0; i < t.matrices; ++i) {
        const float* matrix = x + i * t.rows * t.cols;
        float* rows = row + i * t.rows;
        float* cols = col + i * t.cols;
        for (int64_t c = 0; c < t.cols; ++c) cols[c] *= by.beta;
        for (int64_t r = 0; r < t.rows; ++r) {
            const float* line = matrix + r * t.cols;
            double sum = 0;
            for (int64_t c = 0; c < t.cols; ++c) {
                const float square = line[c] * line[c] + by.eps;
                sum += static_cast<double>(square);
                cols[c] += by.rest * square / num_rows;
            }
            rows[r] = by.beta * rows[r] + by.rest * static_cast<float>(sum) / num_cols;
        }
    }
}

// x / (sqrt(row / mean(row)) sqrt(col)), in place.
void divide(const FactoredTensor& t, float* x, const float* row, const float* col) {
    for (int64_t i = 0; i < t.matrices; ++i) {
        const float* rows = row + i * t.rows;
        const float* cols = col + i * t.cols;
        double sum = 0;
        for (int64_t r = 0; r < t.rows; ++r) sum += static_cast<double>(rows[r]);
        const auto mean = static_cast<float>(sum / static_cast<double>(t.rows));
        for (int64_t r = 0; r < t.rows; ++r) {
            float* line = x + (i * t.rows + r) * t.cols;
            const float by_row = 1.0F / __builtin_sqrtf(rows[r] / mean);
            for (int64_t c = 0; c < t.cols; ++c) line[c] *= by_row / __builtin_sqrtf(cols[c]);
        }
    }
}

float root_mean_square(const float* x, int64_t count) {
    double sum = 0;
    for (int64_t j = 0; j < count; ++j) {
        sum += static_cast<double>(x[j]) * static_cast<double>(x[j]);
    }
    return static_cast<float>(__builtin_sqrt(sum / static_cast<double>(count)));
}

void scale(float* x, int64_t count, float by) {
    for (int64_t j = 0; j < count; ++j) x[j] *= by;
}

void move(float* p, const float* x, int64_t count, float decay, float lr) {
    for (int64_t j = 0; j < count; ++j) {
        p[j] -= decay * p[j];
        p[j] -= lr * x[j];
    }
}

void factored_tensor(const UpdateFactoredArgs& a, const FactoredTensor& t) {
    const float* schedule = a.schedule + 4 * t.group;
    float* x = a.direction + t.begin;
    float* p = a.p + t.begin;
    float rate = schedule[0];
    if (a.is_came == 0 && a.k.scale_parameter != 0) {
        const float size = root_mean_square(p, t.count);
        rate *= size > a.k.eps2 ? size : a.k.eps2;
    }
    for (int64_t j = 0; j < t.count; ++j) x[j] = *a.clip * a.g[t.begin + j];
    const FactoredAverage squares = a.is_came != 0
                                        ? FactoredAverage{a.k.eps, a.k.beta2, a.k.one_minus_beta2}
                                        : FactoredAverage{a.k.eps, schedule[1], schedule[2]};
    average(t, x, squares, a.row + t.row_begin, a.col + t.col_begin);
    divide(t, x, a.row + t.row_begin, a.col + t.col_begin);
    const float size = root_mean_square(x, t.count) / a.k.clip_threshold;
    scale(x, t.count, size > 1.0F ? 1.0F / size : 1.0F);
    if (a.is_came != 0) {
        float* m = a.m + t.begin;
        for (int64_t j = 0; j < t.count; ++j) {
            m[j] = a.k.beta1 * m[j] + a.k.one_minus_beta1 * x[j];
            x[j] -= m[j];
        }
        const FactoredAverage instability{a.k.eps2, a.k.beta3, a.k.one_minus_beta3};
        average(t, x, instability, a.res_row + t.row_begin, a.res_col + t.col_begin);
        for (int64_t j = 0; j < t.count; ++j) x[j] = m[j];
        divide(t, x, a.res_row + t.row_begin, a.res_col + t.col_begin);
    } else if (a.m != nullptr) {
        float* m = a.m + t.begin;
        for (int64_t j = 0; j < t.count; ++j) {
            m[j] = a.k.beta1 * m[j] + a.k.one_minus_beta1 * rate * x[j];
        }
        return move(p, m, t.count, a.k.weight_decay * rate, 1.0F);
    }
    move(p, x, t.count, a.k.weight_decay * rate, rate);
}

void update_factored(const UpdateFactoredArgs& a, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) factored_tensor(a, FactoredTensor(a.tensors + 7 * i));
}

}  // namespace

void add_update_kernels(KernelTable& table) {
    table.update_step = update_step;
    table.update_sums = update_sums;
    table.update_step_8bit = update_step_8bit;
    table.update_factored = update_factored;
}

}  // namespace lora::cpu::LORA_CPU_ISA

// Adafactor and CAME: second moments kept as means over rows and columns. Formulas:
// backend/reference/update_state.cpp. Launch: 512 threads, a block a tensor, which walks over it
// pass by pass. Checked by tests/support/cases/update.cpp.
#include "backend/cuda/kernels/pieces.cuh"
#include "backend/update_args.h"

namespace lora::cuda {

using backend::FactoredAverage;
using backend::FactoredTensor;
using backend::UpdateFactoredArgs;

// fn(j) for every element of the block's share of 0 .. count.
template <typename Fn>
__device__ __forceinline__ void each(int count, Fn fn) {
    for (int j = static_cast<int>(threadIdx.x); j < count; j += static_cast<int>(blockDim.x)) {
        fn(j);
    }
}

// The block's sum, in every thread.
__device__ double sum_everywhere(double x) {
    __shared__ double partial[32];
    __shared__ double total;
    const double sum = block_sum(x, partial);
    if (threadIdx.x == 0) total = sum;
    __syncthreads();
    const double result = total;
    __syncthreads();
    return result;
}

__device__ float root_mean_square(const float* x, int count) {
    double sum = 0;
    each(count, [&](int j) { sum += static_cast<double>(x[j]) * static_cast<double>(x[j]); });
    return static_cast<float>(sqrt(sum_everywhere(sum) / static_cast<double>(count)));
}

__device__ void average(
    const FactoredTensor& t, const float* x, const FactoredAverage& by, float* row, float* col) {
    const int num_rows = t.matrices * t.rows;
    const bool wide = t.cols >= 32;  // a warp a row, else a thread
    const int lane = wide ? static_cast<int>(threadIdx.x) % 32 : 0;
    const int step = wide ? 32 : 1;
    const int first = static_cast<int>(threadIdx.x) / step;
    for (int r = first; r < num_rows; r += static_cast<int>(blockDim.x) / step) {
        const float* line = x + static_cast<int64_t>(r) * t.cols;
        float sum = 0;
        for (int c = lane; c < t.cols; c += step) sum += line[c] * line[c] + by.eps;
        if (wide) sum = warp_sum(sum);
        if (lane == 0) row[r] = by.beta * row[r] + by.rest * (sum / static_cast<float>(t.cols));
    }
    each(t.matrices * t.cols, [&](int i) {
        const float* matrix = x + static_cast<int64_t>(i / t.cols) * t.rows * t.cols + i % t.cols;
        float sum = 0;
        for (int r = 0; r < t.rows; ++r) {
            const float value = matrix[static_cast<int64_t>(r) * t.cols];
            sum += value * value + by.eps;
        }
        col[i] = by.beta * col[i] + by.rest * (sum / static_cast<float>(t.rows));
    });
    __syncthreads();
}

// x / (sqrt(row / mean(row)) sqrt(col)), in place.
__device__ void divide(
    const FactoredTensor& t, float* x, const float* row, const float* col, float* mean) {
    if (t.matrices == 1) {
        double sum = 0;
        each(t.rows, [&](int r) { sum += static_cast<double>(row[r]); });
        sum = sum_everywhere(sum);
        if (threadIdx.x == 0) mean[0] = static_cast<float>(sum / static_cast<double>(t.rows));
    } else {
        each(t.matrices, [&](int i) {
            double sum = 0;
            for (int r = 0; r < t.rows; ++r) sum += static_cast<double>(row[i * t.rows + r]);
            mean[i] = static_cast<float>(sum / static_cast<double>(t.rows));
        });
    }
    __syncthreads();
    each(t.count, [&](int j) {
        const int r = j / t.cols;
        const int matrix = r / t.rows;
        const float by_row = 1.0F / sqrtf(row[r] / mean[matrix]);
        x[j] *= by_row / sqrtf(col[matrix * t.cols + j % t.cols]);
    });
    __syncthreads();
}

extern "C" __global__ void update_factored(const UpdateFactoredArgs a) {
    const FactoredTensor t(a.tensors + 7 * blockIdx.x);
    const float* schedule = a.schedule + 4 * t.group;
    float* p = a.p + t.begin;
    float* x = a.direction + t.begin;
    float* mean = a.mean + t.begin;
    float* m = a.m == nullptr ? nullptr : a.m + t.begin;
    float rate = schedule[0];
    if (a.is_came == 0 && a.k.scale_parameter != 0) {
        rate *= fmaxf(a.k.eps2, root_mean_square(p, t.count));
    }
    const float clip = *a.clip;
    each(t.count, [&](int j) { x[j] = clip * a.g[t.begin + j]; });
    __syncthreads();
    const FactoredAverage squares = a.is_came != 0
                                        ? FactoredAverage{a.k.eps, a.k.beta2, a.k.one_minus_beta2}
                                        : FactoredAverage{a.k.eps, schedule[1], schedule[2]};
    average(t, x, squares, a.row + t.row_begin, a.col + t.col_begin);
    divide(t, x, a.row + t.row_begin, a.col + t.col_begin, mean);
    const float size = root_mean_square(x, t.count) / a.k.clip_threshold;
    const float shrink = size > 1.0F ? 1.0F / size : 1.0F;
    const float decay = a.k.weight_decay * rate;
    if (a.is_came == 0) {
        each(t.count, [&](int j) {
            float step = rate * shrink * x[j];
            if (m != nullptr) {
                m[j] = a.k.beta1 * m[j] + a.k.one_minus_beta1 * step;
                step = m[j];
            }
            p[j] -= decay * p[j];
            p[j] -= step;
        });
        return;
    }
    each(t.count, [&](int j) {
        const float step = shrink * x[j];
        m[j] = a.k.beta1 * m[j] + a.k.one_minus_beta1 * step;
        x[j] = step - m[j];
    });
    __syncthreads();
    const FactoredAverage instability{a.k.eps2, a.k.beta3, a.k.one_minus_beta3};
    average(t, x, instability, a.res_row + t.row_begin, a.res_col + t.col_begin);
    each(t.count, [&](int j) { x[j] = m[j]; });
    __syncthreads();
    divide(t, x, a.res_row + t.row_begin, a.res_col + t.col_begin, mean);
    each(t.count, [&](int j) {
        p[j] -= decay * p[j];
        p[j] -= rate * x[j];
    });
}

}  // namespace lora::cuda

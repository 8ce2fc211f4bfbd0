// Elementwise products of matrices of low rank (LoHa), and the gradients of their factors. The
// products live in registers; of [rows, cols] only dst is written, and the addend or d read.
//   hadamard_<bf16|f16>                   64 rows a block, columns in steps of 64
//   hadamard_backward_<16|32>_<bf16|f16>  many gradients: 64 rows (or columns) of a d and 16 or 32
//                                         ranks a block, the other axis in steps of 64
//   For other types and cards: hadamard_simt.cu.
// Types   bf16 or f16 in, fp32 accumulated; own = d * (a b) is rounded to the input's type.
// Launch  grid {tiles, 1, splits}, or {first_block[count]}; kHadamardThreads, shared bytes of
//         hadamard_args.h.
// Cases   tests/support/cases/hadamard.cpp
#include "backend/cuda/kernels/gemm_depth_load.cuh"
#include "backend/cuda/kernels/hadamard.cuh"
#include "backend/cuda/kernels/split_sum.cuh"

namespace lora::cuda {

// Up to 64 columns side by side, all of one tap: the step-th such piece.
struct Columns {
    int at;     // the first one's
    int place;  // and its column in the factors, the next `taps` further
    int count;

    __device__ __forceinline__ Columns(const HadamardOrder& order, int step) {
        const int per_tap = (order.channels + 63) / 64;
        const int tap = step / per_tap;
        const int channel = (step - tap * per_tap) * 64;
        at = tap * order.channels + channel;
        place = channel * order.taps + tap;
        count = min(64, order.channels - channel);
    }
};

template <typename T>
__device__ __forceinline__ void store_element(uint32_t dst, T value) {
    uint16_t bits;
    memcpy(&bits, &value, sizeof(bits));
    asm volatile("st.shared.u16 [%0], %1;" ::"r"(dst), "h"(bits) : "memory");
}

__device__ __forceinline__ void clear_shared(uint32_t from, int bytes) {
#pragma unroll 1
    for (int i = static_cast<int>(threadIdx.x) * 16; i < bytes; i += kHadamardThreads * 16) {
        store_16(from + i, make_uint4(0, 0, 0, 0));
    }
}

// What blocks bring into shared memory, in pieces of 64 rows or columns by 16 ranks
// (kHadamardSliceBytes) and in squares of 64 x 64. What lies past an edge of the rows and columns
// is zero; ranks past the last stay as they were cleared.

// Ranks [first, first + ranks) of some columns of b [rank, cols]: a row of 64 a rank.
template <typename T>
__device__ __forceinline__ void load_right(uint32_t dst,
                                           const HadamardFactor& b,
                                           const HadamardOrder& order,
                                           int cols,
                                           int first,
                                           int ranks,
                                           const Columns& columns) {
    const int count = min(ranks, b.rank - first);
    const T* from = static_cast<const T*>(b.at) + static_cast<int64_t>(first) * cols;
    if (b.vector != 0) {
        const int unit = static_cast<int>(threadIdx.x) % 8;
        const bool valid = unit * 8 < columns.count;
        int row = static_cast<int>(threadIdx.x) / 8;
        const T* at = from + static_cast<int64_t>(row) * cols + columns.at + unit * 8;
#pragma unroll 1
        for (; row < count; row += kHadamardThreads / 8) {
            copy_16(dst + unit_offset<8>(row, unit), valid ? at : from, valid);
            at += static_cast<int64_t>(kHadamardThreads / 8) * cols;
        }
        return;
    }
    const int x = static_cast<int>(threadIdx.x) % 64;
    const bool valid = x < columns.count;
    int row = static_cast<int>(threadIdx.x) / 64;
    const T* at = from + static_cast<int64_t>(row) * cols + columns.place + x * order.taps;
#pragma unroll 2
    for (; row < count; row += kHadamardThreads / 64) {
        store_element(dst + unit_offset<8>(row, x / 8) + x % 8 * 2,
                      valid ? *at : from_float<T>(0.0F));
        at += static_cast<int64_t>(kHadamardThreads / 64) * cols;
    }
}

// Ranks [first, first + ranks) of 64 rows of a [rows, rank], in slices of 16.
template <typename T>
__device__ __forceinline__ void load_left(
    uint32_t dst, const HadamardFactor& a, int rows, int first, int ranks, int first_row) {
    const int y = static_cast<int>(threadIdx.x) % 64;
    const bool inside = first_row + y < rows;
    const int count = min(ranks, a.rank - first);
    const T* from = static_cast<const T*>(a.at);
    const T* row = from + static_cast<int64_t>(inside ? first_row + y : 0) * a.rank + first;
#pragma unroll 1
    for (int unit = static_cast<int>(threadIdx.x) / 64; unit * 8 < count;
         unit += kHadamardThreads / 64) {
        const uint32_t to = dst + unit / 2 * kHadamardSliceBytes + unit_offset<2>(y, unit % 2);
        const T* at = row + unit * 8;
        if (a.vector != 0) {
            copy_16(to, at, inside);
        } else if (a.halves != 0) {
            copy_8(to, at, inside);
            if (unit * 8 + 4 < count) copy_8(to + 8, at + 4, inside);
        } else {
            const int left = min(8, count - unit * 8);
#pragma unroll 1
            for (int e = 0; e < left; ++e) {
                store_element(to + e * 2, inside ? at[e] : from_float<T>(0.0F));
            }
        }
    }
}

// 64 rows, from `row` on, of some columns of a matrix [rows, cols].
template <typename T>
__device__ __forceinline__ void load_square(uint32_t dst,
                                            const void* matrix,
                                            bool vector,
                                            int rows,
                                            int cols,
                                            int row,
                                            const Columns& columns) {
    const T* from = static_cast<const T*>(matrix);
    if (vector) {
        const int unit = static_cast<int>(threadIdx.x) % 8;
        const int first = static_cast<int>(threadIdx.x) / 8;
        const bool inside = unit * 8 < columns.count;
        const T* at = from + static_cast<int64_t>(row + first) * cols + columns.at + unit * 8;
#pragma unroll
        for (int y = 0; y < 64; y += kHadamardThreads / 8) {
            const bool valid = inside && row + first + y < rows;
            copy_16(dst + unit_offset<8>(first + y, unit),
                    valid ? at + static_cast<int64_t>(y) * cols : from,
                    valid);
        }
        return;
    }
    const int x = static_cast<int>(threadIdx.x) % 64;
#pragma unroll 1
    for (int y = static_cast<int>(threadIdx.x) / 64; y < 64; y += kHadamardThreads / 64) {
        const bool valid = row + y < rows && x < columns.count;
        store_element(dst + unit_offset<8>(y, x / 8) + x % 8 * 2,
                      valid ? from[static_cast<int64_t>(row + y) * cols + columns.at + x]
                            : from_float<T>(0.0F));
    }
}

// The addresses that a lane gives ldmatrix for the four 8 x 8 matrices of 16 x 16 elements: `low`
// within one, `second` and `third` which half.
struct MatrixLane {
    int low = static_cast<int>(threadIdx.x) % 8;
    int second = static_cast<int>(threadIdx.x) / 8 % 2;
    int third = static_cast<int>(threadIdx.x) % 32 / 16;
};

// 16 ranks, a slice, by 16 of the other axis from `at` on, of a tile whose rows are ranks (kByRank)
// or lie along the other axis; `rank_half` and `other_half`: of the lane's matrix.
template <bool kByRank, bool kTransposed>
__device__ __forceinline__ void load_slice(
    uint32_t (&r)[4], uint32_t tile, int slice, int at, int low, int rank_half, int other_half) {
    const int offset = kByRank ? unit_offset<8>(low + rank_half * 8, at / 8 + other_half)
                               : unit_offset<2>(at + low + other_half * 8, rank_half);
    load_4_matrices<kTransposed>(r, tile + slice * kHadamardSliceBytes + offset);
}

// Left operands of Mma, [16 of the other axis, 16 ranks].
template <bool kByRank>
__device__ __forceinline__ void left_operand(
    uint32_t (&a)[4], uint32_t tile, int slice, int at, const MatrixLane& lane) {
    load_slice<kByRank, kByRank>(a, tile, slice, at, lane.low, lane.third, lane.second);
}

// Right operands [16 ranks, 16 of the other axis], two of 8.
template <bool kByRank>
__device__ __forceinline__ void right_operand(
    uint32_t (&b)[4], uint32_t tile, int slice, int at, const MatrixLane& lane) {
    load_slice<kByRank, kByRank>(b, tile, slice, at, lane.low, lane.second, lane.third);
}

// Right operands of the sum over the other axis: [16 of it, 16 ranks].
template <bool kByRank>
__device__ __forceinline__ void partner_operand(
    uint32_t (&b)[4], uint32_t tile, int slice, int at, const MatrixLane& lane) {
    load_slice<kByRank, !kByRank>(b, tile, slice, at, lane.low, lane.third, lane.second);
}

// One of two matrices whose product is wanted, fixed for a block: 16 rows (or columns) a warp.
template <bool kByRank>
struct FixedFactor {
    static constexpr int kHeld = 2;  // slices in registers
    uint32_t tile;
    int slices;
    int at;
    uint32_t held[kHeld][4];

    __device__ __forceinline__ void hold(uint32_t from, int count, const MatrixLane& lane) {
        tile = from;
        slices = count;
        at = static_cast<int>(threadIdx.x) / 32 * 16;
#pragma unroll
        for (int s = 0; s < kHeld; ++s) {
            if (s < slices) left_operand<kByRank>(held[s], tile, s, at, lane);
        }
    }

    // [16, 16] of its product with the moving factor's tile, from x of the other axis on.
    template <typename T>
    __device__ __forceinline__ void multiply(float (&sums)[2][4],
                                             uint32_t moving,
                                             int x,
                                             const MatrixLane& lane) const {
#pragma unroll
        for (int i = 0; i < 2; ++i) {
#pragma unroll
            for (int e = 0; e < 4; ++e) sums[i][e] = 0.0F;
        }
        const auto add = [&](const uint32_t(&a)[4], int s) {
            uint32_t b[4];
            right_operand<!kByRank>(b, moving, s, x, lane);
            Mma<T>::depth_16(sums[0], a, b[0], b[1]);
            Mma<T>::depth_16(sums[1], a, b[2], b[3]);
        };
#pragma unroll
        for (int s = 0; s < kHeld; ++s) {
            if (s < slices) add(held[s], s);
        }
#pragma unroll 1
        for (int s = kHeld; s < slices; ++s) {
            uint32_t a[4];
            left_operand<kByRank>(a, tile, s, at, lane);
            add(a, s);
        }
    }
};

// Until `stages` - 2 of the steps on the way are left, then a barrier: the step has arrived, and
// nobody reads the one before.
__device__ __forceinline__ void wait_for_step(int stages) {
    if (stages == kHadamardStages) {
        copies_wait<kHadamardStages - 2>();
    } else {
        copies_wait<0>();
    }
    __syncthreads();
}

// The warp's 16 rows of a square to dst.
template <typename T>
__device__ __forceinline__ void store_rows(
    const HadamardArgs& p, uint32_t square, int first_row, int own, const Columns& columns) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int left = columns.count - lane % 8 * 8;
    T* to = static_cast<T*>(p.dst) + static_cast<int64_t>(first_row + lane / 8) * p.cols +
            columns.at + lane % 8 * 8;
#pragma unroll 1
    for (int y = lane / 8; y < 16; y += 4) {
        Unit<T> unit;
        asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];"
                     : "=r"(unit.bits.x), "=r"(unit.bits.y), "=r"(unit.bits.z), "=r"(unit.bits.w)
                     : "r"(square + unit_offset<8>(own + y, lane % 8))
                     : "memory");
        if (first_row + y < p.rows) {
            if (p.wide != 0) {
                if (left > 0) *reinterpret_cast<uint4*>(to) = unit.bits;
            } else {
#pragma unroll
                for (int e = 0; e < 8; ++e) {
                    if (e < left) to[e] = unit.at[e];
                }
            }
        }
        to += static_cast<int64_t>(4) * p.cols;
    }
}

template <typename T>
__device__ __forceinline__ void hadamard(const HadamardArgs& p) {
    const MatrixLane lane;
    const int row = static_cast<int>(blockIdx.x) * 64;
    const int first = static_cast<int>(blockIdx.z) * p.steps_per_split;
    const int count = min(p.steps_per_split, p.steps - first);
    const int slices = p.slices;
    const int factor_bytes = slices * kHadamardSliceBytes;
    const uint32_t fixed = shared_address(dynamic_shared());
    const uint32_t stages = fixed + 2 * factor_bytes;
    const int stage_bytes = kHadamardSquareBytes + 2 * factor_bytes;
    const auto start = [&](int step) {
        if (step < count) {
            const uint32_t to = stages + step % p.stages * stage_bytes;
            const Columns columns(p.order, first + step);
            const uint32_t moving = to + kHadamardSquareBytes;
            load_right<T>(moving, p.b1, p.order, p.cols, 0, p.b1.rank, columns);
            load_right<T>(moving + factor_bytes, p.b2, p.order, p.cols, 0, p.b2.rank, columns);
            if (p.addend != nullptr) {
                load_square<T>(to, p.addend, p.wide != 0, p.rows, p.cols, row, columns);
            }
        }
        copies_commit();
    };
    clear_shared(fixed, 2 * factor_bytes + p.stages * stage_bytes);
    __syncthreads();
    load_left<T>(fixed, p.a1, p.rows, 0, p.a1.rank, row);
    load_left<T>(fixed + factor_bytes, p.a2, p.rows, 0, p.a2.rank, row);
    FixedFactor<false> one;
    FixedFactor<false> two;
    const int own = static_cast<int>(threadIdx.x) / 32 * 16;  // the warp's first row
    const int g = static_cast<int>(threadIdx.x) % 32 / 4;
    const int t = static_cast<int>(threadIdx.x) % 4;
    const uint32_t next_column = backend::dither_word(static_cast<uint32_t>(p.order.taps));
    const uint32_t below = backend::dither_word(static_cast<uint32_t>(8 * p.cols));
#pragma unroll 1
    for (int step = 1 - p.stages; step < count; ++step) {
        if (step >= 0) wait_for_step(p.stages);
        start(step + p.stages - 1);
        if (step < 0) continue;
        if (step == 0) {
            one.hold(fixed, slices, lane);
            two.hold(fixed + factor_bytes, slices, lane);
        }
        const uint32_t square = stages + step % p.stages * stage_bytes;
        const uint32_t moving = square + kHadamardSquareBytes;
        const Columns columns(p.order, first + step);
        uint32_t word = backend::dither_word(
            static_cast<uint32_t>(row + own + g) * static_cast<uint32_t>(p.cols) +
            static_cast<uint32_t>(columns.place + t * 2 * p.order.taps));
#pragma unroll 1
        for (int x = 0; x < 64; x += 16) {
            float left[2][4];
            float right[2][4];
            one.template multiply<T>(left, moving, x, lane);
            two.template multiply<T>(right, moving + factor_bytes, x, lane);
            const uint32_t at =
                square + unit_offset<8>(own + lane.low + lane.second * 8, x / 8 + lane.third);
            uint32_t pairs[4] = {};
            if (p.addend != nullptr) load_4_matrices(pairs, at);
#pragma unroll
            for (int i = 0; i < 4; ++i) {  // columns from i / 2 * 8 on, rows from i % 2 * 8 on
                Vector<T, 2> pair;
                memcpy(&pair, &pairs[i], sizeof(pair));
                float sums[2];
#pragma unroll
                for (int e = 0; e < 2; ++e) {
                    sums[e] = p.alpha * left[i / 2][i % 2 * 2 + e] * right[i / 2][i % 2 * 2 + e];
                    if (p.addend == nullptr) continue;
                    sums[e] =
                        backend::dithered(sums[e] + to_float(pair.at[e]),
                                          word + (i / 2 * 8 + e) * next_column + i % 2 * below,
                                          kSpareBits<T>);
                }
                pairs[i] = Mma<T>::pair(sums[0], sums[1]);
            }
            word += 16 * next_column;
            __syncwarp();
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                const uint32_t to =
                    square + unit_offset<8>(own + g + i % 2 * 8, x / 8 + i / 2) + t * 4;
                asm volatile("st.shared.u32 [%0], %1;" ::"r"(to), "r"(pairs[i]) : "memory");
            }
        }
        __syncwarp();
        store_rows<T>(p, square, row + own, own, columns);
    }
    copies_wait<0>();
}

// kRows: the block's own axis is the rows of d, else its columns; the other one is summed over.
template <typename T, bool kRows, int kOwn>
__device__ __forceinline__ void hadamard_backward(const HadamardBackwardArgs& p,
                                                  const BlockPlace& place) {
    const MatrixLane lane;
    const int chunks = (p.own_rank + kOwn - 1) / kOwn;
    const int first_own = place.tile % chunks * kOwn;
    const int fixed_step = place.tile / chunks;
    const int first = place.split * p.steps_per_split;
    const int count = min(p.steps_per_split, p.steps - first);
    const int slices = p.slices;
    const uint32_t fixed = shared_address(dynamic_shared());
    const uint32_t stages = fixed + slices * kHadamardSliceBytes;
    const int partner_at = kHadamardSquareBytes + slices * kHadamardSliceBytes;
    const int stage_bytes = partner_at + kOwn / 16 * kHadamardSliceBytes;
    const auto start = [&](int step) {
        if (step < count) {
            const uint32_t to = stages + step % p.stages * stage_bytes;
            const uint32_t moving = to + kHadamardSquareBytes;
            const int row = (kRows ? fixed_step : first + step) * 64;
            const Columns columns(p.order, kRows ? first + step : fixed_step);
            if constexpr (kRows) {
                load_right<T>(moving, p.b, p.order, p.cols, 0, p.b.rank, columns);
                load_right<T>(
                    to + partner_at, p.partner, p.order, p.cols, first_own, kOwn, columns);
            } else {
                load_left<T>(moving, p.a, p.rows, 0, p.a.rank, row);
                load_left<T>(to + partner_at, p.partner, p.rows, first_own, kOwn, row);
            }
            load_square<T>(to, p.d, p.wide != 0, p.rows, p.cols, row, columns);
        }
        copies_commit();
    };
    clear_shared(fixed, slices * kHadamardSliceBytes + p.stages * stage_bytes);
    __syncthreads();
    if constexpr (kRows) {
        load_left<T>(fixed, p.a, p.rows, 0, p.a.rank, fixed_step * 64);
    } else {
        load_right<T>(fixed, p.b, p.order, p.cols, 0, p.b.rank, Columns(p.order, fixed_step));
    }
    FixedFactor<!kRows> factor;
    const int own = static_cast<int>(threadIdx.x) / 32 * 16;
    float sums[kOwn / 8][4] = {};
#pragma unroll 1
    for (int step = 1 - p.stages; step < count; ++step) {
        if (step >= 0) wait_for_step(p.stages);
        start(step + p.stages - 1);
        if (step < 0) continue;
        if (step == 0) factor.hold(fixed, slices, lane);
        const uint32_t square = stages + step % p.stages * stage_bytes;
#pragma unroll 1
        for (int x = 0; x < 64; x += 16) {
            float product[2][4];
            factor.template multiply<T>(product, square + kHadamardSquareBytes, x, lane);
            uint32_t d[4];
            const int offset =
                kRows ? unit_offset<8>(own + lane.low + lane.second * 8, x / 8 + lane.third)
                      : unit_offset<8>(x + lane.low + lane.third * 8, own / 8 + lane.second);
            load_4_matrices<!kRows>(d, square + offset);
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                Vector<T, 2> pair;
                memcpy(&pair, &d[i], sizeof(pair));
                d[i] = Mma<T>::pair(to_float(pair.at[0]) * product[i / 2][i % 2 * 2],
                                    to_float(pair.at[1]) * product[i / 2][i % 2 * 2 + 1]);
            }
#pragma unroll
            for (int s = 0; s < kOwn / 16; ++s) {
                uint32_t b[4];
                partner_operand<kRows>(b, square + partner_at, s, x, lane);
                Mma<T>::depth_16(sums[s * 2], d, b[0], b[1]);
                Mma<T>::depth_16(sums[s * 2 + 1], d, b[2], b[3]);
            }
        }
    }
    copies_wait<0>();
    if (!join_splits<kOwn / 2>(&sums[0][0], p.split, place)) return;
    const int g = static_cast<int>(threadIdx.x) % 32 / 4;
    const int t = static_cast<int>(threadIdx.x) % 4;
    const Columns columns(p.order, fixed_step);
#pragma unroll
    for (int lower = 0; lower < 2; ++lower) {
        const int at = own + g + lower * 8;
        if (kRows ? fixed_step * 64 + at >= p.rows : at >= columns.count) continue;
        float* to = kRows ? p.dst + static_cast<int64_t>(fixed_step * 64 + at) * p.own_rank
                          : p.dst + columns.place + at * p.order.taps;
#pragma unroll
        for (int i = 0; i < kOwn / 8; ++i) {
#pragma unroll
            for (int e = 0; e < 2; ++e) {
                const int rank = first_own + i * 8 + t * 2 + e;
                if (rank >= p.own_rank) continue;
                float* one = to + (kRows ? rank : static_cast<int64_t>(rank) * p.cols);
                const float v = p.alpha * sums[i][lower * 2 + e];
                *one = p.accumulate != 0 ? *one + v : v;
            }
        }
    }
}

template <typename T, int kOwn>
__device__ __forceinline__ void hadamard_backward_group(const HadamardBackwardGroup& group) {
    const int block = static_cast<int>(blockIdx.x);
    int i = 0;
    while (block >= group.first_block[i + 1]) ++i;
    const HadamardBackwardArgs& p = group.problem[i];
    const int within = block - group.first_block[i];
    const int tiles = (group.first_block[i + 1] - group.first_block[i]) / p.split.count;
    const BlockPlace place{within % tiles, tiles, within / tiles};
    if (p.by_rows != 0) {
        hadamard_backward<T, true, kOwn>(p, place);
    } else {
        hadamard_backward<T, false, kOwn>(p, place);
    }
}

}  // namespace lora::cuda

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
#define LORA_HADAMARD_BODY(...) lora::cuda::__VA_ARGS__(p)
#else
#define LORA_HADAMARD_BODY(...) static_cast<void>(p)  // never launched there
#endif

#define LORA_HADAMARD(name, args, ...)                                            \
    extern "C" __global__ void __launch_bounds__(lora::cuda::kHadamardThreads, 4) \
        name(const __grid_constant__ lora::cuda::args p) {                        \
        LORA_HADAMARD_BODY(__VA_ARGS__);                                          \
    }
#define LORA_HADAMARD_TYPES(suffix, T)                                                        \
    LORA_HADAMARD(hadamard_##suffix, HadamardArgs, hadamard<T>)                               \
    LORA_HADAMARD(                                                                            \
        hadamard_backward_16_##suffix, HadamardBackwardGroup, hadamard_backward_group<T, 16>) \
    LORA_HADAMARD(                                                                            \
        hadamard_backward_32_##suffix, HadamardBackwardGroup, hadamard_backward_group<T, 32>)
LORA_HADAMARD_TYPES(bf16, __nv_bfloat16)
LORA_HADAMARD_TYPES(f16, __half)

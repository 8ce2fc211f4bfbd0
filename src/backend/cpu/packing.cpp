#include "backend/cpu/internal/packing.h"

#include <algorithm>
#include <cstring>

#include "tensor/half.h"

namespace lora::cpu {
namespace {

// Blocks keep both the rows read and the rows written in the first-level cache.
template <typename S, typename D, typename Convert>
void pack_panel(const MatrixView& m,
                const S* src,
                int64_t first_col,
                int64_t panel_cols,
                D* dst,
                Convert convert) {
    constexpr int64_t kStep = 32;
    const int64_t count = std::min(panel_cols, m.cols - first_col);
    if (count < panel_cols) {
        std::memset(
            static_cast<void*>(dst), 0, sizeof(D) * static_cast<size_t>(m.depth * panel_cols));
    }
    for (int64_t k0 = 0; k0 < m.depth; k0 += kStep) {
        const int64_t k1 = std::min(m.depth, k0 + kStep);
        if (m.col_stride == 1) {
            for (int64_t k = k0; k < k1; ++k) {
                const S* from = src + k * m.depth_stride + first_col;
                for (int64_t c = 0; c < count; ++c) dst[k * panel_cols + c] = convert(from[c]);
            }
            continue;
        }
        for (int64_t c = 0; c < count; ++c) {
            const S* from = src + (first_col + c) * m.col_stride;
            for (int64_t k = k0; k < k1; ++k) {
                dst[k * panel_cols + c] = convert(from[k * m.depth_stride]);
            }
        }
    }
}

template <typename S, typename D, typename Convert>
void pack_all(const Device& device, const MatrixView& m, D* dst, Convert convert) {
    const int64_t panel_cols = device.kernels->gemm_cols;
    const int64_t num_panels = ceil_div(m.cols, panel_cols);
    device.threads.run(m.taps * num_panels, [&](int64_t index, int) {
        const S* src = static_cast<const S*>(m.data) + index / num_panels * m.tap_stride;
        pack_panel(m,
                   src,
                   index % num_panels * panel_cols,
                   panel_cols,
                   dst + index * m.depth * panel_cols,
                   convert);
    });
}

}  // namespace

void pack_matrix(const Device& device, const MatrixView& m, Elem dst_type, void* dst) {
    const auto same = [](auto x) { return x; };
    if (m.type == Elem::kF32) {
        pack_all<float>(device, m, static_cast<float*>(dst), same);
    } else if (dst_type == Elem::kBF16) {
        pack_all<uint16_t>(device, m, static_cast<uint16_t*>(dst), same);
    } else {
        pack_all<uint16_t>(
            device, m, static_cast<float*>(dst), [](uint16_t bits) { return bf16_to_float(bits); });
    }
}

}  // namespace lora::cpu

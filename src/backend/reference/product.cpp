// Linear layers and convolutions, forward and backward. A convolution is a matrix product of
// patches [pixels, kh * kw * I] with the kernel as a matrix; patches are made for a block of output
// pixels at a time.
#include <algorithm>

#include "backend/reference/internal/kernel.h"
#include "backend/reference/internal/matmul.h"

namespace lora::reference::ops {
namespace {

constexpr int64_t kPixelsPerBlock = 128;

// dst = alpha * dst + bias (per last-axis channel) + addend.
void finish_product(const NodeRun& run, int bias_slot, int addend_slot, Doubles& dst) {
    for (double& value : dst) value *= run.attrs().alpha;
    if (bias_slot >= 0 && run.has(bias_slot)) {
        const Doubles bias = run.load(bias_slot);
        for (size_t i = 0; i < dst.size(); ++i) dst[i] += bias[i % bias.size()];
    }
    if (run.has(addend_slot)) {
        const Doubles addend = run.load(addend_slot);
        for (size_t i = 0; i < dst.size(); ++i) dst[i] += addend[i];
    }
}

// Sizes of the forward convolution that a node belongs to; images lie as N, H, W, C.
struct ConvShape {
    int64_t batch = 0;
    int64_t in_channels = 0;
    int64_t in_height = 0;
    int64_t in_width = 0;
    int64_t out_channels = 0;
    int64_t out_height = 0;
    int64_t out_width = 0;
    int64_t kernel_height = 0;
    int64_t kernel_width = 0;
    int64_t stride = 1;
    int64_t pad_top = 0;
    int64_t pad_left = 0;

    ConvShape(const Shape& x, const Shape& w, const Shape& y, const ir::Attributes& attrs)
        : batch(x[0]),
          in_channels(x[1]),
          in_height(x[2]),
          in_width(x[3]),
          out_channels(y[1]),
          out_height(y[2]),
          out_width(y[3]),
          kernel_height(w[2]),
          kernel_width(w[3]),
          stride(attrs.stride),
          pad_top(attrs.pad[0]),
          pad_left(attrs.pad[1]) {}

    [[nodiscard]] int64_t num_pixels() const { return batch * out_height * out_width; }
    [[nodiscard]] int64_t patch_size() const { return kernel_height * kernel_width * in_channels; }
};

// Calls fn(position in the patches, position in x) for every tap inside the image, where each
// stands for in_channels neighbouring elements. Output pixels are counted through N, H, W.
template <typename Fn>
void for_each_tap(const ConvShape& shape, int64_t first_pixel, int64_t num_pixels, Fn fn) {
    for (int64_t i = 0; i < num_pixels; ++i) {
        const int64_t pixel = first_pixel + i;
        const int64_t n = pixel / (shape.out_height * shape.out_width);
        const int64_t top =
            pixel / shape.out_width % shape.out_height * shape.stride - shape.pad_top;
        const int64_t left = pixel % shape.out_width * shape.stride - shape.pad_left;
        for (int64_t ky = 0; ky < shape.kernel_height; ++ky) {
            const int64_t y = top + ky;
            if (y < 0 || y >= shape.in_height) continue;
            for (int64_t kx = 0; kx < shape.kernel_width; ++kx) {
                const int64_t x = left + kx;
                if (x < 0 || x >= shape.in_width) continue;
                const int64_t tap = ky * shape.kernel_width + kx;
                fn(i * shape.patch_size() + tap * shape.in_channels,
                   ((n * shape.in_height + y) * shape.in_width + x) * shape.in_channels);
            }
        }
    }
}

// x -> patches [num_pixels, kh, kw, I], zeros outside the image.
void gather_patches(const ConvShape& shape,
                    const Doubles& x,
                    int64_t first_pixel,
                    int64_t num_pixels,
                    Doubles& patches) {
    patches.assign(static_cast<size_t>(num_pixels * shape.patch_size()), 0.0);
    for_each_tap(shape, first_pixel, num_pixels, [&](int64_t in_patches, int64_t in_x) {
        std::copy_n(x.data() + in_x, shape.in_channels, patches.data() + in_patches);
    });
}

// The transpose of gather_patches: dx += what each patch took from it.
void scatter_patches(const ConvShape& shape,
                     const Doubles& patches,
                     int64_t first_pixel,
                     int64_t num_pixels,
                     Doubles& dx) {
    for_each_tap(shape, first_pixel, num_pixels, [&](int64_t in_patches, int64_t in_x) {
        for (int64_t c = 0; c < shape.in_channels; ++c) {
            dx[static_cast<size_t>(in_x + c)] += patches[static_cast<size_t>(in_patches + c)];
        }
    });
}

// A filter, of either layout, as [O, kh, kw, I].
Doubles channels_innermost(const ConvShape& shape, const NodeRun& run) {
    Doubles w = run.load(1);
    if (run.input(1).layout == ir::Layout::kChannelsLast) return w;
    Doubles result(w.size());
    const int64_t taps = shape.kernel_height * shape.kernel_width;
    for (int64_t o = 0; o < shape.out_channels; ++o) {
        for (int64_t i = 0; i < shape.in_channels; ++i) {
            for (int64_t tap = 0; tap < taps; ++tap) {
                result[static_cast<size_t>((o * taps + tap) * shape.in_channels + i)] =
                    w[static_cast<size_t>((o * shape.in_channels + i) * taps + tap)];
            }
        }
    }
    return result;
}

// [O, kh, kw, I] -> [O, I, kh, kw].
Doubles channels_before_taps(const ConvShape& shape, const Doubles& w) {
    Doubles result(w.size());
    const int64_t taps = shape.kernel_height * shape.kernel_width;
    for (int64_t o = 0; o < shape.out_channels; ++o) {
        for (int64_t i = 0; i < shape.in_channels; ++i) {
            for (int64_t tap = 0; tap < taps; ++tap) {
                result[static_cast<size_t>((o * shape.in_channels + i) * taps + tap)] =
                    w[static_cast<size_t>((o * taps + tap) * shape.in_channels + i)];
            }
        }
    }
    return result;
}

}  // namespace

void linear(const NodeRun& run) {
    const int64_t in = run.input(0).shape[-1];
    const int64_t out = run.output(0).shape[-1];
    const int64_t rows = run.output(0).shape.num_elements() / std::max<int64_t>(out, 1);
    const Doubles x = run.load(0);
    const Doubles w = run.load(1);
    Doubles y = run.zeros_like_output(0);
    // w lies as [out, in] and is read as [in, out], unless it is stored that way already.
    multiply_add(
        {x.data(), rows, in}, {w.data(), in, out, !run.attrs().transpose_weight}, y.data());
    finish_product(run, 2, 3, y);
    if (run.has(4)) {
        const int64_t rank = run.input(4).shape[-1];
        const Doubles x2 = run.load(4);
        const Doubles w2 = run.load(5);
        Doubles second = run.zeros_like_output(0);
        multiply_add({x2.data(), rows, rank},
                     {w2.data(), rank, out, !run.attrs().transpose_weight},
                     second.data());
        for (size_t i = 0; i < y.size(); ++i) y[i] += run.attrs().alpha2 * second[i];
    }
    run.store(0, y);
}

void linear_backward_weight(const NodeRun& run) {
    const int64_t out = run.input(0).shape[-1];
    const int64_t in = run.input(1).shape[-1];
    const int64_t rows = run.input(0).shape.num_elements() / std::max<int64_t>(out, 1);
    const Doubles dy = run.load(0);
    const Doubles x = run.load(1);
    Doubles dw = run.zeros_like_output(0);
    multiply_add({dy.data(), out, rows, true}, {x.data(), rows, in}, dw.data());
    for (double& value : dw) value *= run.attrs().alpha;
    run.store(0, dw);
}

void conv2d(const NodeRun& run) {
    const ConvShape shape(run.input(0).shape, run.input(1).shape, run.output(0).shape, run.attrs());
    const Doubles x = run.load(0);
    const Doubles w = channels_innermost(shape, run);
    Doubles y = run.zeros_like_output(0);
    Doubles patches;
    for (int64_t first = 0; first < shape.num_pixels(); first += kPixelsPerBlock) {
        const int64_t count = std::min(kPixelsPerBlock, shape.num_pixels() - first);
        gather_patches(shape, x, first, count, patches);
        multiply_add({patches.data(), count, shape.patch_size()},
                     {w.data(), shape.patch_size(), shape.out_channels, true},
                     y.data() + first * shape.out_channels);
    }
    finish_product(run, 2, 3, y);
    run.store(0, y);
}

void conv2d_backward_input(const NodeRun& run) {
    const ConvShape shape(run.output(0).shape, run.input(1).shape, run.input(0).shape, run.attrs());
    const Doubles dy = run.load(0);
    const Doubles w = channels_innermost(shape, run);
    Doubles dx = run.zeros_like_output(0);
    Doubles patches;
    for (int64_t first = 0; first < shape.num_pixels(); first += kPixelsPerBlock) {
        const int64_t count = std::min(kPixelsPerBlock, shape.num_pixels() - first);
        patches.assign(static_cast<size_t>(count * shape.patch_size()), 0.0);
        multiply_add({dy.data() + first * shape.out_channels, count, shape.out_channels},
                     {w.data(), shape.out_channels, shape.patch_size()},
                     patches.data());
        scatter_patches(shape, patches, first, count, dx);
    }
    finish_product(run, -1, 2, dx);
    run.store(0, dx);
}

void conv2d_backward_weight(const NodeRun& run) {
    const ConvShape shape(run.input(1).shape, run.output(0).shape, run.input(0).shape, run.attrs());
    const Doubles dy = run.load(0);
    const Doubles x = run.load(1);
    Doubles dw = run.zeros_like_output(0);  // [O, kh, kw, I] until the end
    Doubles patches;
    for (int64_t first = 0; first < shape.num_pixels(); first += kPixelsPerBlock) {
        const int64_t count = std::min(kPixelsPerBlock, shape.num_pixels() - first);
        gather_patches(shape, x, first, count, patches);
        multiply_add({dy.data() + first * shape.out_channels, shape.out_channels, count, true},
                     {patches.data(), count, shape.patch_size()},
                     dw.data());
    }
    for (double& value : dw) value *= run.attrs().alpha;
    const bool last = run.output(0).layout == ir::Layout::kChannelsLast;
    run.store(0, last ? dw : channels_before_taps(shape, dw));
}

}  // namespace lora::reference::ops

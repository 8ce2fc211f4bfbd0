// Copies: casts, reorders, concatenation, slices, padding, upsampling.
#include <algorithm>
#include <cstring>

#include "backend/cpu/internal/device.h"
#include "base/check.h"
#include "tensor/tensor.h"

namespace lora::cpu {
namespace {

using ir::OpKind;

size_t elem_size(const NodeContext& c) { return dtype_bytes(c.input(0).dtype); }

// Whole cache lines a thread where the elements allow it.
constexpr int64_t kGrain = 4096;

Program cast_program(const NodeContext& c) {
    const Device& device = c.device;
    const DType src = c.input(0).dtype;
    const DType dst = c.output().dtype;
    const int64_t size = c.output().shape.num_elements();
    const bool accumulate = c.node.attrs.accumulate;
    Program program;
    program.choice = "own";
    const auto fast = [](DType t) { return t == DType::kF32 || t == DType::kBF16; };
    if (accumulate) {
        LORA_CHECK(dst == DType::kF32 && fast(src), "cast adds into fp32 only");
        program.run = [&device, src, size](const Args& a) {
            device.threads.split(size, kGrain, [&](int64_t begin, int64_t end) {
                const int64_t bytes = static_cast<int64_t>(dtype_bytes(src));
                device.kernels->add_to_float(
                    elem_of(src), a.in[0] + begin * bytes, a.output<float>(0) + begin, end - begin);
            });
        };
        return program;
    }
    program.run = [&device, src, dst, size, fast](const Args& a) {
        device.threads.split(size, kGrain, [&](int64_t begin, int64_t end) {
            const std::byte* from = a.in[0] + begin * static_cast<int64_t>(dtype_bytes(src));
            std::byte* to = a.out[0] + begin * static_cast<int64_t>(dtype_bytes(dst));
            const int64_t n = end - begin;
            if (src == dst) {
                std::memcpy(to, from, static_cast<size_t>(n) * dtype_bytes(src));
            } else if (src == DType::kF32 && fast(dst)) {
                device.kernels->from_float(
                    elem_of(dst), reinterpret_cast<const float*>(from), to, n);
            } else if (dst == DType::kF32 && fast(src)) {
                device.kernels->to_float(elem_of(src), from, reinterpret_cast<float*>(to), n);
            } else {
                convert_elements(src,
                                 {from, static_cast<size_t>(n) * dtype_bytes(src)},
                                 dst,
                                 {to, static_cast<size_t>(n) * dtype_bytes(dst)});
            }
        });
    };
    return program;
}

// [rows][cols] -> [cols][rows] for each image.
template <typename T>
void transpose(const T* src, T* dst, int64_t rows, int64_t cols, int64_t begin, int64_t end) {
    constexpr int64_t kTile = 16;
    for (int64_t r0 = begin; r0 < end; r0 += kTile) {
        const int64_t r1 = std::min(end, r0 + kTile);
        for (int64_t c0 = 0; c0 < cols; c0 += kTile) {
            const int64_t c1 = std::min(cols, c0 + kTile);
            for (int64_t c = c0; c < c1; ++c) {
                for (int64_t r = r0; r < r1; ++r) dst[c * rows + r] = src[r * cols + c];
            }
        }
    }
}

Program reorder_program(const NodeContext& c) {
    const Device& device = c.device;
    const ir::Value& x = c.input(0);
    const int64_t images = x.shape[0];
    const int64_t channels = x.shape[1];
    const int64_t pixels = x.shape[2] * x.shape[3];
    const bool to_last = c.output().layout == ir::Layout::kChannelsLast;
    const int64_t rows = to_last ? channels : pixels;
    const int64_t cols = to_last ? pixels : channels;
    const size_t bytes = elem_size(c);
    const bool same = x.layout == c.output().layout;
    Program program;
    program.choice = "own";
    program.run = [&device, images, rows, cols, bytes, same](const Args& a) {
        const int64_t image_bytes = rows * cols * static_cast<int64_t>(bytes);
        for (int64_t image = 0; image < images; ++image) {
            const std::byte* src = a.in[0] + image * image_bytes;
            std::byte* dst = a.out[0] + image * image_bytes;
            if (same) {
                std::memcpy(dst, src, static_cast<size_t>(image_bytes));
                continue;
            }
            device.threads.split(rows, 16, [&](int64_t begin, int64_t end) {
                if (bytes == 2) {
                    transpose(reinterpret_cast<const uint16_t*>(src),
                              reinterpret_cast<uint16_t*>(dst),
                              rows,
                              cols,
                              begin,
                              end);
                } else {
                    transpose(reinterpret_cast<const uint32_t*>(src),
                              reinterpret_cast<uint32_t*>(dst),
                              rows,
                              cols,
                              begin,
                              end);
                }
            });
        }
    };
    return program;
}

// [A][B][D] -> [B][A][D] for each of N, a line of B after the other.
Program swap_axes_program(const NodeContext& c) {
    const Device& device = c.device;
    const Shape shape = c.input(0).shape;
    const int64_t bytes = shape[3] * static_cast<int64_t>(elem_size(c));
    Program program;
    program.choice = "own";
    program.run = [&device, shape, bytes](const Args& a) {
        const int64_t lines = shape[0] * shape[2];
        const int64_t grain = std::max<int64_t>(1, 16384 / (shape[1] * bytes));
        device.threads.split(lines, grain, [&](int64_t begin, int64_t end) {
            for (int64_t line = begin; line < end; ++line) {
                const int64_t n = line / shape[2];
                const std::byte* src =
                    a.in[0] + (n * shape[1] * shape[2] + line % shape[2]) * bytes;
                std::byte* dst = a.out[0] + line * shape[1] * bytes;
                for (int64_t i = 0; i < shape[1]; ++i) {
                    std::memcpy(
                        dst + i * bytes, src + i * shape[2] * bytes, static_cast<size_t>(bytes));
                }
            }
        });
    };
    return program;
}

ir::AxisSpan span_of(const ir::Value& value, int axis) {
    return ir::axis_span(value.shape, value.layout, axis);
}

Program concat_program(const NodeContext& c) {
    const Device& device = c.device;
    const int axis = c.node.attrs.axis;
    const ir::AxisSpan a_span = span_of(c.input(0), axis);
    const ir::AxisSpan b_span = span_of(c.input(1), axis);
    const int64_t bytes = static_cast<int64_t>(elem_size(c));
    const int64_t a_bytes = a_span.size * a_span.inner * bytes;
    const int64_t b_bytes = b_span.size * b_span.inner * bytes;
    Program program;
    program.choice = "own";
    program.run = [&device, outer = a_span.outer, a_bytes, b_bytes](const Args& a) {
        const int64_t row = a_bytes + b_bytes;
        device.threads.split(
            outer, std::max<int64_t>(1, 65536 / row), [&](int64_t begin, int64_t end) {
                for (int64_t i = begin; i < end; ++i) {
                    std::byte* dst = a.out[0] + i * row;
                    std::memcpy(dst, a.in[0] + i * a_bytes, static_cast<size_t>(a_bytes));
                    std::memcpy(dst + a_bytes, a.in[1] + i * b_bytes, static_cast<size_t>(b_bytes));
                }
            });
    };
    return program;
}

// A slice, or with negative margins its opposite: the source inside zeros.
Program slice_program(const NodeContext& c) {
    const Device& device = c.device;
    const bool is_pad = c.node.op == OpKind::kPad;
    const ir::AxisSpan from = span_of(c.input(0), c.node.attrs.axis);
    const ir::AxisSpan to = span_of(c.output(), c.node.attrs.axis);
    const int64_t unit = from.inner * static_cast<int64_t>(elem_size(c));
    const int64_t begin_bytes = c.node.attrs.begin * unit;
    const int64_t src_row = from.size * unit;
    const int64_t dst_row = to.size * unit;
    Program program;
    program.choice = "own";
    program.run =
        [&device, is_pad, outer = from.outer, begin_bytes, src_row, dst_row](const Args& a) {
            const int64_t grain = std::max<int64_t>(1, 65536 / std::max(src_row, dst_row));
            device.threads.split(outer, grain, [&](int64_t begin, int64_t end) {
                for (int64_t i = begin; i < end; ++i) {
                    const std::byte* src = a.in[0] + i * src_row;
                    std::byte* dst = a.out[0] + i * dst_row;
                    if (!is_pad) {
                        std::memcpy(dst, src + begin_bytes, static_cast<size_t>(dst_row));
                        continue;
                    }
                    const int64_t after = dst_row - begin_bytes - src_row;
                    std::memset(dst, 0, static_cast<size_t>(begin_bytes));
                    std::memcpy(dst + begin_bytes, src, static_cast<size_t>(src_row));
                    std::memset(dst + begin_bytes + src_row, 0, static_cast<size_t>(after));
                }
            });
        };
    return program;
}

// An image as planes [height][width][inner], whatever its layout.
struct Planes {
    int64_t count = 0;
    int64_t height = 0;
    int64_t width = 0;
    int64_t inner = 0;
};

Planes planes_of(const ir::Value& x) {
    const bool last = x.layout == ir::Layout::kChannelsLast;
    return {
        last ? x.shape[0] : x.shape[0] * x.shape[1], x.shape[2], x.shape[3], last ? x.shape[1] : 1};
}

Program upsample_program(const NodeContext& c) {
    const Device& device = c.device;
    const Planes p = planes_of(c.input(0));
    const int64_t bytes = p.inner * static_cast<int64_t>(elem_size(c));
    Program program;
    program.choice = "own";
    program.run = [&device, p, bytes](const Args& a) {
        device.threads.split(p.count * p.height, 1, [&](int64_t begin, int64_t end) {
            for (int64_t line = begin; line < end; ++line) {
                const std::byte* src = a.in[0] + line * p.width * bytes;
                std::byte* dst = a.out[0] + line * 4 * p.width * bytes;
                for (int64_t x = 0; x < p.width; ++x) {
                    std::memcpy(dst + 2 * x * bytes, src + x * bytes, static_cast<size_t>(bytes));
                    std::memcpy(
                        dst + (2 * x + 1) * bytes, src + x * bytes, static_cast<size_t>(bytes));
                }
                const size_t line_bytes = static_cast<size_t>(2 * p.width * bytes);
                std::memcpy(dst + line_bytes, dst, line_bytes);
            }
        });
    };
    return program;
}

Program upsample_backward_program(const NodeContext& c) {
    const Device& device = c.device;
    const Planes p = planes_of(c.output());
    const Elem type = elem_of(c.input(0).dtype);
    const int64_t bytes = p.inner * static_cast<int64_t>(elem_size(c));
    Program program;
    program.choice = "own";
    program.run = [&device, p, bytes, type](const Args& a) {
        const KernelTable& k = *device.kernels;
        device.threads.split(p.count * p.height, 1, [&](int64_t begin, int64_t end) {
            std::vector<float> cell(static_cast<size_t>(p.inner));
            for (int64_t line = begin; line < end; ++line) {
                for (int64_t x = 0; x < p.width; ++x) {
                    const std::byte* top = a.in[0] + (line * 4 * p.width + 2 * x) * bytes;
                    const std::byte* bottom = top + 2 * p.width * bytes;
                    k.to_float(type, top, cell.data(), p.inner);
                    k.add_to_float(type, top + bytes, cell.data(), p.inner);
                    k.add_to_float(type, bottom, cell.data(), p.inner);
                    k.add_to_float(type, bottom + bytes, cell.data(), p.inner);
                    k.from_float(
                        type, cell.data(), a.out[0] + (line * p.width + x) * bytes, p.inner);
                }
            }
        });
    };
    return program;
}

}  // namespace

Program movement_program(const NodeContext& c) {
    switch (c.node.op) {
        case OpKind::kCast: return cast_program(c);
        case OpKind::kReorder: return reorder_program(c);
        case OpKind::kConcat: return concat_program(c);
        case OpKind::kSwapAxes: return swap_axes_program(c);
        case OpKind::kUpsample2x: return upsample_program(c);
        case OpKind::kUpsample2xBackward: return upsample_backward_program(c);
        default: return slice_program(c);
    }
}

}  // namespace lora::cpu

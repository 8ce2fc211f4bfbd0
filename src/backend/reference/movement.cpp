// Movement of elements: layouts, types, joins, cuts and nearest-neighbour resizing.
#include <algorithm>

#include "backend/reference/internal/kernel.h"

namespace lora::reference::ops {
namespace {

// Copies `count` entries along an axis from src position `from` to dst position `to`.
struct AxisCopy {
    ir::AxisSpan src;
    ir::AxisSpan dst;
    int64_t from = 0;
    int64_t to = 0;
    int64_t count = 0;
};

void copy_along_axis(const AxisCopy& copy, const Doubles& src, Doubles& dst) {
    const int64_t length = copy.count * copy.src.inner;
    for (int64_t outer = 0; outer < copy.src.outer; ++outer) {
        const int64_t begin = (outer * copy.src.size + copy.from) * copy.src.inner;
        const int64_t end = (outer * copy.dst.size + copy.to) * copy.dst.inner;
        std::copy_n(src.begin() + begin, length, dst.begin() + end);
    }
}

ir::AxisSpan span_of(const ir::Value& value, int axis) {
    return ir::axis_span(value.shape, value.layout, axis);
}

}  // namespace

void reorder(const NodeRun& run) {
    const Shape& shape = run.input(0).shape;
    const ImageStrides from = image_strides(shape, run.input(0).layout);
    const ImageStrides to = image_strides(shape, run.output(0).layout);
    const Doubles x = run.load(0);
    Doubles y = run.zeros_like_output(0);
    for (int64_t n = 0; n < shape[0]; ++n) {
        for (int64_t c = 0; c < shape[1]; ++c) {
            for (int64_t h = 0; h < shape[2]; ++h) {
                for (int64_t w = 0; w < shape[3]; ++w)
                    y[to.at(n, c, h, w)] = x[from.at(n, c, h, w)];
            }
        }
    }
    run.store(0, y);
}

void cast(const NodeRun& run) { run.store(0, run.load(0)); }

void concat(const NodeRun& run) {
    const int axis = run.attrs().axis;
    Doubles y = run.zeros_like_output(0);
    const ir::AxisSpan dst = span_of(run.output(0), axis);
    int64_t to = 0;
    for (int i = 0; i < 2; ++i) {
        const ir::AxisSpan src = span_of(run.input(i), axis);
        copy_along_axis({src, dst, 0, to, src.size}, run.load(i), y);
        to += src.size;
    }
    run.store(0, y);
}

void slice(const NodeRun& run) {
    const int axis = run.attrs().axis;
    Doubles y = run.zeros_like_output(0);
    const ir::AxisSpan dst = span_of(run.output(0), axis);
    copy_along_axis(
        {span_of(run.input(0), axis), dst, run.attrs().begin, 0, dst.size}, run.load(0), y);
    run.store(0, y);
}

void pad(const NodeRun& run) {
    const int axis = run.attrs().axis;
    Doubles y = run.zeros_like_output(0);
    const ir::AxisSpan src = span_of(run.input(0), axis);
    copy_along_axis(
        {src, span_of(run.output(0), axis), 0, run.attrs().begin, src.size}, run.load(0), y);
    run.store(0, y);
}

void swap_axes(const NodeRun& run) {
    const Shape& shape = run.input(0).shape;
    const Doubles x = run.load(0);
    Doubles y = run.zeros_like_output(0);
    const int64_t length = shape[3];
    for (int64_t n = 0; n < shape[0]; ++n) {
        for (int64_t i = 0; i < shape[1]; ++i) {
            for (int64_t j = 0; j < shape[2]; ++j) {
                const int64_t from = ((n * shape[1] + i) * shape[2] + j) * length;
                const int64_t to = ((n * shape[2] + j) * shape[1] + i) * length;
                std::copy_n(x.begin() + from, length, y.begin() + to);
            }
        }
    }
    run.store(0, y);
}

void upsample2x(const NodeRun& run) {
    const Shape& shape = run.output(0).shape;
    const ImageStrides from = image_strides(run.input(0).shape, run.input(0).layout);
    const ImageStrides to = image_strides(shape, run.output(0).layout);
    const Doubles x = run.load(0);
    Doubles y = run.zeros_like_output(0);
    for (int64_t n = 0; n < shape[0]; ++n) {
        for (int64_t h = 0; h < shape[2]; ++h) {
            for (int64_t w = 0; w < shape[3]; ++w) {
                for (int64_t c = 0; c < shape[1]; ++c) {
                    y[to.at(n, c, h, w)] = x[from.at(n, c, h / 2, w / 2)];
                }
            }
        }
    }
    run.store(0, y);
}

void upsample2x_backward(const NodeRun& run) {
    const Shape& shape = run.input(0).shape;
    const ImageStrides from = image_strides(shape, run.input(0).layout);
    const ImageStrides to = image_strides(run.output(0).shape, run.output(0).layout);
    const Doubles dy = run.load(0);
    Doubles dx = run.zeros_like_output(0);
    for (int64_t n = 0; n < shape[0]; ++n) {
        for (int64_t h = 0; h < shape[2]; ++h) {
            for (int64_t w = 0; w < shape[3]; ++w) {
                for (int64_t c = 0; c < shape[1]; ++c) {
                    dx[to.at(n, c, h / 2, w / 2)] += dy[from.at(n, c, h, w)];
                }
            }
        }
    }
    run.store(0, dx);
}

}  // namespace lora::reference::ops

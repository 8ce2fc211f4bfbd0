// Elementwise operators and the sums that are their gradients.
#include <cmath>
#include <numbers>

#include "backend/reference/internal/kernel.h"
#include "base/rng.h"

namespace lora::reference {
namespace {

// x * sigmoid(1.702 x), OpenAI's approximation of gelu in CLIP.
constexpr double kQuickGeluSlope = 1.702;

double sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

// Standard normal distribution function and density.
double normal_cdf(double x) { return 0.5 * std::erfc(-x / std::numbers::sqrt2); }
double normal_density(double x) {
    return std::exp(-0.5 * x * x) * 0.5 * std::numbers::sqrt2 * std::numbers::inv_sqrtpi;
}

}  // namespace

double activate(ir::Activation activation, double x) {
    switch (activation) {
        case ir::Activation::kNone: return x;
        case ir::Activation::kSilu: return x * sigmoid(x);
        case ir::Activation::kGelu: return x * normal_cdf(x);
        case ir::Activation::kQuickGelu: return x * sigmoid(kQuickGeluSlope * x);
    }
    return x;
}

double activation_slope(ir::Activation activation, double x) {
    switch (activation) {
        case ir::Activation::kNone: return 1;
        case ir::Activation::kSilu: {
            const double s = sigmoid(x);
            return s * (1 + x * (1 - s));
        }
        case ir::Activation::kGelu: return normal_cdf(x) + x * normal_density(x);
        case ir::Activation::kQuickGelu: {
            const double s = sigmoid(kQuickGeluSlope * x);
            return s * (1 + kQuickGeluSlope * x * (1 - s));
        }
    }
    return 1;
}

namespace ops {

void activation(const NodeRun& run) {
    Doubles x = run.load(0);
    for (double& value : x) value = activate(run.attrs().activation, value);
    run.store(0, x);
}

void activation_backward(const NodeRun& run) {
    Doubles dy = run.load(0);
    const Doubles x = run.load(1);
    for (size_t i = 0; i < x.size(); ++i) dy[i] *= activation_slope(run.attrs().activation, x[i]);
    run.store(0, dy);
}

void geglu(const NodeRun& run) {
    const size_t size = static_cast<size_t>(run.output(0).shape[-1]);
    const Doubles x = run.load(0);
    Doubles y = run.zeros_like_output(0);
    for (size_t i = 0; i < y.size(); ++i) {
        const size_t value = i / size * 2 * size + i % size;
        y[i] = x[value] * activate(ir::Activation::kGelu, x[value + size]);
    }
    run.store(0, y);
}

void geglu_backward(const NodeRun& run) {
    const size_t size = static_cast<size_t>(run.input(0).shape[-1]);
    const Doubles dy = run.load(0);
    const Doubles x = run.load(1);
    Doubles dx(x.size());
    for (size_t i = 0; i < dy.size(); ++i) {
        const size_t value = i / size * 2 * size + i % size;
        const double gate = x[value + size];
        dx[value] = dy[i] * activate(ir::Activation::kGelu, gate);
        dx[value + size] = dy[i] * x[value] * activation_slope(ir::Activation::kGelu, gate);
    }
    run.store(0, dx);
}

void add(const NodeRun& run) {
    Doubles a = run.load(0);
    const Doubles b = run.load(1);
    // b's shape is a's, or its trailing part: it repeats.
    for (size_t i = 0; i < a.size(); ++i) a[i] += b[i % b.size()];
    run.store(0, a);
}

void multiply(const NodeRun& run) {
    Doubles a = run.load(0);
    const Doubles b = run.load(1);
    for (size_t i = 0; i < a.size(); ++i) a[i] *= b[i % b.size()];
    run.store(0, a);
}

void scale(const NodeRun& run) {
    Doubles x = run.load(0);
    for (double& value : x) value *= run.attrs().alpha;
    run.store(0, x);
}

void add_channel(const NodeRun& run) {
    const Shape& shape = run.input(0).shape;
    const ImageStrides strides = image_strides(shape, run.input(0).layout);
    Doubles x = run.load(0);
    const Doubles e = run.load(1);
    for (int64_t n = 0; n < shape[0]; ++n) {
        for (int64_t c = 0; c < shape[1]; ++c) {
            for (int64_t h = 0; h < shape[2]; ++h) {
                for (int64_t w = 0; w < shape[3]; ++w) {
                    x[strides.at(n, c, h, w)] += e[static_cast<size_t>(n * shape[1] + c)];
                }
            }
        }
    }
    run.store(0, x);
}

void sum_spatial(const NodeRun& run) {
    const Shape& shape = run.input(0).shape;
    const ImageStrides strides = image_strides(shape, run.input(0).layout);
    const Doubles dy = run.load(0);
    Doubles sums = run.zeros_like_output(0);
    for (int64_t n = 0; n < shape[0]; ++n) {
        for (int64_t c = 0; c < shape[1]; ++c) {
            for (int64_t h = 0; h < shape[2]; ++h) {
                for (int64_t w = 0; w < shape[3]; ++w) {
                    sums[static_cast<size_t>(n * shape[1] + c)] += dy[strides.at(n, c, h, w)];
                }
            }
        }
    }
    run.store(0, sums);
}

void mix_rows(const NodeRun& run) {
    Doubles x = run.load(0);
    const Doubles y = run.load(1);
    const Doubles a = run.load(2);
    const Doubles b = run.load(3);
    const size_t row = a.empty() ? 1 : x.size() / a.size();
    for (size_t i = 0; i < x.size(); ++i) x[i] = a[i / row] * x[i] + b[i / row] * y[i];
    run.store(0, x);
}

void dropout(const NodeRun& run) {
    const ir::Attributes& attrs = run.attrs();
    const Shape& shape = run.input(0).shape;
    const auto features = static_cast<uint64_t>(shape[-1]);
    const auto samples = static_cast<uint64_t>(shape.num_axes() > 1 ? shape[0] : 1);
    Doubles x = run.load(0);
    const uint64_t middle = x.size() / samples / features;
    const Doubles key = run.load(1);
    const auto word = [&key](size_t i) {
        return static_cast<uint64_t>(static_cast<uint32_t>(static_cast<int64_t>(key[i])));
    };
    Rng rng(word(0) | word(1) << 32U,
            RngStream::kDropout,
            word(2) | word(3) << 32U,
            static_cast<uint32_t>(attrs.size));
    const auto threshold = static_cast<uint32_t>(std::lround(attrs.probability * 0x1p24));
    std::vector<bool> kept;
    for (size_t i = 0; i < x.size(); ++i) {
        uint64_t draw = 0;
        if ((attrs.draw_axes & 4) != 0) draw = i / (middle * features);
        if ((attrs.draw_axes & 2) != 0) draw = draw * middle + i / features % middle;
        if ((attrs.draw_axes & 1) != 0) draw = draw * features + i % features;
        while (kept.size() <= draw) kept.push_back((rng.next_u32() >> 8U) >= threshold);
        x[i] = kept[draw] ? attrs.alpha * x[i] : 0.0;
    }
    run.store(0, x);
}

}  // namespace ops
}  // namespace lora::reference

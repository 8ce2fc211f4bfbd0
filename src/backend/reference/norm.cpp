// Group norm and layer norm. Both normalise sets of elements: y = (x - mean) * rstd * gamma + beta,
// rstd = 1 / sqrt(variance + eps), variance over the set without Bessel's correction.
// And DoRA's scale of a weight's rows (Liu et al., arXiv:2402.09353 eq. 5).
#include <cmath>

#include "backend/reference/internal/kernel.h"

namespace lora::reference::ops {
namespace {

// One set: for each of `count` positions, `length` neighbouring elements, positions `step` apart.
struct NormSet {
    int64_t begin = 0;
    int64_t step = 0;
    int64_t count = 0;
    int64_t length = 0;
    int64_t channel = 0;  // gamma's index of the first of the neighbours

    // Calls fn(element, channel).
    template <typename Fn>
    void for_each(Fn fn) const {
        for (int64_t i = 0; i < count; ++i) {
            for (int64_t j = 0; j < length; ++j) {
                fn(static_cast<size_t>(begin + i * step + j), static_cast<size_t>(channel + j));
            }
        }
    }
    [[nodiscard]] double num_elements() const { return static_cast<double>(count * length); }
};

// Channels-last image: one set an image and group, [H*W positions][C / groups channels].
std::vector<NormSet> group_sets(const Shape& shape, int64_t groups) {
    const int64_t channels = shape[1];
    const int64_t pixels = shape[2] * shape[3];
    const int64_t length = channels / groups;
    std::vector<NormSet> sets;
    for (int64_t n = 0; n < shape[0]; ++n) {
        for (int64_t g = 0; g < groups; ++g) {
            sets.push_back(
                {n * pixels * channels + g * length, channels, pixels, length, g * length});
        }
    }
    return sets;
}

// Tokens: one set a row.
std::vector<NormSet> row_sets(const Shape& shape) {
    const int64_t size = shape[-1];
    std::vector<NormSet> sets;
    for (int64_t row = 0; row < shape.num_elements() / size; ++row) {
        sets.push_back({row * size, 0, 1, size, 0});
    }
    return sets;
}

struct Statistics {
    double mean = 0;
    double rstd = 0;
};

Statistics statistics_of(const NormSet& set, const Doubles& x, double eps) {
    double sum = 0;
    set.for_each([&](size_t i, size_t) { sum += x[i]; });
    const double mean = sum / set.num_elements();
    double squares = 0;
    set.for_each([&](size_t i, size_t) { squares += (x[i] - mean) * (x[i] - mean); });
    return {mean, 1.0 / std::sqrt(squares / set.num_elements() + eps)};
}

void normalise(const NodeRun& run, const std::vector<NormSet>& sets, ir::Activation function) {
    const Doubles x = run.load(0);
    const Doubles gamma = run.load(1);
    const Doubles beta = run.load(2);
    Doubles y(x.size());
    Doubles stats;
    for (const NormSet& set : sets) {
        const Statistics s = statistics_of(set, x, run.attrs().eps);
        set.for_each([&](size_t i, size_t c) {
            y[i] = activate(function, (x[i] - s.mean) * s.rstd * gamma[c] + beta[c]);
        });
        stats.push_back(s.mean);
        stats.push_back(s.rstd);
    }
    run.store(0, y);
    run.store(1, stats);
}

// With h = (x - mean) * rstd and d_h = the gradient that arrives at h:
// dx = rstd * (d_h - mean(d_h) - h * mean(d_h * h)).
void normalise_backward(const std::vector<NormSet>& sets,
                        const Doubles& x,
                        const Doubles& stats,
                        Doubles& d_h_to_dx) {
    for (size_t s = 0; s < sets.size(); ++s) {
        const double mean = stats[2 * s];
        const double rstd = stats[2 * s + 1];
        double sum = 0;
        double sum_h = 0;
        sets[s].for_each([&](size_t i, size_t) {
            sum += d_h_to_dx[i];
            sum_h += d_h_to_dx[i] * (x[i] - mean) * rstd;
        });
        const double count = sets[s].num_elements();
        sets[s].for_each([&](size_t i, size_t) {
            const double h = (x[i] - mean) * rstd;
            d_h_to_dx[i] = rstd * (d_h_to_dx[i] - sum / count - h * sum_h / count);
        });
    }
}

void add_addend(const NodeRun& run, int slot, Doubles& dx) {
    if (!run.has(slot)) return;
    const Doubles addend = run.load(slot);
    for (size_t i = 0; i < dx.size(); ++i) dx[i] += addend[i];
}

}  // namespace

void group_norm(const NodeRun& run) {
    normalise(run, group_sets(run.input(0).shape, run.attrs().groups), run.attrs().activation);
}

void group_norm_backward(const NodeRun& run) {
    const std::vector<NormSet> sets = group_sets(run.input(1).shape, run.attrs().groups);
    Doubles d_h = run.load(0);
    const Doubles x = run.load(1);
    const Doubles gamma = run.load(2);
    const Doubles beta = run.load(3);
    const Doubles stats = run.load(4);
    for (size_t s = 0; s < sets.size(); ++s) {
        sets[s].for_each([&](size_t i, size_t c) {
            const double h = (x[i] - stats[2 * s]) * stats[2 * s + 1];
            d_h[i] *= activation_slope(run.attrs().activation, h * gamma[c] + beta[c]) * gamma[c];
        });
    }
    normalise_backward(sets, x, stats, d_h);
    add_addend(run, 5, d_h);
    run.store(0, d_h);
}

void layer_norm(const NodeRun& run) {
    normalise(run, row_sets(run.input(0).shape), ir::Activation::kNone);
}

void layer_norm_backward(const NodeRun& run) {
    const std::vector<NormSet> sets = row_sets(run.input(1).shape);
    Doubles d_h = run.load(0);
    const Doubles x = run.load(1);
    const Doubles gamma = run.load(2);
    const Doubles stats = run.load(3);
    for (const NormSet& set : sets) {
        set.for_each([&](size_t i, size_t c) { d_h[i] *= gamma[c]; });
    }
    normalise_backward(sets, x, stats, d_h);
    add_addend(run, 4, d_h);
    run.store(0, d_h);
}

void dora_scale(const NodeRun& run) {
    const Doubles v = run.load(0);
    Doubles h = run.load(1);
    Doubles norms(h.size(), 0.0);
    const size_t row = h.empty() ? 1 : v.size() / h.size();
    for (size_t i = 0; i < v.size(); ++i) norms[i / row] += v[i] * v[i];
    for (size_t r = 0; r < h.size(); ++r) {
        norms[r] = std::sqrt(norms[r]);
        h[r] = h[r] / (norms[r] + run.attrs().eps) - 1;
    }
    run.store(0, h);
    run.store(1, norms);
}

// dh/dm = 1 / (norm + eps); dh/dv = -m / (norm + eps)^2 * v / norm.
void dora_scale_backward(const NodeRun& run) {
    const Doubles dh = run.load(0);
    Doubles v = run.load(1);
    const Doubles m = run.load(2);
    const Doubles norms = run.load(3);
    Doubles dm(m.size());
    Doubles factors(m.size(), 0.0);
    for (size_t r = 0; r < m.size(); ++r) {
        const double inverse = 1 / (norms[r] + run.attrs().eps);
        dm[r] = dh[r] * inverse;
        if (norms[r] > 0) factors[r] = -dh[r] * m[r] * inverse * inverse / norms[r];
    }
    const size_t row = m.empty() ? 1 : v.size() / m.size();
    for (size_t i = 0; i < v.size(); ++i) v[i] *= factors[i / row];
    run.store(0, v);
    run.store(1, dm);
}

}  // namespace lora::reference::ops

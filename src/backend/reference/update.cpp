// The optimizer's operators.
// Source   training-semantics 7.2 and 7.3; AdamW: Loshchilov and Hutter, arXiv:1711.05101; Lion:
//          Chen et al., arXiv:2302.06675; D-Adaptation: Defazio and Mishchenko, arXiv:2301.07733;
//          Prodigy: Mishchenko and Defazio, arXiv:2306.06101; Adan: Xie et al., arXiv:2208.06677;
//          schedule-free: Defazio et al., arXiv:2405.15682.
#include <algorithm>
#include <cmath>
#include <limits>

#include "backend/reference/internal/kernel.h"

namespace lora::reference::ops {
namespace {

using ir::UpdateRule;

// One row of `pieces`.
struct Piece {
    size_t begin = 0;
    size_t count = 0;
    size_t group = 0;
    size_t state_begin = 0;
};

Piece piece_at(const Doubles& pieces, size_t i) {
    const auto at = [&](size_t column) { return static_cast<size_t>(pieces[4 * i + column]); };
    return {at(0), at(1), at(2), at(3)};
}

double sign(double x) { return x > 0 ? 1.0 : (x < 0 ? -1.0 : 0.0); }

double growth_limit(const ir::UpdateAttributes& u) {
    return u.growth_rate > 0 ? u.growth_rate : std::numeric_limits<double>::infinity();
}

// What update_step knows of one element: its place in p, g and the states, and its group's row.
struct Element {
    double& p;
    double g;  // clipped
    const double* row;
    const Doubles& scalars;  // d, lambda, go, ck
};

using States = std::vector<Doubles>;

void adamw(const ir::UpdateAttributes& u, const Element& e, double& m, double& v) {
    const double lr = e.row[0];
    m = u.beta1 * m + (1 - u.beta1) * e.g;
    v = u.beta2 * v + (1 - u.beta2) * e.g * e.g;
    if (!u.decay_last) e.p *= 1 - lr * u.weight_decay;
    e.p -= lr / e.row[1] * m / (std::sqrt(v) / std::sqrt(e.row[2]) + u.eps);
    if (u.decay_last) e.p *= 1 - lr * u.weight_decay;
}

void lion(const ir::UpdateAttributes& u, const Element& e, double& m) {
    const double lr = e.row[0];
    e.p *= 1 - lr * u.weight_decay;
    e.p -= lr * sign(u.beta1 * m + (1 - u.beta1) * e.g);
    m = u.beta2 * m + (1 - u.beta2) * e.g;
}

// row[1]: 1 in the first step.
void sgd_nesterov(const ir::UpdateAttributes& u, const Element& e, double& b) {
    const double g = e.g + u.weight_decay * e.p;
    b = e.row[1] != 0 ? g : u.beta1 * b + g;
    e.p -= e.row[0] * (g + u.beta1 * b);
}

// p is y, the point where gradients are taken; scalars[0]: c, the weight of this step's z.
void schedule_free_adamw(const ir::UpdateAttributes& u, const Element& e, double& v, double& z) {
    const double lr = e.row[0];
    const double c = e.scalars[0];
    v = u.beta2 * v + (1 - u.beta2) * e.g * e.g;
    const double direction = e.g / (std::sqrt(v) + u.eps) + u.weight_decay * e.p;
    const double y = e.p;
    e.p = (1 - c) * y + c * z + lr * (u.beta1 * (1 - c) - 1) * direction;
    z -= lr * direction;
}

// The move of p once d is known. scalars[1]: lambda from before this step's d.
void adapted_step(const ir::UpdateAttributes& u, const Element& e, const States& s, size_t at) {
    const double d = e.scalars[0];
    const double lambda = e.scalars[1];
    switch (u.rule) {
        case UpdateRule::kDAdaptAdam:
            if (u.decouple) e.p *= 1 - u.weight_decay * lambda;
            e.p -= s[0][at] / (std::sqrt(s[1][at]) + u.eps);
            return;
        case UpdateRule::kProdigy:
            if (u.decouple) e.p *= 1 - u.weight_decay * lambda;
            e.p -= lambda * s[0][at] / (std::sqrt(s[1][at]) + d * u.eps);
            return;
        case UpdateRule::kDAdaptSgd:
            e.p = u.beta1 * e.p + (1 - u.beta1) * (s[1][at] - s[0][at]);
            return;
        case UpdateRule::kDAdaptAdan: {
            const double move = (s[0][at] + u.beta2 * s[1][at]) / (std::sqrt(s[2][at]) + u.eps);
            e.p = u.no_prox ? e.p * (1 - lambda * u.weight_decay) - move
                            : (e.p - move) / (1 + lambda * u.weight_decay);
            return;
        }
        default: return;
    }
}

void step_element(const ir::UpdateAttributes& u, const Element& e, States& s, size_t at) {
    switch (u.rule) {
        case UpdateRule::kAdamW: return adamw(u, e, s[0][at], s[1][at]);
        case UpdateRule::kLion: return lion(u, e, s[0][at]);
        case UpdateRule::kSgdNesterov: return sgd_nesterov(u, e, s[0][at]);
        case UpdateRule::kScheduleFreeAdamW: return schedule_free_adamw(u, e, s[0][at], s[1][at]);
        default: return adapted_step(u, e, s, at);
    }
}

// Moves the states on; adds to the sums {A, S} (dadapt_adan: {g^2 / denom, s^2 / denom, S}).
void sum_element(const ir::UpdateAttributes& u,
                 const Element& e,
                 States& s,
                 size_t at,
                 Doubles& sums,
                 double d0) {
    const double d = e.scalars[0];
    const double lambda = e.scalars[1];
    const double q = std::sqrt(u.beta2);
    switch (u.rule) {
        case UpdateRule::kDAdaptAdam: {
            const double g = u.decouple ? e.g : e.g + u.weight_decay * e.p;
            sums[0] += lambda * g * s[2][at] / (std::sqrt(s[1][at]) + u.eps);
            s[0][at] = u.beta1 * s[0][at] + lambda * (1 - u.beta1) * g;
            s[1][at] = u.beta2 * s[1][at] + (1 - u.beta2) * g * g;
            s[2][at] = q * s[2][at] + lambda * (1 - q) * g;
            sums[1] += std::abs(s[2][at]);
            return;
        }
        case UpdateRule::kDAdaptLion: {
            e.p *= 1 - lambda * u.weight_decay;
            const double move = sign(u.beta1 * s[0][at] + (1 - u.beta1) * e.g);
            e.p -= lambda * move;
            s[0][at] = u.beta2 * s[0][at] + (1 - u.beta2) * lambda * e.g;
            sums[0] += lambda * move * s[1][at];
            s[1][at] = q * s[1][at] + (1 - q) * lambda * move;
            sums[1] += std::abs(s[1][at]);
            return;
        }
        case UpdateRule::kDAdaptSgd: {
            const double g = e.g + u.weight_decay * e.p;
            sums[0] += lambda * g * s[0][at];
            s[0][at] += lambda * g;
            sums[1] += s[0][at] * s[0][at];
            return;
        }
        case UpdateRule::kDAdaptAdan: {
            const double change = e.row[2] != 0 ? 0.0 : e.g - s[4][at];
            const double ahead = e.g + u.beta2 * change;
            s[0][at] = u.beta1 * s[0][at] + lambda * (1 - u.beta1) * e.g;
            s[1][at] = u.beta2 * s[1][at] + lambda * (1 - u.beta2) * change;
            s[2][at] = u.beta3 * s[2][at] + (1 - u.beta3) * ahead * ahead;
            s[3][at] = u.beta3 * s[3][at] + lambda * (1 - u.beta3) * e.g;
            s[4][at] = e.g;
            const double denominator = std::sqrt(s[2][at]) + u.eps;
            sums[0] += e.g * e.g / denominator;
            sums[1] += s[3][at] * s[3][at] / denominator;
            sums[2] += std::abs(s[3][at]);
            return;
        }
        case UpdateRule::kProdigy: {
            const double g = u.decouple ? e.g : e.g + u.weight_decay * e.p;
            sums[0] += d / d0 * lambda * g * (s[3][at] - e.p);
            s[0][at] = u.beta1 * s[0][at] + d * (1 - u.beta1) * g;
            s[1][at] = u.beta2 * s[1][at] + d * d * (1 - u.beta2) * g * g;
            s[2][at] = u.beta3 * s[2][at] + d / d0 * (u.safeguard_warmup ? d : lambda) * g;
            sums[1] += std::abs(s[2][at]);
            return;
        }
        default: return;
    }
}

// Runs over all pieces; stores what changed.
template <typename Fn>
void each_element(const NodeRun& run, Fn&& fn) {
    Doubles p = run.load(0);
    const Doubles g = run.load(1);
    const int num_states = ir::num_update_states(run.attrs().update.rule);
    States states;
    for (int i = 0; i < num_states; ++i) states.push_back(run.load(2 + i));
    const double clip = run.load(7)[0];
    const Doubles schedule = run.load(8);
    const Doubles pieces = run.load(9);
    const Doubles scalars = run.has(10) ? run.load(10) : Doubles(8, 0.0);
    for (size_t i = 0; i < pieces.size() / 4; ++i) {
        const Piece piece = piece_at(pieces, i);
        const double* row = schedule.data() + 4 * piece.group;
        for (size_t j = 0; j < piece.count; ++j) {
            const size_t at = piece.begin + j;
            fn(Element{p[at], clip * g[at], row, scalars}, states, piece.state_begin + j);
        }
    }
    run.store_input(0, p);
    for (int i = 0; i < num_states; ++i) run.store_input(2 + i, states[static_cast<size_t>(i)]);
}

// What the sums need, from globals as they are before the step: {d, lambda, 1, c}.
Doubles begin_step(const NodeRun& run, Doubles& globals) {
    const ir::UpdateAttributes& u = run.attrs().update;
    const Doubles schedule = run.load(1);
    Doubles scalars(8, 0.0);
    if (u.rule == UpdateRule::kScheduleFreeAdamW) {
        globals[5] = std::max(globals[5], schedule[0]);
        const double weight = schedule[1] * std::pow(globals[5], u.weight_lr_power);
        globals[4] += weight;
        scalars[0] = globals[4] > 0 ? weight / globals[4] : 0.0;
        return scalars;
    }
    scalars[0] = globals[0];
    scalars[1] = globals[0] * schedule[0] * schedule[1];
    scalars[2] = 1;
    scalars[3] = globals[6];
    if (u.rule == UpdateRule::kDAdaptSgd) {
        if (globals[3] == 0 && run.has(3)) globals[3] = run.load(4)[0] * std::sqrt(run.load(3)[0]);
        scalars[1] = globals[3] > 0 ? scalars[1] / globals[3] : 0.0;
    }
    return scalars;
}

// The new estimate of the distance d. globals: d, numerator, largest d, norm of the first gradient,
// sum of weights, largest rate, d0.
void end_step(const NodeRun& run, const Doubles& sums, Doubles& scalars, Doubles& globals) {
    const ir::UpdateAttributes& u = run.attrs().update;
    const double lambda = scalars[1];
    const double q = std::sqrt(u.beta2);
    const bool is_adan = u.rule == UpdateRule::kDAdaptAdan;
    const double weight = is_adan ? sums[2] : sums[1];
    scalars[2] = weight > 0 ? 1.0 : 0.0;
    if (!(weight > 0)) return;
    double estimate = 0;
    double& numerator = globals[1];
    if (u.rule == UpdateRule::kDAdaptAdam || u.rule == UpdateRule::kDAdaptLion) {
        numerator = q * numerator + (1 - q) * sums[0];
        estimate = numerator / ((1 - q) * weight);
    } else if (u.rule == UpdateRule::kDAdaptSgd) {
        numerator += sums[0];
        estimate = 2 * numerator / std::sqrt(weight);
    } else if (is_adan) {
        numerator = u.beta3 * numerator + (1 - u.beta3) * lambda * lambda * sums[0];
        estimate = (sums[1] / (1 - u.beta3) - numerator) / weight;
    } else {
        numerator = u.beta3 * numerator + sums[0];
        estimate = u.d_coef * numerator / weight;
    }
    if (!(run.load(1)[0] > 0)) return;  // a rate of 0 teaches nothing about d
    double& d = globals[0];
    if (u.rule == UpdateRule::kProdigy) {
        if (d == globals[6]) d = std::max(d, estimate);
        globals[2] = std::max(globals[2], estimate);
        d = std::min(globals[2], d * growth_limit(u));
    } else {
        d = std::max(d, std::min(estimate, d * growth_limit(u)));
    }
    scalars[0] = d;
}

}  // namespace

void sum_squares(const NodeRun& run) {
    double sum = run.has(1) ? run.load(1)[0] : 0.0;
    for (const double value : run.load(0)) sum += value * value;
    run.store(0, Doubles{sum});
}

void clip_coefficient(const NodeRun& run) {
    const double norm = std::sqrt(run.load(0)[0]);
    const double max_norm = run.attrs().alpha;
    run.store(0, Doubles{max_norm == 0 ? 1.0 : std::min(1.0, max_norm / (norm + 1e-6))});
    run.store(1, Doubles{norm});
}

void update_globals(const NodeRun& run) {
    Doubles globals = run.load(0);
    Doubles scalars = begin_step(run, globals);
    if (run.has(2)) end_step(run, run.load(2), scalars, globals);
    run.store_input(0, globals);
    run.store(0, scalars);
}

void update_sums(const NodeRun& run) {
    const ir::UpdateAttributes& u = run.attrs().update;
    Doubles sums(4, 0.0);
    each_element(run, [&](const Element& e, States& states, size_t at) {
        sum_element(u, e, states, at, sums, e.scalars[3]);
    });
    run.store(0, sums);
}

void update_step(const NodeRun& run) {
    if (ir::has_update_sums(run.attrs().update.rule) && run.load(10)[2] == 0) return;
    each_element(run, [&](const Element& e, States& states, size_t at) {
        step_element(run.attrs().update, e, states, at);
    });
}

// scale_weight_norms of sd-scripts, apply_max_norm_regularization.
void limit_norm(const NodeRun& run) {
    const double most = run.attrs().alpha;
    const double norm = std::sqrt(run.load(6)[0]);
    const double clamped = std::max(norm, most / 2);
    const double ratio = std::min(clamped, most) / clamped;
    Doubles stats = run.load(7);
    stats[0] += ratio != 1 ? 1 : 0;
    stats[1] += norm * ratio;
    stats[2] = std::max(stats[2], norm * ratio);
    stats[3] += 1;
    run.store_input(7, stats);
    if (ratio == 1) return;
    int count = 0;
    for (int i = 0; i < ir::kMostLimitFactors; ++i) count += run.has(i) ? 1 : 0;
    const double factor = std::pow(ratio, 1.0 / count);
    for (int i = 0; i < ir::kMostLimitFactors; ++i) {
        if (!run.has(i)) continue;
        Doubles values = run.load(i);
        for (double& value : values) value *= factor;
        run.store_input(i, values);
    }
}

}  // namespace lora::reference::ops

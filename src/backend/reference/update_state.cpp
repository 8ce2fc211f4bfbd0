// The optimizer's operators whose state is smaller than the parameters: 8 bit, and factored.
// Source   Dettmers et al., arXiv:2110.02861 (update order: bitsandbytes); Shazeer and Stern,
//          Adafactor, arXiv:1804.04235; Luo et al., CAME, arXiv:2307.02047.
#include <algorithm>
#include <cmath>

#include "backend/reference/internal/kernel.h"

namespace lora::reference::ops {
namespace {

using ir::UpdateRule;

// The nearest entry of an ascending map; of two equally near ones the lower. A negative number
// never becomes 0.
size_t nearest(const double* map, double x) {
    size_t low = 0;
    while (low < 255 && (map[low] + map[low + 1]) / 2 < x) ++low;
    if (x < 0 && map[low] == 0) --low;
    return low;
}

struct Block {
    std::vector<double> numbers;
    void quantise(const double* map, double* q, double& absmax) const {
        absmax = 0;
        for (const double x : numbers) absmax = std::max(absmax, std::abs(x));
        for (size_t j = 0; j < numbers.size(); ++j) {
            q[j] = static_cast<double>(nearest(map, absmax > 0 ? numbers[j] / absmax : 0.0));
        }
    }
};

// One element with unpacked moments; those of a gradient that is not finite stay.
void step_unpacked(
    const ir::UpdateAttributes& u, const double* row, double g, double& p, double& m, double& v) {
    if (!std::isfinite(g)) return;
    const double lr = row[0];
    if (u.rule == UpdateRule::kLion) {
        p *= 1 - lr * u.weight_decay;
        const double move = u.beta1 * m + (1 - u.beta1) * g;
        p -= lr * (move > 0 ? 1.0 : (move < 0 ? -1.0 : 0.0));
        m = u.beta2 * m + (1 - u.beta2) * g;
    } else if (u.rule == UpdateRule::kSgdNesterov) {
        g += u.weight_decay * p;
        m = row[1] != 0 ? g : u.beta1 * m + g;
        p -= lr * (g + u.beta1 * m);
    } else {
        m = u.beta1 * m + (1 - u.beta1) * g;
        v = u.beta2 * v + (1 - u.beta2) * g * g;
        p -= lr / row[1] * m / (std::sqrt(v) / std::sqrt(row[2]) + u.eps);
        p *= 1 - lr * u.weight_decay;
    }
}

// One tensor of update_factored: `count` elements, matrices of rows x cols one after the other.
struct Tensor {
    explicit Tensor(const double* row)
        : begin(static_cast<size_t>(row[0])),
          count(static_cast<size_t>(row[1])),
          group(static_cast<size_t>(row[2])),
          rows(static_cast<size_t>(row[3])),
          cols(static_cast<size_t>(row[4])),
          row_begin(static_cast<size_t>(row[5])),
          col_begin(static_cast<size_t>(row[6])) {}
    size_t begin, count, group, rows, cols, row_begin, col_begin;

    [[nodiscard]] size_t matrix(size_t j) const { return j / (rows * cols); }
    [[nodiscard]] size_t row_at(size_t j) const { return row_begin + j / cols; }
    [[nodiscard]] size_t col_at(size_t j) const { return col_begin + matrix(j) * cols + j % cols; }
};

// Averages the means of `squares` over rows and columns into the states.
void average(
    const Tensor& t, const Doubles& squares, double beta, double rest, Doubles& row, Doubles& col) {
    Doubles row_mean(t.count / t.cols, 0.0);
    Doubles col_mean(t.count / t.rows, 0.0);
    for (size_t j = 0; j < t.count; ++j) {
        row_mean[t.row_at(j) - t.row_begin] += squares[j] / static_cast<double>(t.cols);
        col_mean[t.col_at(j) - t.col_begin] += squares[j] / static_cast<double>(t.rows);
    }
    for (size_t i = 0; i < row_mean.size(); ++i) {
        double& state = row[t.row_begin + i];
        state = beta * state + rest * row_mean[i];
    }
    for (size_t i = 0; i < col_mean.size(); ++i) {
        double& state = col[t.col_begin + i];
        state = beta * state + rest * col_mean[i];
    }
}

// x / (sqrt(row / mean(row)) sqrt(col)), the factored form of x / sqrt(average).
Doubles divided(const Tensor& t, const Doubles& x, const Doubles& row, const Doubles& col) {
    Doubles mean(t.count / (t.rows * t.cols), 0.0);
    for (size_t i = 0; i < t.count / t.cols; ++i) {
        mean[i / t.rows] += row[t.row_begin + i] / static_cast<double>(t.rows);
    }
    Doubles result(t.count);
    for (size_t j = 0; j < t.count; ++j) {
        const double r = row[t.row_at(j)] / mean[t.matrix(j)];
        result[j] = x[j] / (std::sqrt(r) * std::sqrt(col[t.col_at(j)]));
    }
    return result;
}

double root_mean_square(const double* x, size_t count) {
    double sum = 0;
    for (size_t j = 0; j < count; ++j) sum += x[j] * x[j];
    return std::sqrt(sum / static_cast<double>(count));
}

void clip_rms(Doubles& x, double threshold) {
    const double by = std::max(1.0, root_mean_square(x.data(), x.size()) / threshold);
    for (double& value : x) value /= by;
}

struct FactoredStates {
    Doubles row, col, m, res_row, res_col;
};

Doubles squares_plus(const Doubles& x, double eps) {
    Doubles result;
    for (const double value : x) result.push_back(value * value + eps);
    return result;
}

// schedule row: {step size, beta of the averages, 1 - beta}
void adafactor(const ir::UpdateAttributes& u,
               const Tensor& t,
               const double* row,
               const Doubles& g,
               double* p,
               FactoredStates& s) {
    const double scale = u.scale_parameter ? std::max(u.eps2, root_mean_square(p, t.count)) : 1.0;
    const double alpha = row[0] * scale;
    average(t, squares_plus(g, u.eps), row[1], row[2], s.row, s.col);
    Doubles step = divided(t, g, s.row, s.col);
    clip_rms(step, u.clip_threshold);
    for (size_t j = 0; j < t.count; ++j) {
        step[j] *= alpha;
        if (!s.m.empty()) {
            double& m = s.m[t.begin + j];
            m = u.beta1 * m + (1 - u.beta1) * step[j];
            step[j] = m;
        }
        p[j] -= u.weight_decay * alpha * p[j];
        p[j] -= step[j];
    }
}

void came(const ir::UpdateAttributes& u,
          const Tensor& t,
          const double* row,
          const Doubles& g,
          double* p,
          FactoredStates& s) {
    average(t, squares_plus(g, u.eps), u.beta2, 1 - u.beta2, s.row, s.col);
    Doubles step = divided(t, g, s.row, s.col);
    clip_rms(step, u.clip_threshold);
    Doubles momentum(t.count);
    Doubles instability(t.count);
    for (size_t j = 0; j < t.count; ++j) {
        double& m = s.m[t.begin + j];
        m = u.beta1 * m + (1 - u.beta1) * step[j];
        momentum[j] = m;
        instability[j] = (step[j] - m) * (step[j] - m) + u.eps2;
    }
    average(t, instability, u.beta3, 1 - u.beta3, s.res_row, s.res_col);
    const Doubles move = divided(t, momentum, s.res_row, s.res_col);
    for (size_t j = 0; j < t.count; ++j) {
        p[j] -= row[0] * u.weight_decay * p[j];
        p[j] -= row[0] * move[j];
    }
}

}  // namespace

void update_step_8bit(const NodeRun& run) {
    const ir::UpdateAttributes& u = run.attrs().update;
    const bool has_second = u.rule == UpdateRule::kAdamW;
    Doubles p = run.load(0);
    const Doubles g = run.load(1);
    Doubles q[2] = {run.load(2), has_second ? run.load(4) : Doubles{}};
    Doubles absmax[2] = {run.load(3), has_second ? run.load(5) : Doubles{}};
    const double clip = run.load(6)[0];
    const Doubles schedule = run.load(7);
    const Doubles pieces = run.load(8);
    const Doubles maps = run.load(9);
    const size_t num_states = has_second ? 2 : 1;
    for (size_t i = 0; i < pieces.size() / 4; ++i) {
        const auto at = [&](size_t column) { return static_cast<size_t>(pieces[4 * i + column]); };
        const size_t count = at(1);
        const size_t state = at(3);
        Block block[2];
        for (size_t k = 0; k < num_states; ++k) {
            for (size_t j = 0; j < count; ++j) {
                const auto index = static_cast<size_t>(q[k][state + j]);
                block[k].numbers.push_back(maps[256 * k + index] * absmax[k][i]);
            }
        }
        double unused = 0;
        for (size_t j = 0; j < count; ++j) {
            step_unpacked(u,
                          schedule.data() + 4 * at(2),
                          clip * g[at(0) + j],
                          p[at(0) + j],
                          block[0].numbers[j],
                          has_second ? block[1].numbers[j] : unused);
        }
        for (size_t k = 0; k < num_states; ++k) {
            block[k].quantise(maps.data() + 256 * k, q[k].data() + state, absmax[k][i]);
        }
    }
    run.store_input(0, p);
    for (size_t k = 0; k < num_states; ++k) {
        run.store_input(static_cast<int>(2 + 2 * k), q[k]);
        run.store_input(static_cast<int>(3 + 2 * k), absmax[k]);
    }
}

void update_factored(const NodeRun& run) {
    const ir::UpdateAttributes& u = run.attrs().update;
    Doubles p = run.load(0);
    const Doubles g = run.load(1);
    FactoredStates states;
    Doubles* const slots[] = {
        &states.row, &states.col, &states.m, &states.res_row, &states.res_col};
    for (int i = 0; i < 5; ++i) {
        if (run.has(2 + i)) *slots[i] = run.load(2 + i);
    }
    const double clip = run.load(7)[0];
    const Doubles schedule = run.load(8);
    const Doubles tensors = run.load(9);
    for (size_t i = 0; i < tensors.size() / 7; ++i) {
        const Tensor t(tensors.data() + 7 * i);
        Doubles gradient;
        for (size_t j = 0; j < t.count; ++j) gradient.push_back(clip * g[t.begin + j]);
        const double* row = schedule.data() + 4 * t.group;
        const auto method = u.rule == UpdateRule::kCame ? came : adafactor;
        method(u, t, row, gradient, p.data() + t.begin, states);
    }
    run.store_input(0, p);
    for (int i = 0; i < 5; ++i) {
        if (run.has(2 + i)) run.store_input(2 + i, *slots[i]);
    }
}

}  // namespace lora::reference::ops

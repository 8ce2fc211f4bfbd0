// Optimizers that the table of trajectories lacks, against fp64 written here from the papers:
//   D-Adaptation: arXiv:2301.07733 (SGD: algorithm 4); Adan: arXiv:2208.06677; schedule-free:
//   arXiv:2405.15682, with x, y and z kept apart; Adafactor: arXiv:1804.04235; CAME:
//   arXiv:2307.02047; blocks of 8 bit: arXiv:2110.02861.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <map>

#include <gtest/gtest.h>

#include "backend/reference/reference_backend.h"
#include "train/optimizer.h"

namespace lora::train {
namespace {

using Vec = std::vector<double>;
using Tensors = std::map<std::string, Vec>;  // by key

double dot(const Vec& a, const Vec& b) {
    double sum = 0;
    for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
    return sum;
}
double l1(const Vec& a) {
    double sum = 0;
    for (const double x : a) sum += std::abs(x);
    return sum;
}
double rms(const Vec& a) { return std::sqrt(dot(a, a) / static_cast<double>(a.size())); }

// A method: called once a step with all parameters and gradients.
using Method = std::function<void(int step, Tensors& p, const Tensors& g)>;

constexpr int kSteps = 6;
constexpr double kRate = 0.05;

// A linear layer, a 3x3 convolution and a 1x1 one (whose last two axes hold one number).
Network small_network() {
    return Network({{"lora_unet_down_blocks_0_a", Shape{9, 7}, NetworkPart::kUNet, 5, 1.0},
                    {"lora_unet_down_blocks_0_b", Shape{6, 4, 3, 3}, NetworkPart::kUNet, 2, 1.0},
                    {"lora_unet_down_blocks_0_c", Shape{3, 5, 1, 1}, NetworkPart::kUNet, 2, 1.0}});
}

std::set<std::string> all_keys(const Network& network) {
    std::set<std::string> keys;
    for (const ParameterEntry& entry : network.entries()) keys.insert(entry.key);
    return keys;
}

Tensors tensors_of(const Network& network, const Vec& flat) {
    Tensors result;
    for (const ParameterEntry& entry : network.entries()) {
        const auto first = flat.begin() + entry.offset;
        result[entry.key] = Vec(first, first + entry.count);
    }
    return result;
}

// Waves of a length and height of their own in every step; gaps between tensors stay zero. In large
// tensors every 97th gradient is tiny once and then zero: in 8 bit such a moment is kept by its
// sign alone.
Vec wave(const Network& network, int step, double height) {
    Vec flat(static_cast<size_t>(network.num_elements()), 0.0);
    for (const ParameterEntry& entry : network.entries()) {
        for (int64_t i = 0; i < entry.count; ++i) {
            const auto x = static_cast<double>(entry.offset + i);
            double& value = flat[static_cast<size_t>(entry.offset + i)];
            if (step > 0 && entry.count >= 4096 && i % 97 == 3) {
                value = step == 1 ? -1e-9 : 0.0;
                continue;
            }
            value = height * std::sin(1.3 * x + 0.9 * step) * (1 + 0.5 * std::cos(0.11 * x * step));
        }
    }
    return flat;
}

// Runs the optimizer with buffers of T beside `method` and compares after every step.
template <typename T>
void compare(const Network& network,
             const OptimizerSpec& spec,
             double rate,
             double bound,
             const Method& method) {
    const auto backend = reference::open({});
    const size_t bytes = static_cast<size_t>(network.num_elements()) * sizeof(T);
    const ParameterBuffers buffers{backend->make_buffer(bytes),
                                   backend->make_buffer(bytes),
                                   sizeof(T) == 8 ? DType::kF64 : DType::kF32};
    const auto put = [&](backend::Buffer& buffer, const Vec& flat) {
        const std::vector<T> values(flat.begin(), flat.end());
        buffer.write(0, std::as_bytes(std::span(values)));
        return Vec(values.begin(), values.end());
    };
    Tensors p = tensors_of(network, put(*buffers.values, wave(network, 0, 0.3)));
    Optimizer optimizer(
        *backend, buffers, network, all_keys(network), spec, make_parameter_groups(network));
    for (int step = 1; step <= kSteps; ++step) {
        const Vec flat = put(*buffers.gradients, wave(network, step, 0.1 * step));
        (void)optimizer.update(step, {.text_encoder = 0, .unet = rate});
        method(step, p, tensors_of(network, flat));
        std::vector<T> now(static_cast<size_t>(network.num_elements()));
        buffers.values->read(0, std::as_writable_bytes(std::span(now)));
        for (const ParameterEntry& entry : network.entries()) {
            for (size_t i = 0; i < p[entry.key].size(); ++i) {
                const double want = p[entry.key][i];
                ASSERT_NEAR(static_cast<double>(now[static_cast<size_t>(entry.offset) + i]),
                            want,
                            bound * (std::abs(want) + 1e-2))
                    << spec.name << " step " << step << " " << entry.key << " " << i;
            }
        }
    }
}

TEST(OptimizerPaper, ScheduleFreeAdamW) {
    const OptimizerSpec spec = optimizer_spec(
        "AdamWScheduleFree",
        {{"betas", "0.9,0.95"}, {"weight_decay", "0.1"}, {"warmup_steps", "3"}, {"r", "0.5"}},
        0);
    Tensors x;
    Tensors z;
    Tensors v;
    double weights = 0;
    compare<double>(small_network(), spec, kRate, 1e-9, [&](int t, Tensors& y, const Tensors& g) {
        if (t == 1) x = z = y;
        const double rate = kRate * std::min(1.0, t / 3.0) * std::sqrt(1 - std::pow(0.95, t));
        const double weight = std::pow(t, 0.5) * rate * rate;  // rates only rise here
        weights += weight;
        const double c = weight / weights;
        for (auto& [key, point] : y) {
            v[key].resize(point.size());
            for (size_t i = 0; i < point.size(); ++i) {
                double& square = v[key][i];
                square = 0.95 * square + 0.05 * g.at(key)[i] * g.at(key)[i];
                z[key][i] -= rate * (g.at(key)[i] / (std::sqrt(square) + 1e-8) + 0.1 * point[i]);
                x[key][i] = (1 - c) * x[key][i] + c * z[key][i];
                point[i] = 0.1 * z[key][i] + 0.9 * x[key][i];
            }
        }
    });
}

// The file holds x, the average, not y.
TEST(OptimizerPaper, ScheduleFreeFilesHoldTheAverage) {
    const Network network = small_network();
    const auto backend = reference::open({});
    const ParameterBuffers buffers = make_parameter_buffers(*backend, network);
    Optimizer optimizer(
        *backend, buffers, network, all_keys(network), optimizer_spec("AdamWScheduleFree", {}, 0));
    Vec x;
    for (int step = 1; step <= 3; ++step) {
        const Vec flat = wave(network, step, 0.1);
        write_floats(*buffers.gradients, std::vector<float>(flat.begin(), flat.end()));
        (void)optimizer.update(step, {.text_encoder = 0, .unet = kRate});
        // z of all steps, weighted by the squared rate.
        const std::vector<StateContent> states = optimizer.read_states();
        ASSERT_EQ(states[1].slot.name, "z");
        std::vector<float> z(states[1].bytes.size() / sizeof(float));
        std::memcpy(z.data(), states[1].bytes.data(), states[1].bytes.size());
        x.resize(z.size(), 0.0);
        double weights = 0;
        for (int t = 1; t <= step; ++t) weights += 1 - std::pow(0.999, t);
        const double c = (1 - std::pow(0.999, step)) / weights;
        for (size_t i = 0; i < x.size(); ++i) {
            x[i] = (1 - c) * x[i] + c * static_cast<double>(z[i]);
        }
    }
    const std::vector<float> saved = optimizer.finished_values();
    for (size_t i = 0; i < saved.size(); ++i) {
        ASSERT_NEAR(static_cast<double>(saved[i]), x[i], 1e-6) << i;
    }
}

TEST(OptimizerPaper, DAdaptSgd) {
    const OptimizerSpec spec =
        optimizer_spec("DAdaptSGD", {{"momentum", "0.8"}, {"d0", "1e-3"}}, 0);
    Tensors start;
    Tensors s;
    double d = 1e-3;
    double first_norm = 0;
    double weighted = 0;  // sum of lambda^2 |g|^2
    compare<double>(small_network(), spec, 1.0, 1e-9, [&](int t, Tensors& p, const Tensors& g) {
        double square = 0;
        for (const auto& [key, gradient] : g) square += dot(gradient, gradient);
        if (t == 1) {
            start = p;
            first_norm = std::sqrt(square);
            for (const auto& [key, value] : p) s[key].assign(value.size(), 0.0);
        }
        const double lambda = d / first_norm;
        weighted += lambda * lambda * square;
        double length = 0;
        for (auto& [key, sum] : s) {
            for (size_t i = 0; i < sum.size(); ++i) sum[i] += lambda * g.at(key)[i];
            length += dot(sum, sum);
        }
        d = std::max(d, (length - weighted) / std::sqrt(length));
        for (auto& [key, value] : p) {
            for (size_t i = 0; i < value.size(); ++i) {
                value[i] = 0.8 * value[i] + 0.2 * (start[key][i] - s[key][i]);
            }
        }
    });
}

void dadapt_adan(bool no_prox) {
    const OptimizerSpec spec = optimizer_spec(
        "DAdaptAdan",
        {{"betas", "0.9,0.8,0.95"}, {"d0", "1e-2"}, {"no_prox", no_prox ? "True" : "False"}},
        0);
    const double b1 = 0.9;
    const double b2 = 0.8;
    const double b3 = 0.95;
    Tensors m;
    Tensors diff;
    Tensors n;
    Tensors s;
    Tensors last;
    double d = 1e-2;
    double squares = 0;
    compare<double>(small_network(), spec, 1.0, 1e-9, [&](int t, Tensors& p, const Tensors& g) {
        if (t == 1) {
            last = g;
            for (Tensors* state : {&m, &diff, &n, &s}) {
                for (const auto& [key, value] : p) (*state)[key].assign(value.size(), 0.0);
            }
        }
        const double lambda = d;
        double gradient_part = 0;
        double sum_part = 0;
        double size = 0;
        for (const auto& [key, gradient] : g) {
            for (size_t i = 0; i < gradient.size(); ++i) {
                const double change = gradient[i] - last[key][i];
                const double ahead = gradient[i] + b2 * change;
                m[key][i] = b1 * m[key][i] + (1 - b1) * lambda * gradient[i];
                diff[key][i] = b2 * diff[key][i] + (1 - b2) * lambda * change;
                n[key][i] = b3 * n[key][i] + (1 - b3) * ahead * ahead;
                s[key][i] = b3 * s[key][i] + (1 - b3) * lambda * gradient[i];
                const double root = std::sqrt(n[key][i]) + 1e-8;
                gradient_part += gradient[i] * gradient[i] / root;
                sum_part += s[key][i] * s[key][i] / root;
            }
            size += l1(s[key]);
        }
        squares = b3 * squares + (1 - b3) * lambda * lambda * gradient_part;
        d = std::max(d, (sum_part / (1 - b3) - squares) / size);
        for (auto& [key, value] : p) {
            for (size_t i = 0; i < value.size(); ++i) {
                const double move = (m[key][i] + b2 * diff[key][i]) / (std::sqrt(n[key][i]) + 1e-8);
                if (no_prox) {
                    value[i] = value[i] * (1 - lambda * 0.02) - move;
                } else {
                    value[i] = (value[i] - move) / (1 + lambda * 0.02);
                }
            }
        }
        last = g;
    });
}
TEST(OptimizerPaper, DAdaptAdan) { dadapt_adan(false); }
TEST(OptimizerPaper, DAdaptAdanWithoutProximalDecay) { dadapt_adan(true); }

// A second moment kept as row and column means of each of `count` matrices.
struct Factors {
    size_t count, rows, cols;
    Vec row, col;

    Factors(const Shape& shape, size_t elements)
        : count(elements / static_cast<size_t>(shape[-1] * shape[-2])),
          rows(static_cast<size_t>(shape[-2])),
          cols(static_cast<size_t>(shape[-1])),
          row(count * rows, 0.0),
          col(count * cols, 0.0) {}

    void average(const Vec& x, double eps, double beta) {
        for (double& value : row) value *= beta;
        for (double& value : col) value *= beta;
        for (size_t k = 0; k < count; ++k) {
            for (size_t r = 0; r < rows; ++r) {
                for (size_t c = 0; c < cols; ++c) {
                    const double value = x[(k * rows + r) * cols + c];
                    const double part = (1 - beta) * (value * value + eps);
                    row[k * rows + r] += part / static_cast<double>(cols);
                    col[k * cols + c] += part / static_cast<double>(rows);
                }
            }
        }
    }
    // x / sqrt(R C^T / mean(R))
    [[nodiscard]] Vec normalised(const Vec& x) const {
        Vec result(x.size());
        for (size_t k = 0; k < count; ++k) {
            double mean = 0;
            for (size_t r = 0; r < rows; ++r) mean += row[k * rows + r];
            mean /= static_cast<double>(rows);
            for (size_t r = 0; r < rows; ++r) {
                for (size_t c = 0; c < cols; ++c) {
                    const size_t at = (k * rows + r) * cols + c;
                    result[at] = x[at] / std::sqrt(row[k * rows + r] * col[k * cols + c] / mean);
                }
            }
        }
        return result;
    }
};

std::map<std::string, Factors> factors_of(const Network& network) {
    std::map<std::string, Factors> result;
    for (const ParameterEntry& entry : network.entries()) {
        result.emplace(entry.key, Factors(entry.shape, static_cast<size_t>(entry.count)));
    }
    return result;
}

TEST(OptimizerPaper, AdafactorWithFirstMoment) {
    const OptimizerSpec spec = optimizer_spec("Adafactor",
                                              {{"relative_step", "False"},
                                               {"beta1", "0.9"},
                                               {"weight_decay", "0.1"},
                                               {"clip_threshold", "0.7"}},
                                              0);
    const Network network = small_network();
    auto factors = factors_of(network);
    Tensors m;
    compare<double>(network, spec, kRate, 1e-9, [&](int t, Tensors& p, const Tensors& g) {
        for (auto& [key, value] : p) {
            const double alpha = kRate * std::max(1e-3, rms(value));
            Factors& f = factors.at(key);
            f.average(g.at(key), 1e-30, 1 - std::pow(t, -0.8));
            Vec u = f.normalised(g.at(key));
            const double by = std::max(1.0, rms(u) / 0.7);
            m[key].resize(value.size());
            for (size_t i = 0; i < value.size(); ++i) {
                m[key][i] = 0.9 * m[key][i] + 0.1 * alpha * u[i] / by;
                value[i] = value[i] * (1 - 0.1 * alpha) - m[key][i];
            }
        }
    });
}

TEST(OptimizerPaper, Came) {
    const OptimizerSpec spec = optimizer_spec("CAME", {{"weight_decay", "0.1"}}, 0);
    const Network network = small_network();
    auto squares = factors_of(network);
    auto instability = factors_of(network);
    Tensors m;
    compare<double>(network, spec, kRate, 1e-9, [&](int /*t*/, Tensors& p, const Tensors& g) {
        for (auto& [key, value] : p) {
            squares.at(key).average(g.at(key), 1e-30, 0.999);
            Vec u = squares.at(key).normalised(g.at(key));
            const double by = std::max(1.0, rms(u));
            m[key].resize(value.size());
            Vec distance(value.size());
            for (size_t i = 0; i < value.size(); ++i) {
                m[key][i] = 0.9 * m[key][i] + 0.1 * u[i] / by;
                distance[i] = u[i] / by - m[key][i];
            }
            instability.at(key).average(distance, 1e-16, 0.9999);
            const Vec move = instability.at(key).normalised(m[key]);
            for (size_t i = 0; i < value.size(); ++i) {
                value[i] = value[i] * (1 - 0.1 * kRate) - kRate * move[i];
            }
        }
    });
}

// The 256 numbers of dynamic tree quantization.
Vec tree_map(bool is_signed) {
    Vec map = {0.0, 1.0};
    for (int zeros = 0; zeros <= 6; ++zeros) {  // decimal zeros in front of the fraction
        const int parts = 1 << (6 - zeros + (is_signed ? 0 : 1));
        for (int i = 0; i < parts; ++i) {
            const double left = 0.1 + 0.9 * i / parts;
            const double right = 0.1 + 0.9 * (i + 1) / parts;
            const auto value = static_cast<double>(
                static_cast<float>((left + right) / 2 * std::pow(10.0, -zeros)));
            map.push_back(value);
            if (is_signed) map.push_back(-value);
        }
    }
    EXPECT_EQ(map.size(), 256U);
    return map;
}

// What a block of numbers becomes when it is stored and read again.
void store_and_read(const Vec& map, double* block, size_t count) {
    double most = 0;
    for (size_t i = 0; i < count; ++i) most = std::max(most, std::abs(block[i]));
    const auto scale = static_cast<double>(static_cast<float>(most));
    for (size_t i = 0; i < count; ++i) {
        if (most == 0) continue;
        const double share = block[i] / most;
        double best = std::numeric_limits<double>::max();
        double chosen = 0;
        for (const double entry : map) {
            if (share < 0 && entry >= 0) continue;  // the sign stays
            if (std::abs(entry - share) < best) {
                best = std::abs(entry - share);
                chosen = entry;
            }
        }
        block[i] = chosen * scale;
    }
}

void pack(const Vec& map, Vec& numbers) {
    if (numbers.size() < 4096) return;  // kept as they are
    for (size_t at = 0; at < numbers.size(); at += 256) {
        store_and_read(map, numbers.data() + at, std::min<size_t>(256, numbers.size() - at));
    }
}

// 60 x 79 = 4740 elements and 70 x 60 = 4200 are packed, in blocks that end early; 2 x 4 is not.
Network large_network() {
    return Network({{"lora_unet_down_blocks_0_a", Shape{70, 79}, NetworkPart::kUNet, 60, 1.0},
                    {"lora_unet_down_blocks_0_b", Shape{9, 4}, NetworkPart::kUNet, 2, 1.0}});
}

TEST(OptimizerPaper, AdamW8bit) {
    const OptimizerSpec spec =
        optimizer_spec("AdamW8bit", {{"betas", "0.9,0.95"}, {"weight_decay", "0.1"}}, 0);
    const Vec with_sign = tree_map(true);
    const Vec without = tree_map(false);
    Tensors m;
    Tensors v;
    compare<float>(large_network(), spec, kRate, 3e-6, [&](int t, Tensors& p, const Tensors& g) {
        for (auto& [key, value] : p) {
            m[key].resize(value.size());
            v[key].resize(value.size());
            for (size_t i = 0; i < value.size(); ++i) {
                const double gradient = g.at(key)[i];
                m[key][i] = 0.9 * m[key][i] + 0.1 * gradient;
                v[key][i] = 0.95 * v[key][i] + 0.05 * gradient * gradient;
                const double m_hat = m[key][i] / (1 - std::pow(0.9, t));
                const double v_hat = v[key][i] / (1 - std::pow(0.95, t));
                value[i] -= kRate * m_hat / (std::sqrt(v_hat) + 1e-8);
                value[i] -= kRate * 0.1 * value[i];
            }
            pack(with_sign, m[key]);
            pack(without, v[key]);
        }
    });
}

TEST(OptimizerPaper, Lion8bit) {
    const OptimizerSpec spec = optimizer_spec("Lion8bit", {{"weight_decay", "0.1"}}, 0);
    const Vec map = tree_map(true);
    Tensors m;
    compare<float>(large_network(), spec, kRate, 3e-6, [&](int, Tensors& p, const Tensors& g) {
        for (auto& [key, value] : p) {
            m[key].resize(value.size());
            for (size_t i = 0; i < value.size(); ++i) {
                const double gradient = g.at(key)[i];
                const double mixed = 0.9 * m[key][i] + 0.1 * gradient;
                const double sign = mixed > 0 ? 1 : (mixed < 0 ? -1 : 0);
                value[i] -= kRate * (sign + 0.1 * value[i]);
                m[key][i] = 0.99 * m[key][i] + 0.01 * gradient;
            }
            pack(map, m[key]);
        }
    });
}

TEST(OptimizerPaper, SgdNesterov8bit) {
    const OptimizerSpec spec = optimizer_spec("SGDNesterov8bit", {{"weight_decay", "0.1"}}, 0);
    const Vec map = tree_map(true);
    Tensors b;
    compare<float>(large_network(), spec, kRate, 3e-6, [&](int t, Tensors& p, const Tensors& g) {
        for (auto& [key, value] : p) {
            b[key].resize(value.size());
            for (size_t i = 0; i < value.size(); ++i) {
                const double gradient = g.at(key)[i] + 0.1 * value[i];
                b[key][i] = t == 1 ? gradient : 0.9 * b[key][i] + gradient;
                value[i] -= kRate * (gradient + 0.9 * b[key][i]);
            }
            pack(map, b[key]);
        }
    });
}

}  // namespace
}  // namespace lora::train

// Timesteps and noise levels against diffusers' (8 steps), each method against its formulas as the
// papers write them, in double, and laws that hold for any model.
#include "diffusion/sampler.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/rng.h"

namespace lora::diffusion {
namespace {

constexpr PredictionType kEpsilon = PredictionType::kEpsilon;
constexpr std::array<SamplerKind, 13> kAll{SamplerKind::kDdim,
                                           SamplerKind::kPndm,
                                           SamplerKind::kPlms,
                                           SamplerKind::kEuler,
                                           SamplerKind::kEulerA,
                                           SamplerKind::kHeun,
                                           SamplerKind::kDpm2,
                                           SamplerKind::kDpm2A,
                                           SamplerKind::kLms,
                                           SamplerKind::kDpmSolver,
                                           SamplerKind::kDpmSolverPp,
                                           SamplerKind::kDpmSingle,
                                           SamplerKind::kDpmpp2mKarras};

TEST(Sampler, NamesGoBothWays) {
    for (const SamplerKind kind : kAll) EXPECT_EQ(sampler_from_name(sampler_name(kind)), kind);
    EXPECT_EQ(sampler_from_name("k_euler_a"), SamplerKind::kEulerA);
    // Every name that sd-scripts takes.
    for (const char* name : {"ddim",
                             "pndm",
                             "lms",
                             "euler",
                             "euler_a",
                             "heun",
                             "dpm_2",
                             "dpm_2_a",
                             "dpmsolver",
                             "dpmsolver++",
                             "dpmsingle",
                             "k_lms",
                             "k_euler",
                             "k_dpm_2",
                             "k_dpm_2_a"}) {
        EXPECT_TRUE(sampler_from_name(name).has_value()) << name;
    }
    EXPECT_FALSE(sampler_from_name("unipc").has_value());
}

TEST(Sampler, DdimTimestepsAreLeading) {
    const Sampler sampler(SamplerKind::kDdim, 8, kEpsilon);
    EXPECT_EQ(sampler.timesteps(), (std::vector<double>{876, 751, 626, 501, 376, 251, 126, 1}));
    EXPECT_EQ(sampler.sigmas().back(), NoiseSchedule().sigma(0));
    EXPECT_EQ(sampler.initial_scale(), 1.0);
}

TEST(Sampler, EulerLevels) {
    const Sampler sampler(SamplerKind::kEuler, 8, kEpsilon);
    EXPECT_NEAR(sampler.timesteps()[1], 856.2857055664062, 1e-4);
    EXPECT_NEAR(sampler.sigmas()[0], 14.614646911621094, 1e-4);
    EXPECT_NEAR(sampler.sigmas()[3], 2.0606436729431152, 1e-5);
    EXPECT_EQ(sampler.sigmas().back(), 0.0);
    EXPECT_EQ(sampler.initial_scale(), sampler.sigmas()[0]);
}

TEST(Sampler, KarrasLevels) {
    const Sampler sampler(SamplerKind::kDpmpp2mKarras, 8, kEpsilon);
    EXPECT_EQ(sampler.timesteps(), (std::vector<double>{999, 890, 746, 549, 299, 90, 12, 0}));
    EXPECT_NEAR(sampler.sigmas()[1], 7.902944564819336, 1e-5);
    EXPECT_NEAR(sampler.sigmas()[6], 0.10719938576221466, 1e-6);
}

TEST(Sampler, RefusesStepCountsOutsideTheSchedule) {
    EXPECT_THROW(Sampler(SamplerKind::kEuler, 0, kEpsilon), Error);
    EXPECT_THROW(Sampler(SamplerKind::kEuler, 1001, kEpsilon), Error);
    for (const SamplerKind kind : kAll) {
        EXPECT_GE(Sampler(kind, 1000, kEpsilon).num_calls(), 1000);
        EXPECT_EQ(Sampler(kind, 1, kEpsilon).num_calls(), 1);
    }
}

// A model that knows the clean value c predicts the noise exactly; every sampler then ends there.
// The v prediction of the same model must lead to the same place.
void expect_finds_constant(SamplerKind kind, PredictionType type) {
    constexpr float kClean = 0.75F;
    constexpr int64_t kSteps = 12;
    Sampler sampler(kind, kSteps, type);
    Rng rng(7);
    std::vector<float> x(16);
    rng.fill_normal(x);
    for (float& value : x) value *= static_cast<float>(sampler.initial_scale());
    std::vector<float> prediction(x.size());
    std::vector<float> fresh(x.size());
    for (int64_t step = 0; step < sampler.num_calls(); ++step) {
        const double sigma = sampler.sigmas()[static_cast<size_t>(step)];
        const double alpha = 1 / std::sqrt(sigma * sigma + 1);
        for (size_t i = 0; i < x.size(); ++i) {
            const double seen = static_cast<double>(x[i]) * sampler.input_scale(step);
            const double noise = (seen - alpha * kClean) / (alpha * sigma);
            prediction[i] = static_cast<float>(
                type == kEpsilon ? noise : alpha * noise - alpha * sigma * kClean);
        }
        rng.fill_normal(fresh);
        sampler.step(step, prediction, fresh, x);
    }
    const double left = sampler.sigmas().back();  // some stop at timestep 0's noise
    for (const float value : x) EXPECT_NEAR(value, kClean, 1e-4 + 4 * left) << sampler_name(kind);
}

TEST(Sampler, ReachesTheCleanValueOfAPerfectModel) {
    for (const SamplerKind kind : kAll) {
        expect_finds_constant(kind, kEpsilon);
        expect_finds_constant(kind, PredictionType::kVPrediction);
    }
}

// Timesteps that diffusers' schedulers give for 8 steps.
TEST(Sampler, CallsOfMethodsThatAskTwice) {
    const Sampler pndm(SamplerKind::kPndm, 8, kEpsilon);
    EXPECT_EQ(
        pndm.timesteps(),
        (std::vector<double>{
            876, 813, 813, 751, 751, 688, 688, 626, 626, 563, 563, 501, 501, 376, 251, 126, 1}));
    EXPECT_EQ(pndm.num_calls(), 8 + 9);
    const Sampler plms(SamplerKind::kPlms, 8, kEpsilon);
    EXPECT_EQ(plms.timesteps(), (std::vector<double>{876, 751, 751, 626, 501, 376, 251, 126, 1}));
    const Sampler heun(SamplerKind::kHeun, 8, kEpsilon);
    EXPECT_EQ(heun.num_calls(), 15);
    EXPECT_EQ(heun.timesteps()[1], heun.timesteps()[2]);
    EXPECT_EQ(heun.timesteps().back(), 0);
    const Sampler dpm2(SamplerKind::kDpm2, 8, kEpsilon);
    EXPECT_EQ(dpm2.num_calls(), 15);
    EXPECT_NEAR(dpm2.sigmas()[1], std::sqrt(dpm2.sigmas()[0] * dpm2.sigmas()[2]), 1e-9);
    const Sampler solver(SamplerKind::kDpmSolverPp, 8, kEpsilon);
    EXPECT_EQ(solver.timesteps(), (std::vector<double>{999, 874, 749, 624, 500, 375, 250, 125}));
    EXPECT_EQ(solver.sigmas().back(), 0);
    EXPECT_EQ(Sampler(SamplerKind::kDpmSolver, 8, kEpsilon).sigmas().back(),
              NoiseSchedule().sigma(0));
}

// Data that is normal with this mean and deviation: its best prediction of the noise is known, and
// so is the path of the flow.
constexpr double kMean = 0.3;
constexpr double kDeviation = 0.9;

double best_noise(double y, double sigma) {
    return sigma * (y - kMean) / (kDeviation * kDeviation + sigma * sigma);
}

double flow(double y, double from, double to) {
    const auto width = [](double sigma) { return std::hypot(kDeviation, sigma); };
    return kMean + (y - kMean) * width(to) / width(from);
}

double alpha(double sigma) { return 1 / std::sqrt(sigma * sigma + 1); }
bool uses_sigma(const Sampler& sampler) { return sampler.initial_scale() > 1.5; }

// y after the given number of calls, starting at `y`; `noise` is drawn for every call.
double walk(Sampler& sampler, double y, int64_t calls, PredictionType type, uint64_t seed = 1) {
    Rng rng(seed);
    const bool by_sigma = uses_sigma(sampler);
    const auto scale = [&](double sigma) { return by_sigma ? 1 : alpha(sigma); };
    std::array<float, 1> x{static_cast<float>(y * scale(sampler.sigmas()[0]))};
    for (int64_t call = 0; call < calls; ++call) {
        const double sigma = sampler.sigmas()[static_cast<size_t>(call)];
        const double now = static_cast<double>(x[0]) / scale(sigma);
        const double noise = best_noise(now, sigma);
        const double clean = now - sigma * noise;
        const double v = alpha(sigma) * (noise - sigma * clean);
        const std::array<float, 1> answer{static_cast<float>(type == kEpsilon ? noise : v)};
        const std::array<float, 1> fresh{rng.normal()};
        sampler.step(call, answer, fresh, x);
    }
    return static_cast<double>(x[0]) / scale(sampler.sigmas()[static_cast<size_t>(calls)]);
}

// Error where the last step, whose length does not shrink, begins.
double flow_error(SamplerKind kind, int64_t num_steps) {
    Sampler sampler(kind, num_steps, kEpsilon);
    const double first = sampler.sigmas().front();
    const bool two_calls = kind == SamplerKind::kHeun || kind == SamplerKind::kDpm2;
    const int64_t calls =
        sampler.num_calls() -
        (two_calls || kind == SamplerKind::kEuler || kind == SamplerKind::kLms ? 1 : 0);
    const double end = sampler.sigmas()[static_cast<size_t>(calls)];
    const double start = 1.3 * first;
    return std::abs(walk(sampler, start, calls, kEpsilon) - flow(start, first, end));
}

// Twice the steps: half the error at first order, a quarter at second, and more.
TEST(Sampler, ConvergesWithItsOrder) {
    const struct {
        SamplerKind kind;
        double least;
        double most;
    } cases[] = {
        {SamplerKind::kDdim, 1.7, 2.4},
        {SamplerKind::kEuler, 1.7, 2.4},
        {SamplerKind::kHeun, 3.4, 4.8},
        {SamplerKind::kDpm2, 3.2, 4.8},
        {SamplerKind::kDpmSolver, 3.0, 5.0},
        {SamplerKind::kLms, 6, 40},
        {SamplerKind::kPlms, 3.4, 40},  // its first steps are of second order
        {SamplerKind::kPndm, 6, 40},
    };
    for (const auto& [kind, least, most] : cases) {
        // Divisors of 1000, so that leading timesteps are evenly spaced.
        // Fewer where the error would sink below what a float can tell.
        const int64_t steps = most > 5 ? 50 : 100;
        const double coarse = flow_error(kind, steps);
        const double fine = flow_error(kind, 2 * steps);
        EXPECT_GT(coarse / fine, least) << sampler_name(kind) << " " << coarse << " " << fine;
        EXPECT_LT(coarse / fine, most) << sampler_name(kind) << " " << coarse << " " << fine;
    }
    // Methods of higher order are nearer with as many calls.
    EXPECT_LT(flow_error(SamplerKind::kHeun, 25), flow_error(SamplerKind::kEuler, 49) / 3);
    EXPECT_LT(flow_error(SamplerKind::kPndm, 41), flow_error(SamplerKind::kDdim, 50) / 3);
}

// The formulas of the papers, on one number, in double.
class Reference {
public:
    explicit Reference(const Sampler& sampler) : sigmas_(sampler.sigmas()) {}

    // Noise level as alpha, sigma and lambda of a variance-preserving sample.
    struct Level {
        double a;
        double s;
        double l;
    };
    [[nodiscard]] Level level(size_t call) const {
        const double sigma = sigmas_[call];
        return {alpha(sigma), sigma * alpha(sigma), -std::log(sigma)};
    }
    [[nodiscard]] double eps(double x, size_t call) const {
        return best_noise(x / level(call).a, sigmas_[call]);
    }
    [[nodiscard]] double x0(double x, size_t call) const {
        const Level at = level(call);
        return (x - at.s * eps(x, call)) / at.a;
    }
    // PNDM eq. 11: from one level to another with a given noise.
    [[nodiscard]] double transfer(double x, double noise, size_t from, size_t to) const {
        const double at = std::pow(level(from).a, 2);
        const double ap = std::pow(level(to).a, 2);
        return std::sqrt(ap / at) * x -
               (ap - at) * noise / (at * std::sqrt(1 - ap) + std::sqrt(at * (1 - at) * ap));
    }
    [[nodiscard]] size_t calls() const { return sigmas_.size() - 1; }

private:
    std::vector<double> sigmas_;
};

double pndm(const Reference& r, double x) {
    std::vector<double> seen;
    for (size_t k = 0; k < 12; k += 4) {
        const double e1 = r.eps(x, k);
        const double e2 = r.eps(r.transfer(x, e1, k, k + 1), k + 1);
        const double e3 = r.eps(r.transfer(x, e2, k, k + 1), k + 1);
        const double e4 = r.eps(r.transfer(x, e3, k, k + 3), k + 3);
        seen.push_back(e1);
        x = r.transfer(x, (e1 + 2 * e2 + 2 * e3 + e4) / 6, k, k + 3);
    }
    for (size_t k = 12; k < r.calls(); ++k) {
        seen.push_back(r.eps(x, k));
        const size_t n = seen.size() - 1;
        const double e =
            (55 * seen[n] - 59 * seen[n - 1] + 37 * seen[n - 2] - 9 * seen[n - 3]) / 24;
        x = r.transfer(x, e, k, k + 1);
    }
    return x;
}

double plms(const Reference& r, double x) {
    std::vector<double> seen{r.eps(x, 0)};
    const double tried = r.transfer(x, seen[0], 0, 1);
    x = r.transfer(x, (seen[0] + r.eps(tried, 1)) / 2, 0, 2);
    for (size_t k = 2; k < r.calls(); ++k) {
        seen.push_back(r.eps(x, k));
        const size_t n = seen.size() - 1;
        double e = (3 * seen[n] - seen[n - 1]) / 2;
        if (n == 2) e = (23 * seen[2] - 16 * seen[1] + 5 * seen[0]) / 12;
        if (n > 2) e = (55 * seen[n] - 59 * seen[n - 1] + 37 * seen[n - 2] - 9 * seen[n - 3]) / 24;
        x = r.transfer(x, e, k, k + 1);
    }
    return x;
}

// DPM-Solver-2 as a multistep method, in noise.
double dpmsolver(const Reference& r, double x) {
    double last = 0;
    for (size_t k = 0; k < r.calls(); ++k) {
        const auto s = r.level(k);
        const auto t = r.level(k + 1);
        const double h = t.l - s.l;
        const double e = r.eps(x, k);
        double d1 = 0;
        if (k > 0 && !(r.calls() < 15 && k + 1 == r.calls())) {
            d1 = (e - last) * h / (s.l - r.level(k - 1).l);
        }
        x = t.a / s.a * x - t.s * std::expm1(h) * e - 0.5 * t.s * std::expm1(h) * d1;
        last = e;
    }
    return x;
}

// DPM-Solver++(2M), midpoint; the last step ends without noise.
double dpmsolver_pp(const Reference& r, double x) {
    double last = 0;
    for (size_t k = 0; k + 1 < r.calls(); ++k) {
        const auto s = r.level(k);
        const auto t = r.level(k + 1);
        const double h = t.l - s.l;
        const double clean = r.x0(x, k);
        const double d1 = k > 0 ? (clean - last) * h / (s.l - r.level(k - 1).l) : 0;
        x = t.s / s.s * x - t.a * std::expm1(-h) * (clean + 0.5 * d1);
        last = clean;
    }
    return r.x0(x, r.calls() - 1);
}

// DPM-Solver++(2S), midpoint; the call that is left over is of first order.
double dpmsingle(const Reference& r, double x) {
    size_t k = 0;
    for (; k + 2 < r.calls(); k += 2) {
        const auto s1 = r.level(k);
        const auto s0 = r.level(k + 1);
        const auto t = r.level(k + 2);
        const double first = r.x0(x, k);
        const double middle = s0.s / s1.s * x - s0.a * std::expm1(-(s0.l - s1.l)) * first;
        const double h = t.l - s1.l;
        const double d1 = (r.x0(middle, k + 1) - first) * h / (s0.l - s1.l);
        x = t.s / s1.s * x - t.a * std::expm1(-h) * (first + 0.5 * d1);
    }
    for (; k + 1 < r.calls(); ++k) {
        const auto s = r.level(k);
        const auto t = r.level(k + 1);
        x = t.s / s.s * x - t.a * std::expm1(-(t.l - s.l)) * r.x0(x, k);
    }
    return r.x0(x, k);
}

TEST(Sampler, EqualsThePapersFormulas) {
    const struct {
        SamplerKind kind;
        double (*reference)(const Reference&, double);
    } cases[] = {{SamplerKind::kPndm, pndm},
                 {SamplerKind::kPlms, plms},
                 {SamplerKind::kDpmSolver, dpmsolver},
                 {SamplerKind::kDpmSolverPp, dpmsolver_pp},
                 {SamplerKind::kDpmSingle, dpmsingle}};
    for (const auto& [kind, reference] : cases) {
        for (const int64_t steps : {8, 13, 20, 30}) {
            for (const PredictionType type : {kEpsilon, PredictionType::kVPrediction}) {
                Sampler sampler(kind, steps, type);
                const Reference levels(sampler);
                const double first = sampler.sigmas().front();
                const double x = -0.7;
                const double end = sampler.sigmas().back();
                const double y =
                    walk(sampler, x / alpha(first), sampler.num_calls(), type) * alpha(end);
                EXPECT_NEAR(y, reference(levels, x), 2e-5) << sampler_name(kind) << " " << steps;
            }
        }
    }
}

// Methods over sigma: heun and dpm_2 by their two stages, lms by polynomials through what was seen.
TEST(Sampler, SigmaMethodsEqualTheirStages) {
    for (const bool heun : {true, false}) {
        Sampler sampler(heun ? SamplerKind::kHeun : SamplerKind::kDpm2, 9, kEpsilon);
        const double start = 1.1 * sampler.sigmas()[0];
        std::vector<double> levels;
        for (size_t i = 0; i < sampler.sigmas().size() - 1; i += 2) {
            levels.push_back(sampler.sigmas()[heun && i > 0 ? i - 1 : i]);
        }
        ASSERT_EQ(levels.size(), 9U);
        double y = start;
        for (size_t i = 0; i + 1 < levels.size(); ++i) {
            const double from = levels[i];
            const double to = levels[i + 1];
            const double slope = best_noise(y, from);
            if (heun) {
                const double other = best_noise(y + (to - from) * slope, to);
                y += (to - from) * (slope + other) / 2;
            } else {
                const double middle = std::exp((std::log(from) + std::log(to)) / 2);
                y += (to - from) * best_noise(y + (middle - from) * slope, middle);
            }
        }
        y -= levels.back() * best_noise(y, levels.back());
        EXPECT_NEAR(walk(sampler, start, sampler.num_calls(), kEpsilon), y, 3e-5);
    }
    Sampler sampler(SamplerKind::kLms, 9, kEpsilon);
    const std::vector<double>& levels = sampler.sigmas();
    double y = 1.1 * levels[0];
    std::vector<double> seen;
    for (size_t k = 0; k < 9; ++k) {
        seen.push_back(best_noise(y, levels[k]));
        const size_t count = std::min<size_t>(seen.size(), 4);
        // Simpson over many pieces: exact for the cubic.
        constexpr int kPieces = 64;
        const double h = (levels[k + 1] - levels[k]) / kPieces;
        const auto curve = [&](double level) {
            double value = 0;
            for (size_t j = k + 1 - count; j <= k; ++j) {
                double term = seen[j];
                for (size_t m = k + 1 - count; m <= k; ++m) {
                    if (m != j) term *= (level - levels[m]) / (levels[j] - levels[m]);
                }
                value += term;
            }
            return value;
        };
        double sum = 0;
        for (int i = 0; i < kPieces; ++i) {
            const double a = levels[k] + h * i;
            sum += h / 6 * (curve(a) + 4 * curve(a + h / 2) + curve(a + h));
        }
        y += sum;
    }
    EXPECT_NEAR(walk(sampler, 1.1 * levels[0], 9, kEpsilon), y, 3e-5);
}

// An ancestral sampler keeps the distribution: many walks of normal data end with its deviation.
TEST(Sampler, AncestralSamplersKeepTheDeviationAndFollowTheirSeed) {
    for (const SamplerKind kind : {SamplerKind::kEulerA, SamplerKind::kDpm2A}) {
        constexpr int kWalks = 2000;
        Rng rng(3);
        double sum = 0;
        double squares = 0;
        for (int i = 0; i < kWalks; ++i) {
            Sampler sampler(kind, 100, kEpsilon);
            const double start = sampler.sigmas()[0] * static_cast<double>(rng.normal());
            const double y =
                walk(sampler, start, sampler.num_calls(), kEpsilon, static_cast<uint64_t>(i) + 10);
            sum += y;
            squares += y * y;
        }
        const double mean = sum / kWalks;
        EXPECT_NEAR(mean, kMean, 0.06) << sampler_name(kind);
        EXPECT_NEAR(std::sqrt(squares / kWalks - mean * mean), kDeviation, 0.06)
            << sampler_name(kind);
        Sampler a(kind, 12, kEpsilon);
        Sampler b(kind, 12, kEpsilon);
        Sampler c(kind, 12, kEpsilon);
        const double first = walk(a, 5, a.num_calls(), kEpsilon, 7);
        EXPECT_EQ(walk(b, 5, b.num_calls(), kEpsilon, 7), first);
        EXPECT_NE(walk(c, 5, c.num_calls(), kEpsilon, 8), first);
    }
}

}  // namespace
}  // namespace lora::diffusion

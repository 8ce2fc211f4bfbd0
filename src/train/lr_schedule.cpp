#include "train/lr_schedule.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>

#include <fmt/format.h>

#include "base/error.h"
#include "base/words.h"

namespace lora::train {
namespace {

constexpr double kPolynomialEndLr = 1e-7;

double ratio(double a, double b) { return a / std::max(1.0, b); }

double half_cosine(double progress) { return 0.5 * (1.0 + std::cos(std::numbers::pi * progress)); }

double polynomial(const LrScheduleOptions& o, double k, double w, double n) {
    if (k > n) return kPolynomialEndLr / o.base_lr;
    const double rest = 1.0 - (k - w) / (n - w);
    const double decayed =
        (o.base_lr - kPolynomialEndLr) * std::pow(rest, o.power) + kPolynomialEndLr;
    return decayed / o.base_lr;
}

double inverse_sqrt(const LrScheduleOptions& o, double k, double w) {
    const double scale = o.timescale ? *o.timescale : (w > 0 ? w : 10000.0);
    return 1.0 / std::sqrt((k + scale - w) / scale);
}

double warmup_stable_decay(const LrScheduleOptions& o, double k, double w, double n) {
    const double min = o.min_lr_ratio;
    if (k < w) return ratio(k, w) * (1.0 - min) + min;
    const double decay = static_cast<double>(o.num_decay_steps);
    const double stable_end = n - decay;
    if (k < stable_end) return 1.0;
    if (k < n) return std::max(0.0, half_cosine(ratio(k - stable_end, decay)) * (1.0 - min) + min);
    return min;
}

double number_of(std::string_view text, std::string_view rules) {
    const std::optional<double> value = parse_number<double>(text);
    if (!value || !(*value >= 0)) {
        throw Error(ErrorCode::kConfig,
                    fmt::format("step_rules \"{}\": \"{}\" is not a number", rules, text))
            .with_hint(
                "for example step_rules=1:10,0.1:20,0.01: factors with the step where each "
                "ends, and the last one");
    }
    return *value;
}

// The factor of the first rule whose step lies ahead; behind the last one the lone factor.
double piecewise_constant(const LrScheduleOptions& o, double k) {
    std::map<double, double> rules;
    double last = 0;
    const std::vector<std::string_view> words = split(o.step_rules, ',');
    for (const std::string_view& rule : words) {
        const bool is_last = &rule == &words.back();
        const size_t colon = rule.find(':');
        const double factor = number_of(rule.substr(0, colon), o.step_rules);
        if ((colon == std::string_view::npos) != is_last) (void)number_of("", o.step_rules);
        if (is_last) {
            last = factor;
        } else {
            rules[number_of(rule.substr(colon + 1), o.step_rules)] = factor;
        }
    }
    const auto ahead = rules.upper_bound(k);
    return ahead == rules.end() ? last : ahead->second;
}

}  // namespace

const std::vector<std::string_view>& lr_schedule_names() {
    static const std::vector<std::string_view> kNames = {"constant",
                                                         "constant_with_warmup",
                                                         "linear",
                                                         "cosine",
                                                         "cosine_with_restarts",
                                                         "polynomial",
                                                         "inverse_sqrt",
                                                         "cosine_with_min_lr",
                                                         "warmup_stable_decay",
                                                         "piecewise_constant",
                                                         "adafactor"};
    return kNames;
}

void check_lr_schedule(const LrScheduleOptions& options) {
    const auto& names = lr_schedule_names();
    if (std::find(names.begin(), names.end(), options.name) == names.end()) {
        throw Error(ErrorCode::kConfig,
                    fmt::format("lr_scheduler \"{}\" is not known", options.name))
            .with_hint(fmt::format("one of: {}", fmt::join(names, ", ")));
    }
    if (options.num_warmup_steps < 0) {
        throw Error(ErrorCode::kConfig, "lr_warmup_steps is negative");
    }
    const bool is_flat = options.name == "constant" || options.name == "adafactor";
    if (is_flat && options.num_warmup_steps != 0) {
        throw Error(ErrorCode::kConfig,
                    fmt::format("lr_warmup_steps has no place in lr_scheduler {}", options.name))
            .with_hint("use --lr_scheduler constant_with_warmup, or --lr_warmup_steps 0");
    }
    if (options.name == "polynomial" && options.base_lr <= kPolynomialEndLr) {
        throw Error(ErrorCode::kConfig,
                    fmt::format("lr_scheduler polynomial ends at {}, learning_rate "
                                "{} is not above it",
                                kPolynomialEndLr,
                                options.base_lr));
    }
    if (options.name == "piecewise_constant") (void)piecewise_constant(options, 0);
    if (options.name == "warmup_stable_decay" &&
        options.num_warmup_steps + options.num_decay_steps > options.num_training_steps) {
        throw Error(ErrorCode::kConfig,
                    fmt::format("{} warm-up and {} decay steps do not fit into {} steps",
                                options.num_warmup_steps,
                                options.num_decay_steps,
                                options.num_training_steps));
    }
}

double lr_multiplier(const LrScheduleOptions& options, int64_t k_steps) {
    const auto k = static_cast<double>(k_steps);
    const auto w = static_cast<double>(options.num_warmup_steps);
    const auto n = static_cast<double>(options.num_training_steps);
    const std::string& name = options.name;
    if (name == "constant" || name == "adafactor") return 1.0;
    if (name == "piecewise_constant") return piecewise_constant(options, k);
    if (name == "warmup_stable_decay") return warmup_stable_decay(options, k, w, n);
    if (k < w) return ratio(k, w);
    const double progress = ratio(k - w, n - w);
    if (name == "linear") return std::max(0.0, ratio(n - k, n - w));
    if (name == "cosine") return std::max(0.0, half_cosine(progress));
    if (name == "cosine_with_restarts") {
        if (progress >= 1.0) return 0.0;
        return std::max(
            0.0, half_cosine(std::fmod(static_cast<double>(options.num_cycles) * progress, 1.0)));
    }
    if (name == "polynomial") return polynomial(options, k, w, n);
    if (name == "inverse_sqrt") return inverse_sqrt(options, k, w);
    if (name == "cosine_with_min_lr") {
        const double cycles = static_cast<double>(options.num_cycles);
        const double min = options.min_lr_ratio;
        return std::max(0.0, half_cosine(cycles * progress) * (1.0 - min) + min);
    }
    return 1.0;  // constant_with_warmup
}

int64_t steps_from_share(double value, int64_t num_training_steps) {
    if (value >= 1.0) return static_cast<int64_t>(value);
    return static_cast<int64_t>(value * static_cast<double>(num_training_steps));
}

}  // namespace lora::train

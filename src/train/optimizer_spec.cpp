#include "train/optimizer_spec.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include <fmt/format.h>

#include "base/error.h"
#include "base/words.h"

namespace lora::train {
namespace {

using ir::UpdateRule;

struct Type {
    std::string_view name;
    std::string_view python_name;
    UpdateRule rule;
    bool is_8bit;
    bool decay_last;  // bitsandbytes' order
};
// clang-format off
constexpr Type kTypes[] = {
    {"AdamW",             "torch.optim.adamw.AdamW",                              UpdateRule::kAdamW,             false, false},
    {"AdamW8bit",         "bitsandbytes.optim.adamw.AdamW8bit",                   UpdateRule::kAdamW,             true,  true},
    {"PagedAdamW",        "bitsandbytes.optim.adamw.PagedAdamW",                  UpdateRule::kAdamW,             false, true},
    {"PagedAdamW8bit",    "bitsandbytes.optim.adamw.PagedAdamW8bit",              UpdateRule::kAdamW,             true,  true},
    {"PagedAdamW32bit",   "bitsandbytes.optim.adamw.PagedAdamW32bit",             UpdateRule::kAdamW,             false, true},
    {"Lion",              "lion_pytorch.lion_pytorch.Lion",                       UpdateRule::kLion,              false, false},
    {"Lion8bit",          "bitsandbytes.optim.lion.Lion8bit",                     UpdateRule::kLion,              true,  false},
    {"PagedLion8bit",     "bitsandbytes.optim.lion.PagedLion8bit",                UpdateRule::kLion,              true,  false},
    {"SGDNesterov",       "torch.optim.sgd.SGD",                                  UpdateRule::kSgdNesterov,       false, false},
    {"SGDNesterov8bit",   "bitsandbytes.optim.sgd.SGD8bit",                       UpdateRule::kSgdNesterov,       true,  false},
    {"DAdaptAdam",        "dadaptation.dadapt_adam.DAdaptAdam",                   UpdateRule::kDAdaptAdam,        false, false},
    {"DAdaptLion",        "dadaptation.dadapt_lion.DAdaptLion",                   UpdateRule::kDAdaptLion,        false, false},
    {"DAdaptSGD",         "dadaptation.dadapt_sgd.DAdaptSGD",                     UpdateRule::kDAdaptSgd,         false, false},
    {"DAdaptAdan",        "dadaptation.dadapt_adan.DAdaptAdan",                   UpdateRule::kDAdaptAdan,        false, false},
    {"Prodigy",           "prodigyopt.prodigy.Prodigy",                           UpdateRule::kProdigy,           false, false},
    {"Adafactor",         "transformers.optimization.Adafactor",                  UpdateRule::kAdafactor,         false, false},
    {"CAME",              "pytorch_optimizer.optimizer.came.CAME",                UpdateRule::kCame,              false, false},
    {"AdamWScheduleFree", "schedulefree.adamw_schedulefree.AdamWScheduleFree",    UpdateRule::kScheduleFreeAdamW, false, false},
};
// clang-format on

// One argument being read.
struct Arg {
    std::string_view key;
    std::string_view value;

    [[noreturn]] void refuse(const char* what, const char* hint = "") const {
        throw Error(ErrorCode::kConfig,
                    fmt::format("optimizer_args {}: \"{}\" is not {}", key, value, what))
            .with_hint(hint);
    }
    [[nodiscard]] std::vector<double> numbers() const {
        std::vector<double> result;
        for (const std::string_view piece : split(trimmed(value, " ()[]"), ',')) {
            const std::optional<double> number = parse_number<double>(trimmed(piece, " "));
            if (!number || std::isnan(*number)) refuse("a number");
            result.push_back(*number);
        }
        return result;
    }
    // Within low .. high; `below`: high itself is not allowed.
    [[nodiscard]] double number(double low, double high, bool below = false) const {
        const std::vector<double> all = numbers();
        if (all.size() != 1) refuse("one number");
        check(all[0], low, high, below);
        return all[0];
    }
    [[nodiscard]] double at_least_0() const {
        return number(0, std::numeric_limits<double>::max());
    }
    [[nodiscard]] std::vector<double> rates(size_t count) const {
        std::vector<double> all = numbers();
        if (all.size() != count) {
            refuse(count == 2 ? "a pair of numbers" : "three numbers",
                   count == 2 ? "for example betas=0.9,0.999" : "for example betas=0.98,0.92,0.99");
        }
        for (const double beta : all) check(beta, 0, 1, true);
        return all;
    }
    [[nodiscard]] bool flag() const {
        const std::string word = lower_ascii(value);
        if (word != "true" && word != "false") refuse("True or False");
        return word == "true";
    }
    [[nodiscard]] bool is_none() const { return lower_ascii(value) == "none"; }

private:
    void check(double number, double low, double high, bool below) const {
        if (number < low || number > high || (below && number == high)) {
            throw Error(ErrorCode::kConfig,
                        fmt::format("optimizer_args {}: {} is out of range", key, number));
        }
    }
};

constexpr uint32_t bit(UpdateRule rule) { return 1U << static_cast<uint32_t>(rule); }
constexpr uint32_t kAdamLike = bit(UpdateRule::kAdamW) | bit(UpdateRule::kScheduleFreeAdamW);
constexpr uint32_t kLionLike = bit(UpdateRule::kLion) | bit(UpdateRule::kDAdaptLion);
constexpr uint32_t kSgdLike = bit(UpdateRule::kSgdNesterov) | bit(UpdateRule::kDAdaptSgd);
constexpr uint32_t kAdaptedAdam = bit(UpdateRule::kDAdaptAdam) | bit(UpdateRule::kProdigy);
constexpr uint32_t kAdan = bit(UpdateRule::kDAdaptAdan);
constexpr uint32_t kFactored = bit(UpdateRule::kAdafactor) | bit(UpdateRule::kCame);
constexpr uint32_t kAdapted =
    kAdaptedAdam | kAdan | bit(UpdateRule::kDAdaptLion) | bit(UpdateRule::kDAdaptSgd);

struct ArgRow {
    std::string_view name;
    uint32_t rules;  // bits of the rules that take it
    void (*set)(OptimizerSpec&, const Arg&);
};

const ArgRow kArgs[] = {
    {"betas",
     kAdamLike | kLionLike | kAdaptedAdam,
     [](OptimizerSpec& s, const Arg& a) {
         const std::vector<double> betas = a.rates(2);
         s.update.beta1 = betas[0];
         s.update.beta2 = betas[1];
     }},
    {"betas",
     kAdan | bit(UpdateRule::kCame),
     [](OptimizerSpec& s, const Arg& a) {
         const std::vector<double> betas = a.rates(3);
         s.update.beta1 = betas[0];
         s.update.beta2 = betas[1];
         s.update.beta3 = betas[2];
     }},
    {"beta1",
     bit(UpdateRule::kAdafactor),
     [](OptimizerSpec& s, const Arg& a) {
         s.has_first_moment = !a.is_none();
         s.update.beta1 = s.has_first_moment ? a.number(0, 1, true) : 0;
     }},
    {"beta3",
     bit(UpdateRule::kProdigy),
     [](OptimizerSpec& s, const Arg& a) {
         s.update.beta3 = a.is_none() ? 0 : a.number(0, 1, true);
     }},
    {"momentum",
     kSgdLike,
     [](OptimizerSpec& s, const Arg& a) { s.update.beta1 = a.number(0, 1, true); }},
    {"eps",
     kAdamLike | kAdaptedAdam | kAdan,
     [](OptimizerSpec& s, const Arg& a) { s.update.eps = a.at_least_0(); }},
    {"eps",
     kFactored,
     [](OptimizerSpec& s, const Arg& a) {
         const std::vector<double> eps = a.rates(2);
         s.update.eps = eps[0];
         s.update.eps2 = eps[1];
     }},
    {"weight_decay",
     ~0U,
     [](OptimizerSpec& s, const Arg& a) { s.update.weight_decay = a.at_least_0(); }},
    {"decouple",
     kAdaptedAdam,
     [](OptimizerSpec& s, const Arg& a) { s.update.decouple = a.flag(); }},
    {"use_bias_correction",
     kAdaptedAdam,
     [](OptimizerSpec& s, const Arg& a) { s.use_bias_correction = a.flag(); }},
    {"safeguard_warmup",
     bit(UpdateRule::kProdigy),
     [](OptimizerSpec& s, const Arg& a) { s.update.safeguard_warmup = a.flag(); }},
    {"d_coef",
     bit(UpdateRule::kProdigy),
     [](OptimizerSpec& s, const Arg& a) { s.update.d_coef = a.at_least_0(); }},
    {"d0", kAdapted, [](OptimizerSpec& s, const Arg& a) { s.d0 = a.number(1e-30, 1e30); }},
    {"growth_rate",
     kAdaptedAdam | kAdan | bit(UpdateRule::kDAdaptSgd),
     [](OptimizerSpec& s, const Arg& a) {
         const double rate = a.number(1, std::numeric_limits<double>::infinity());
         s.update.growth_rate = std::isinf(rate) ? 0 : rate;
     }},
    {"no_prox", kAdan, [](OptimizerSpec& s, const Arg& a) { s.update.no_prox = a.flag(); }},
    {"relative_step",
     bit(UpdateRule::kAdafactor),
     [](OptimizerSpec& s, const Arg& a) { s.relative_step = a.flag(); }},
    {"scale_parameter",
     bit(UpdateRule::kAdafactor),
     [](OptimizerSpec& s, const Arg& a) { s.update.scale_parameter = a.flag(); }},
    {"warmup_init",
     bit(UpdateRule::kAdafactor),
     [](OptimizerSpec& s, const Arg& a) { s.warmup_init = a.flag(); }},
    {"decay_rate",
     bit(UpdateRule::kAdafactor),
     [](OptimizerSpec& s, const Arg& a) { s.decay_rate = a.number(-1e3, 0); }},
    {"clip_threshold",
     kFactored,
     [](OptimizerSpec& s, const Arg& a) { s.update.clip_threshold = a.number(1e-30, 1e30); }},
    {"warmup_steps",
     bit(UpdateRule::kScheduleFreeAdamW),
     [](OptimizerSpec& s, const Arg& a) { s.warmup_steps = a.at_least_0(); }},
    {"r",
     bit(UpdateRule::kScheduleFreeAdamW),
     [](OptimizerSpec& s, const Arg& a) { s.r = a.at_least_0(); }},
    {"weight_lr_power",
     bit(UpdateRule::kScheduleFreeAdamW),
     [](OptimizerSpec& s, const Arg& a) { s.update.weight_lr_power = a.at_least_0(); }},
};

void set_defaults(OptimizerSpec& s) {
    ir::UpdateAttributes& u = s.update;
    switch (u.rule) {
        case UpdateRule::kAdamW: u.weight_decay = 0.01; return;
        case UpdateRule::kLion:
        case UpdateRule::kDAdaptLion: u.beta2 = 0.99; return;
        case UpdateRule::kDAdaptAdam: u.decouple = false; return;
        case UpdateRule::kDAdaptSgd: u.beta1 = 0; return;
        case UpdateRule::kDAdaptAdan:
            u.beta1 = 0.98;
            u.beta2 = 0.92;
            u.beta3 = 0.99;
            u.weight_decay = 0.02;
            return;
        case UpdateRule::kAdafactor:
            u.beta1 = 0;
            u.eps = 1e-30;
            u.eps2 = 1e-3;
            s.relative_step = true;
            return;
        case UpdateRule::kCame:
            u.beta3 = 0.9999;
            u.eps = 1e-30;
            u.eps2 = 1e-16;
            s.has_first_moment = true;
            return;
        default: return;
    }
}

void set_argument(OptimizerSpec& spec, const Arg& arg) {
    const uint32_t rule = bit(spec.update.rule);
    for (const ArgRow& row : kArgs) {
        if (row.name == arg.key && (row.rules & rule) != 0) return row.set(spec, arg);
    }
    std::vector<std::string_view> known;
    for (const ArgRow& row : kArgs) {
        if ((row.rules & rule) != 0) known.push_back(row.name);
    }
    throw Error(ErrorCode::kConfig,
                fmt::format("optimizer_args {}: {} has no such setting", arg.key, spec.name))
        .with_hint(fmt::format("{} takes {}", spec.name, fmt::join(known, ", ")));
}

}  // namespace

std::vector<std::string_view> optimizer_names() {
    std::vector<std::string_view> names;
    for (const Type& type : kTypes) names.push_back(type.name);
    return names;
}

OptimizerSpec optimizer_spec(std::string_view type,
                             const OptimizerArgs& args,
                             double max_grad_norm) {
    const std::string wanted = type.empty() ? "adamw" : lower_ascii(type);
    const auto* found = std::find_if(std::begin(kTypes), std::end(kTypes), [&](const Type& t) {
        return lower_ascii(t.name) == wanted;
    });
    if (found == std::end(kTypes)) {
        throw Error(ErrorCode::kConfig, fmt::format("optimizer_type {} is not known", type))
            .with_hint(fmt::format("one of: {}", fmt::join(optimizer_names(), ", ")));
    }
    OptimizerSpec spec;
    spec.name = found->name;
    spec.python_name = found->python_name;
    spec.update = {.rule = found->rule, .decay_last = found->decay_last};
    spec.is_8bit = found->is_8bit;
    spec.max_grad_norm = max_grad_norm;
    set_defaults(spec);
    for (const auto& [key, value] : args) set_argument(spec, {key, value});
    if (spec.warmup_init) spec.relative_step = true;
    if (spec.update.rule == UpdateRule::kProdigy && spec.update.beta3 == 0) {
        spec.update.beta3 = std::sqrt(spec.update.beta2);
    }
    return spec;
}

}  // namespace lora::train

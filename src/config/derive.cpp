#include "config/internal/derive.h"

#include <cmath>

#include <fmt/format.h>

#include "base/attempt.h"
#include "base/check.h"
#include "config/validate.h"
#include "train/network_args.h"

namespace lora::config {
namespace {

void derive(Settings& settings, std::string_view name, std::vector<std::string> words) {
    const OptionRow* row = find_option(settings.command(), name);
    LORA_CHECK(row != nullptr, "a derived option is in the table");
    settings.set(*row, {std::move(words), Origin::kDerived, {}});
}
void derive(Settings& settings, std::string_view name, std::string word) {
    derive(settings, name, std::vector<std::string>{std::move(word)});
}
void derive(Settings& settings, std::string_view name, double value) {
    derive(settings, name, fmt::format("{:.6g}", value));
}

// The older words for two optimizers, and the guide's settings of DAdaptAdam.
void derive_optimizer(Settings& settings) {
    if (!settings.given("optimizer_type")) {
        if (settings.flag("use_8bit_adam")) derive(settings, "optimizer_type", "AdamW8bit");
        if (settings.flag("use_lion_optimizer")) derive(settings, "optimizer_type", "Lion");
    }
    const auto spec = known_optimizer(settings);
    if (settings.text("preset") != "sd-scripts" && spec &&
        spec->update.rule == ir::UpdateRule::kDAdaptAdam && !settings.given("optimizer_args")) {
        derive(settings,
               "optimizer_args",
               std::vector<std::string>{"decouple=True", "weight_decay=0.01", "betas=0.9,0.99"});
    }
}

// The guide's rates: 1e-4 (LoCon 8e-5, LoHa 5e-5) times the batch (or its square root) for the
// UNet, a tenth of that for the text encoder. Given rates stay, and the absent ones follow
// learning_rate.
void derive_learning_rates(Settings& settings) {
    if (settings.text("preset") == "sd-scripts") return;
    if (const auto spec = known_optimizer(settings); spec && spec->adapts_rate()) {
        // Rates are factors of what the optimizer finds; one rate for everything.
        if (!settings.given("learning_rate")) derive(settings, "learning_rate", "1");
        const std::string rate = settings.text("learning_rate");
        if (!settings.given("unet_lr")) derive(settings, "unet_lr", rate);
        if (!settings.given("text_encoder_lr")) derive(settings, "text_encoder_lr", rate);
        if (!settings.given("lr_scheduler")) derive(settings, "lr_scheduler", "constant");
        return;
    }
    if (!settings.given("learning_rate")) {
        const auto batch = static_cast<double>(settings.integer("train_batch_size"));
        const std::string scaling = settings.text("lr_scaling");
        const double factor =
            scaling == "linear" ? batch : (scaling == "sqrt" ? std::sqrt(batch) : 1.0);
        const std::string algo = network_algo(settings);
        const double base = algo == "locon" ? 8e-5 : (algo == "loha" ? 5e-5 : 1e-4);
        derive(settings, "learning_rate", base * factor);
    }
    const double rate = settings.number("learning_rate");
    if (!settings.given("unet_lr")) derive(settings, "unet_lr", rate);
    if (!settings.given("text_encoder_lr")) derive(settings, "text_encoder_lr", rate / 10);
}

}  // namespace

std::optional<train::OptimizerSpec> known_optimizer(const Settings& settings) {
    std::optional<train::OptimizerSpec> spec;
    (void)attempt([&] { spec = train::optimizer_spec(settings.text("optimizer_type"), {}); });
    return spec;
}

std::string network_algo(const Settings& settings) {
    train::NetworkOptions options;
    options.network_module = settings.text("network_module");
    options.network_args = name_value_pairs(settings.list("network_args"));
    std::string algo = "lora";
    (void)attempt([&] {
        const train::NetworkArgs args = train::read_network_args(options);
        if (args.lycoris) algo = train::algo_name(args.module.kind);
    });
    return algo;
}

std::string argument_problem(const Settings& settings,
                             std::string_view name,
                             const std::vector<std::string>& words,
                             const std::string& next) {
    std::vector<std::string> all = words;
    all.push_back(next);
    std::optional<Error> error;
    if (name == "network_args") {
        train::NetworkOptions options;
        if (settings.has("network_module"))
            options.network_module = settings.text("network_module");
        options.network_args = name_value_pairs(all);
        error = attempt([&] { (void)train::read_network_args(options); });
    } else if (name == "optimizer_args") {
        error = attempt([&] {
            (void)train::optimizer_spec(settings.text("optimizer_type"), name_value_pairs(all));
        });
    } else if (name == "lr_scheduler_args" && !next.starts_with("step_rules=")) {
        return "step_rules is the only one";
    }
    return error ? error->message() : std::string();
}

Settings with_batch_size(const Settings& settings, int64_t batch_size) {
    Settings out = settings;
    derive(out, "train_batch_size", fmt::format("{}", batch_size));
    derive_train_settings(out);
    return out;
}

void derive_train_settings(Settings& settings) {
    // Pictures that change from draw to draw are encoded as they are trained.
    const bool changes = settings.flag("color_aug") || settings.flag("random_crop") ||
                         settings.has("face_crop_aug_range");
    if (changes && !settings.given("cache_latents") && !settings.given("cache_latents_to_disk")) {
        derive(settings, "cache_latents", "false");
    }
    derive_optimizer(settings);
    derive_learning_rates(settings);
    if (settings.given("max_train_steps") && !settings.given("max_train_epochs")) {
        settings.erase("max_train_epochs");
    }
    if (settings.flag("random_seed") && !settings.given("seed")) settings.erase("seed");
}

}  // namespace lora::config

#include "config/internal/derive.h"

#include <cmath>

#include <fmt/format.h>

#include "base/check.h"

namespace lora::config {
namespace {

void derive(Settings& settings, std::string_view name, double value) {
    const OptionRow* row = find_option(settings.command(), name);
    LORA_CHECK(row != nullptr, "a derived option is in the table");
    settings.set(*row, {{fmt::format("{:.6g}", value)}, Origin::kDerived, {}});
}

// The guide's rates: 1e-4 (LoCon 8e-5, LoHa 5e-5) times the batch (or its square root) for the
// UNet, a tenth of that for the text encoder. Given rates stay, and the absent ones follow
// learning_rate.
void derive_learning_rates(Settings& settings) {
    if (settings.text("preset") == "sd-scripts") return;
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

std::string network_algo(const Settings& settings) {
    if (settings.text("network_module") != "lycoris.kohya") return "lora";
    for (const std::string& argument : settings.list("network_args")) {
        if (!argument.starts_with("algo=")) continue;
        const std::string algo = argument.substr(5);
        return algo == "lora" ? "locon" : algo;
    }
    return "locon";
}

void derive_train_settings(Settings& settings) {
    derive_learning_rates(settings);
    if (settings.given("max_train_steps") && !settings.given("max_train_epochs")) {
        settings.erase("max_train_epochs");
    }
    if (settings.flag("random_seed") && !settings.given("seed")) settings.erase("seed");
}

}  // namespace lora::config

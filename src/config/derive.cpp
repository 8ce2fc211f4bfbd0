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

// The guide's rates: 1e-4 times the batch (or its square root) for the UNet, a tenth of that for
// the text encoder. Given rates stay, and the absent ones follow learning_rate.
void derive_learning_rates(Settings& settings) {
    if (settings.text("preset") == "sd-scripts") return;
    if (!settings.given("learning_rate")) {
        const auto batch = static_cast<double>(settings.integer("train_batch_size"));
        const std::string scaling = settings.text("lr_scaling");
        const double factor =
            scaling == "linear" ? batch : (scaling == "sqrt" ? std::sqrt(batch) : 1.0);
        derive(settings, "learning_rate", 1e-4 * factor);
    }
    const double rate = settings.number("learning_rate");
    if (!settings.given("unet_lr")) derive(settings, "unet_lr", rate);
    if (!settings.given("text_encoder_lr")) derive(settings, "text_encoder_lr", rate / 10);
}

}  // namespace

void derive_train_settings(Settings& settings) {
    derive_learning_rates(settings);
    if (settings.given("max_train_steps") && !settings.given("max_train_epochs")) {
        settings.erase("max_train_epochs");
    }
    if (settings.flag("random_seed") && !settings.given("seed")) settings.erase("seed");
}

}  // namespace lora::config

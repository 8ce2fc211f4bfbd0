#include "config/internal/derive.h"

#include <algorithm>
#include <cctype>
#include <cmath>

#include <fmt/format.h>

#include "base/attempt.h"
#include "base/check.h"
#include "train/optimizer_spec.h"

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
    std::string type = settings.text("optimizer_type");
    std::transform(type.begin(), type.end(), type.begin(), [](unsigned char c) {
        return static_cast<char>(std::tolower(c));
    });
    if (settings.text("preset") != "sd-scripts" && type == "dadaptadam" &&
        !settings.given("optimizer_args")) {
        derive(settings,
               "optimizer_args",
               std::vector<std::string>{"decouple=True", "weight_decay=0.01", "betas=0.9,0.99"});
    }
}

bool finds_its_rate(const Settings& settings) {
    bool result = false;
    // A name that is not known is told by validate.h.
    (void)attempt(
        [&] { result = train::optimizer_spec(settings.text("optimizer_type"), {}).adapts_rate(); });
    return result;
}

// The guide's rates: 1e-4 (LoCon 8e-5, LoHa 5e-5) times the batch (or its square root) for the
// UNet, a tenth of that for the text encoder. Given rates stay, and the absent ones follow
// learning_rate.
void derive_learning_rates(Settings& settings) {
    if (settings.text("preset") == "sd-scripts") return;
    if (finds_its_rate(settings)) {
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
    derive_optimizer(settings);
    derive_learning_rates(settings);
    if (settings.given("max_train_steps") && !settings.given("max_train_epochs")) {
        settings.erase("max_train_epochs");
    }
    if (settings.flag("random_seed") && !settings.given("seed")) settings.erase("seed");
}

}  // namespace lora::config

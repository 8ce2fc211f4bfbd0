// Values that follow from others: learning rates from the batch size, steps instead of epochs.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "config/settings.h"
#include "data/subset.h"
#include "train/optimizer_spec.h"

namespace lora::config {

// Words of the form name=value; others are left out (validate.h tells them).
[[nodiscard]] std::vector<std::pair<std::string, std::string>> name_value_pairs(
    const std::vector<std::string>& words);

// The optimizer with its defaults; nothing for a name that is not known.
[[nodiscard]] std::optional<train::OptimizerSpec> known_optimizer(const Settings& settings);

// "lora" without LyCORIS or with arguments that are wrong; else "locon", "loha", "lokr", "ia3".
[[nodiscard]] std::string network_algo(const Settings& settings);

// Why network, optimizer or schedule would refuse the word `next` behind `words` in the option
// `name`; empty when they take it, and for other options.
[[nodiscard]] std::string argument_problem(const Settings& settings,
                                           std::string_view name,
                                           const std::vector<std::string>& words,
                                           const std::string& next);

// "2.0,4.0"; nothing for other words.
[[nodiscard]] std::optional<data::FaceCropRange> parse_face_range(std::string_view text);

void derive_train_settings(Settings& settings);

}  // namespace lora::config

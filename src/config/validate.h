// Judges the settings of a training run together and turns them into its options.
#pragma once

#include "base/diagnostic.h"
#include "config/settings.h"
#include "train/train_options.h"

namespace lora::config {

// Everything that is wrong or odd and can be told without opening a file.
[[nodiscard]] Diagnostics validate_train(const Settings& settings);

// `auto` precision stays for the caller, who knows the device. Settings must have been validated.
[[nodiscard]] train::TrainOptions train_options(const Settings& settings);

// The same settings with another batch size; rates that follow from it follow.
[[nodiscard]] Settings with_batch_size(const Settings& settings, int64_t batch_size);

// "512" or "512,768" (width, height); nothing when it is neither.
[[nodiscard]] std::optional<data::ImageSize> parse_resolution(std::string_view text);

}  // namespace lora::config

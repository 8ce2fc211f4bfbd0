// Values that follow from others: learning rates from the batch size, steps instead of epochs.
#pragma once

#include <string>

#include "config/settings.h"

namespace lora::config {

// "lora" without LyCORIS; else its algo: "locon", "loha", "lokr", "ia3", or what was written.
[[nodiscard]] std::string network_algo(const Settings& settings);

void derive_train_settings(Settings& settings);

}  // namespace lora::config

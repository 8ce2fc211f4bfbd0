// Values that follow from others: learning rates from the batch size, steps instead of epochs.
#pragma once

#include "config/settings.h"

namespace lora::config {

void derive_train_settings(Settings& settings);

}  // namespace lora::config

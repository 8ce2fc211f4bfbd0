// The table's rows, one file a group; option_table.cpp puts them in order.
#pragma once

#include <span>

#include "config/option_table.h"

namespace lora::config {

[[nodiscard]] std::span<const OptionSection> data_sections();      // model, data, captions, buckets
[[nodiscard]] std::span<const OptionSection> training_sections();  // network, optimizer, loss
[[nodiscard]] std::span<const OptionSection> output_sections();    // saving, memory, program
[[nodiscard]] std::span<const OptionSection> legacy_sections();    // accepted or refused words
[[nodiscard]] std::span<const OptionSection> command_sections();   // sample, demo, inspect, common

}  // namespace lora::config

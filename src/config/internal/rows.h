// The table's rows, one file a group; option_table.cpp puts them in order.
#pragma once

#include <span>

#include "config/option_table.h"

namespace lora::config {

// A word that is taken and changes nothing; the help says why.
constexpr OptionRow accepted(std::string_view name, OptionType type, Words help) {
    OptionRow row;
    row.name = name;
    row.type = type;
    row.support = Support::kAccepted;
    row.help = help;
    return row;
}

// What a preset says beyond the guide's values; words of a list between blanks.
struct PresetValue {
    std::string_view name;
    std::string_view words;
};
// By the canonical name of the preset; nothing for guide and sd_scripts.
[[nodiscard]] std::span<const PresetValue> preset_values(std::string_view preset);

[[nodiscard]] std::span<const OptionSection> data_sections();      // model, data, captions, buckets
[[nodiscard]] std::span<const OptionSection> training_sections();  // network, optimizer, loss
[[nodiscard]] std::span<const OptionSection> output_sections();    // saving, memory, program
[[nodiscard]] std::span<const OptionSection> legacy_sections();    // accepted or refused words
[[nodiscard]] std::span<const OptionSection> tool_sections();      // merge, resize, extract, ...
[[nodiscard]] std::span<const OptionSection> picture_sections();   // tags, data
[[nodiscard]] std::span<const OptionSection> tagging_sections();   // tag, fetch
[[nodiscard]] std::span<const OptionSection> command_sections();   // sample, demo, inspect, common

}  // namespace lora::config

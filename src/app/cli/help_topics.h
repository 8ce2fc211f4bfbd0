// Pages of `lora help` that explain how something works instead of a command's options.
#pragma once

#include <span>
#include <string_view>

#include "config/option_table.h"

namespace lora::app {

struct HelpTopic {
    std::string_view name;
    config::Words title;
    config::Words text;
};

[[nodiscard]] std::span<const HelpTopic> help_topics();

}  // namespace lora::app

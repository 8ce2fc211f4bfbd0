// Help texts, drawn from the command table and the option table.
#pragma once

#include <string>

#include "app/cli/command.h"

namespace lora::app {

void print_overview(config::Language language);
void print_command_help(const CommandEntry& entry, config::Language language);

// docs/options.md.
[[nodiscard]] std::string options_markdown();

}  // namespace lora::app

// The actions of `lora data`, one function each; cmd_data.cpp chooses. `inputs` are the words
// behind the action.
#pragma once

#include <string>
#include <vector>

#include "app/cli/command.h"

namespace lora::app {

int run_data_plan(const Context& context,
                  const config::Settings& settings,
                  const std::vector<std::string>& inputs);
// crop, cutout, erase
int run_data_edit(const std::string& action,
                  const config::Settings& settings,
                  const std::vector<std::string>& inputs);
int run_data_reg(const config::Settings& settings, const std::vector<std::string>& inputs);
int run_data_mix(const config::Settings& settings, const std::vector<std::string>& inputs);

// Takes back the last change of each folder that has one. Returns the exit code.
// Errors  kData when none of them has.
int undo_in(const std::vector<std::string>& folders);

}  // namespace lora::app

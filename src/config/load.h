// Reads the settings of a command: preset < config file < command line, all through the option
// table. Not here: whether the values make sense together (validate.h).
// Errors   what the user wrote wrong is a Diagnostic, so that all of it shows at once; a config
// file
//          that is missing throws kIo, one that is not TOML kFormat with the line.
// Source   kohya sd-scripts --config_file: values of all sections are one set (semantics 0.1).
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/diagnostic.h"
#include "config/settings.h"

namespace lora::config {

struct Loaded {
    Settings settings;
    std::vector<std::string> positionals;  // words that belong to no option
    Diagnostics findings;
};

// `args` are the words after the command's name.
[[nodiscard]] Loaded load(Command command, std::span<const std::string> args);

// One option of a config file, in the order of the file.
struct FileValue {
    std::string name;  // last part of the key
    std::vector<std::string> words;
    int64_t line = 0;
};

// Flattens TOML text; `what` names it in errors. Errors  kFormat with the line.
[[nodiscard]] std::vector<FileValue> parse_config_text(std::string_view text,
                                                       std::string_view what);

// The settings that a person gave or that differ from nothing, as a TOML file that repeats the run.
[[nodiscard]] std::string to_toml(const Settings& settings);

}  // namespace lora::config

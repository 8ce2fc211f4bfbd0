// Settings that were written for other programs, read as values of our options: train.ps1 and
// train.sh of lora-scripts-windows and lora-scripts, command lines of sd-scripts (.bat, .sh, .txt),
// TOML of sd-scripts and lora-scripts, JSON of kohya_ss. The kind is told by the content.
// Not here: which of the values this program can honour (load.h warns of the others by name).
// Errors   kFormat when the text is nothing of the kind. Nothing in it is run.
// Threads  pure.
// Source   the variables and flags of these programs' own scripts (requirements M21 to M81);
//          sd-scripts' argument names; kohya_gui/lora_gui.py for what its JSON turns into.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/diagnostic.h"
#include "config/load.h"

namespace lora::config {

enum class ForeignKind {
    kPowerShell,       // train.ps1: `$name = value`
    kShell,            // train.sh: `name=value`
    kArguments,        // the command line of sd-scripts' train_network.py
    kSdScriptsToml,    // its --config_file
    kLoraScriptsToml,  // what lora-scripts' pages save
    kKohyaJson,        // what kohya_ss saves
    kDatasetConfig,    // a description of a data set, nothing else
};

[[nodiscard]] std::string_view foreign_name(ForeignKind kind);
// These two start in the program's folder, so relative paths mean that one.
[[nodiscard]] constexpr bool is_package_script(ForeignKind kind) {
    return kind == ForeignKind::kPowerShell || kind == ForeignKind::kShell;
}

struct ForeignSettings {
    ForeignKind kind = ForeignKind::kArguments;
    std::vector<FileValue> values;  // under our names; what has none, under its own
    Diagnostics findings;           // warnings: what was left out here, by name
};

// `what` names the text in findings and errors.
[[nodiscard]] ForeignSettings read_foreign(std::string_view text, const std::string& what);

}  // namespace lora::config

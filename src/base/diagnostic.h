// One finding about the user's input; functions that judge many inputs return a list of these,
// so that ten mistakes are shown at once.
#pragma once

#include <string>
#include <vector>

namespace lora {

enum class Severity { kNote, kWarning, kError };

struct Diagnostic {
    Severity severity = Severity::kError;
    std::string place;  // option, file or folder it is about (UTF-8)
    std::string text;   // what is wrong and why
    std::string hint;   // what to do; may be empty
};

using Diagnostics = std::vector<Diagnostic>;

[[nodiscard]] inline bool has_errors(const Diagnostics& list) {
    for (const Diagnostic& item : list) {
        if (item.severity == Severity::kError) return true;
    }
    return false;
}

}  // namespace lora

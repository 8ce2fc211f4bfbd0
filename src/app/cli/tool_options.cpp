#include "app/cli/tool_options.h"

#include <fmt/format.h>

#include "base/file.h"
#include "base/words.h"
#include "tools/lora_result.h"

namespace lora::app {

void require_option(const config::Settings& settings,
                    const char* option,
                    const char* hint,
                    Diagnostics& findings) {
    if (!settings.text(option).empty()) return;
    findings.push_back(
        {Severity::kError, settings.place(option), fmt::format("{} is missing", option), hint});
}

void check_save_to(const config::Settings& settings, Diagnostics& findings) {
    require_option(settings, "save_to", "name the file to write", findings);
    const std::string path = settings.text("save_to");
    if (path.empty()) return;
    const std::string ending = lower_ascii(extension(path));
    for (const char* known : {".safetensors", ".ckpt", ".pt", ".pth", ".bin"}) {
        if (ending == known) return;
    }
    findings.push_back({Severity::kError,
                        settings.place("save_to"),
                        fmt::format("the ending of {} names no format", path),
                        "one of .safetensors, .ckpt, .pt"});
}

std::vector<std::string> tag_list(const config::Settings& settings, const char* name) {
    std::vector<std::string> out;
    for (const std::string& word : settings.list(name)) {
        for (const std::string_view piece : split(word, ',')) {
            if (!trimmed(piece).empty()) out.emplace_back(trimmed(piece));
        }
    }
    return out;
}

DType precision_of(const config::Settings& settings, const char* option, DType otherwise) {
    return tools::precision_from_word(settings.text(option)).value_or(otherwise);
}

}  // namespace lora::app

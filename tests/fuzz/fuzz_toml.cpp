// Fuzz target: settings from outside. The first byte chooses: TOML text, or lines as words of a
// command line that are then judged like a training run's. Only lora::Error may come out.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "config/load.h"
#include "config/validate.h"
#include "fuzz_target.h"

namespace {

std::vector<std::string> lines_of(std::string_view text) {
    std::vector<std::string> lines;
    for (const std::string_view line : lora::config::split_words(text, '\n')) {
        // Config files are the other half of this target; the disk stays out of it.
        if (lora::config::canonical_name(line).starts_with("config_file")) continue;
        lines.emplace_back(line);
    }
    return lines;
}

void judge_command_line(std::string_view text) {
    const auto loaded = lora::config::load(lora::config::Command::kTrain, lines_of(text));
    (void)lora::config::validate_train(loaded.settings);
    // What was understood must come back the same from its own file.
    const std::string toml = lora::config::to_toml(loaded.settings);
    for (const auto& value : lora::config::parse_config_text(toml, "own.toml")) {
        if (loaded.settings.list(value.name).empty() && !value.words.empty()) std::abort();
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size == 0) return 0;
    const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
    lora::fuzz::run([&] {
        if (data[0] == '#') {
            (void)lora::config::parse_config_text(text, "fuzz.toml");
        } else {
            judge_command_line(text);
        }
    });
    return 0;
}

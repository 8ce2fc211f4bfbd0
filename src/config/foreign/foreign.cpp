// Tells the kinds apart and hands the text to the reader of its kind.
#include "config/foreign.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/error.h"
#include "base/words.h"
#include "config/internal/foreign.h"
#include "config/internal/toml.h"

namespace lora::config {
namespace {

bool is_name(std::string_view text) {
    return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
        return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
               (c >= 'A' && c <= 'Z');
    });
}

// `$name = ...`
bool is_powershell_line(std::string_view line) {
    if (!line.starts_with('$')) return false;
    const size_t equals = line.find('=');
    return equals != std::string_view::npos && is_name(trimmed(line.substr(1, equals - 1)));
}

// Variables that only these scripts have; TOML files call the same things otherwise.
bool is_shell_line(std::string_view line) {
    constexpr std::array<std::string_view, 4> kOwn = {
        "pretrained_model=", "max_train_epoches=", "batch_size=", "lr_restart_cycles="};
    return std::any_of(
        kOwn.begin(), kOwn.end(), [&](std::string_view own) { return line.starts_with(own); });
}

ForeignKind kind_of_lines(std::string_view text) {
    bool shell = false;
    bool command = false;
    for (const std::string_view raw : split(text, '\n')) {
        const std::string_view line = trimmed(raw);
        if (line.starts_with('#') && !line.starts_with("#!")) continue;
        if (is_powershell_line(line)) return ForeignKind::kPowerShell;
        shell = shell || is_shell_line(line);
        command = command || line.starts_with("--") || line.find(".py ") != std::string::npos ||
                  line.find(".py\"") != std::string::npos || line.ends_with(".py") ||
                  line.find("accelerate") == 0;
    }
    if (shell && (command || trimmed(text).starts_with("#!"))) return ForeignKind::kShell;
    return command ? ForeignKind::kArguments : ForeignKind::kSdScriptsToml;
}

ForeignSettings dataset_config(const std::string& what) {
    ForeignSink sink(ForeignKind::kDatasetConfig, what);
    sink.set("dataset_config", what, 1);
    return sink.take();
}

ForeignSettings read_json(std::string_view text, const std::string& what) {
    const Json json = parse_json(text, what);
    if (json.contains("datasets")) return dataset_config(what);
    ForeignSink sink(ForeignKind::kKohyaJson, what);
    read_kohya_json(json, sink);
    return sink.take();
}

ForeignSettings read_toml(std::string_view text, const std::string& what) {
    if (parse_toml(text, what).contains("datasets")) return dataset_config(what);
    std::vector<FileValue> values = parse_config_text(text, what);
    bool pages = false;
    for (const FileValue& value : values) {
        pages = pages || value.name == "model_train_type" || value.name == "lr_restart_cycles" ||
                value.name == "lycoris_algo" || value.name == "enable_preview";
    }
    ForeignSink sink(pages ? ForeignKind::kLoraScriptsToml : ForeignKind::kSdScriptsToml, what);
    read_foreign_toml(std::move(values), sink);
    return sink.take();
}

}  // namespace

std::string_view foreign_name(ForeignKind kind) {
    switch (kind) {
        case ForeignKind::kPowerShell: return "train.ps1";
        case ForeignKind::kShell: return "train.sh";
        case ForeignKind::kArguments: return "a command line of sd-scripts";
        case ForeignKind::kSdScriptsToml: return "TOML of sd-scripts";
        case ForeignKind::kLoraScriptsToml: return "TOML of lora-scripts";
        case ForeignKind::kKohyaJson: return "JSON of kohya_ss";
        case ForeignKind::kDatasetConfig: return "a data set's description";
    }
    return "settings";
}

void ForeignSink::set(std::string_view name, std::string word, int64_t line) {
    if (word.empty()) return;
    set(name, std::vector<std::string>{std::move(word)}, line);
}

void ForeignSink::set(std::string_view name, std::vector<std::string> words, int64_t line) {
    if (words.empty()) return;
    std::erase_if(out_.values, [&](const FileValue& value) { return value.name == name; });
    out_.values.push_back({std::string(name), std::move(words), line});
}

void ForeignSink::set_flag(std::string_view name, bool on, int64_t line) {
    set(name, on ? "true" : "false", line);
}

void ForeignSink::warn(std::string_view name, int64_t line, std::string text, std::string hint) {
    out_.findings.push_back({Severity::kWarning,
                             line > 0 ? fmt::format("{}:{}", what_, line) : what_,
                             fmt::format("{}: {}", name, text),
                             std::move(hint)});
}

bool ForeignSink::has(std::string_view name) const {
    return std::any_of(out_.values.begin(), out_.values.end(), [&](const FileValue& value) {
        return value.name == name;
    });
}

std::string ForeignSink::text(std::string_view name) const {
    for (const FileValue& value : out_.values) {
        if (value.name == name) return value.words.front();
    }
    return {};
}

bool says_nothing(std::string_view word) {
    const std::string text = lower_ascii(trimmed(word));
    if (text.empty() || text == "false" || text == "none" || text == "null") return true;
    const auto number = parse_float(text);
    return number && *number == 0;
}

ForeignSettings read_foreign(std::string_view text, const std::string& what) {
    if (trimmed(text).empty()) {
        throw Error(ErrorCode::kFormat, fmt::format("{} holds no settings", what));
    }
    if (trimmed(text).starts_with('{')) return read_json(text, what);
    const ForeignKind kind = kind_of_lines(text);
    if (kind == ForeignKind::kSdScriptsToml) return read_toml(text, what);
    ForeignSink sink(kind, what);
    if (kind == ForeignKind::kArguments) {
        read_arguments(text, sink);
    } else {
        read_script(text, kind, sink);
    }
    return sink.take();
}

}  // namespace lora::config

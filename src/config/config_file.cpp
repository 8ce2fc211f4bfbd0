// TOML text to option values and back.
#include <algorithm>

#include <fmt/format.h>

#include "base/error.h"
#include "config/internal/toml.h"
#include "config/internal/toml_text.h"
#include "config/load.h"

namespace lora::config {
namespace {

std::string scalar_text(const toml::node& node, std::string_view what) {
    if (const auto* text = node.as_string()) return text->get();
    if (const auto* integer = node.as_integer()) return fmt::format("{}", integer->get());
    if (const auto* number = node.as_floating_point()) return fmt::format("{}", number->get());
    if (const auto* flag = node.as_boolean()) return flag->get() ? "true" : "false";
    throw Error(
        ErrorCode::kFormat,
        fmt::format(
            "{}:{}: a date or nested value is no option's value", what, node.source().begin.line))
        .with_hint("values are texts, numbers, true/false, or lists of them");
}

void flatten(const toml::table& table, std::string_view what, std::vector<FileValue>& out) {
    for (const auto& [key, node] : table) {
        if (const auto* inner = node.as_table()) {
            flatten(*inner, what, out);
            continue;
        }
        FileValue value{.name = std::string(key.str()),
                        .words = {},
                        .line = static_cast<int64_t>(node.source().begin.line)};
        if (const auto* list = node.as_array()) {
            for (const toml::node& item : *list) value.words.push_back(scalar_text(item, what));
        } else {
            value.words.push_back(scalar_text(node, what));
        }
        out.push_back(std::move(value));
    }
}

}  // namespace

std::string toml_text(std::string_view text) {
    const bool plain = std::none_of(text.begin(), text.end(), [](char c) {
        return c == '\'' || static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
    });
    if (plain) return fmt::format("'{}'", text);
    std::string out = "\"";
    for (const char c : text) {
        switch (c) {
            case '"': out += "\\\""; break;
            case '\\': out += "\\\\"; break;
            case '\n': out += "\\n"; break;
            case '\r': out += "\\r"; break;
            case '\t': out += "\\t"; break;
            default:
                if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
                    out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
                } else {
                    out += c;
                }
        }
    }
    return out + "\"";
}

toml::table parse_toml(std::string_view text, std::string_view what) {
    toml::parse_result result = toml::parse(text, what);
    if (!result) {
        const toml::parse_error& error = result.error();
        Error problem(
            ErrorCode::kFormat,
            fmt::format(
                "{}:{}: {}", what, error.source().begin.line, std::string(error.description())));
        throw std::move(problem).with_hint(
            "a backslash inside \"...\" must be doubled; '...' or forward slashes need no care");
    }
    return std::move(result).table();
}

std::vector<FileValue> parse_config_text(std::string_view text, std::string_view what) {
    std::vector<FileValue> values;
    flatten(parse_toml(text, what), what, values);
    // Tables are kept sorted by name; the order of the file decides which value wins.
    std::stable_sort(values.begin(), values.end(), [](const FileValue& a, const FileValue& b) {
        return a.line < b.line;
    });
    return values;
}

std::string to_toml(const Settings& settings) {
    std::string out =
        "# Settings of this run; lora train --config_file with this file repeats it.\n";
    for (const OptionRow* row : options_of(settings.command())) {
        if (!settings.has(row->name) || row->support != Support::kWorks) continue;
        if (row->name == "config_file" || row->name == "from" || row->name == "help" ||
            row->name == "lang" || row->name == "json" || row->name == "dry_run") {
            continue;
        }
        const std::string text = settings.text(row->name);
        switch (row->type) {
            case OptionType::kFlag:
                out += fmt::format("{} = {}\n", row->name, settings.flag(row->name));
                break;
            case OptionType::kInt:
                out += fmt::format("{} = {}\n", row->name, settings.integer(row->name));
                break;
            case OptionType::kFloat:
            case OptionType::kText:
            case OptionType::kPath:
                out += fmt::format("{} = {}\n", row->name, toml_text(text));
                break;
            case OptionType::kList: {
                std::vector<std::string> words;
                for (const auto& word : settings.list(row->name)) words.push_back(toml_text(word));
                out += fmt::format("{} = [{}]\n", row->name, fmt::join(words, ", "));
                break;
            }
        }
    }
    return out;
}

}  // namespace lora::config

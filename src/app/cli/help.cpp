#include "app/cli/help.h"

#include <fmt/format.h>

#include "app/cli/help_topics.h"
#include "app/cli/terminal.h"
#include "base/error.h"
#include "base/words.h"

namespace lora::app {
namespace {

using config::Language;
using config::OptionRow;
using config::OptionType;
using config::Support;
using config::Words;

std::string_view value_word(const OptionRow& row) {
    switch (row.type) {
        case OptionType::kFlag: return "";
        case OptionType::kInt: return "N";
        case OptionType::kFloat: return "X";
        case OptionType::kText: return "TEXT";
        case OptionType::kPath: return "PATH";
        case OptionType::kList: return "WORD...";
    }
    return "";
}

std::string head_of(const OptionRow& row) {
    const std::string value =
        row.choices.empty() ? std::string(value_word(row)) : fmt::format("{}", row.choices);
    return value.empty() ? fmt::format("--{}", row.name) : fmt::format("--{} {}", row.name, value);
}

std::string tail_of(const OptionRow& row, Language language) {
    const bool is_plain = row.guide.empty() || row.guide == "false";
    if (is_plain) return {};
    const std::string_view word = language == Language::kChinese ? "預設" : "default";
    return fmt::format("[{} {}]", word, row.guide);
}

void print_rows(const config::OptionSection& section, Language language) {
    print_out(fmt::format("\n{}\n", section.title.in(language)));
    for (const OptionRow& row : section.rows) {
        const std::string tail = tail_of(row, language);
        print_out(fmt::format("  {}\n      {}{}{}\n",
                              head_of(row),
                              row.help.in(language),
                              tail.empty() ? "" : " ",
                              tail));
    }
}

std::string escaped(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c == '|' || c == '<') out += '\\';
        out += c;
    }
    return out;
}

// A default as code in a table's cell.
std::string code_cell(std::string_view text) {
    if (text.empty()) return "";
    std::string out(text);
    replace_all(out, "|", "\\|");
    return fmt::format("`{}`", out);
}

std::string markdown_row(const OptionRow& row) {
    std::string names = fmt::format("`{}`", row.name);
    for (const std::string_view alias : config::split_words(row.aliases, ' ')) {
        names += fmt::format(", `{}`", alias);
    }
    std::string value(value_word(row));
    if (!row.choices.empty()) {
        value = fmt::format("{}", fmt::join(config::split_words(row.choices, '|'), ", "));
    }
    return fmt::format("| {} | {} | {} | {} | {} | {} |\n",
                       names,
                       escaped(value),
                       code_cell(row.guide),
                       code_cell(row.sd_scripts),
                       escaped(row.help.en),
                       escaped(row.help.zh));
}

std::string plain_row(const OptionRow& row) {
    return fmt::format(
        "| `{}` | {} | {} |\n", row.name, escaped(row.help.en), escaped(row.help.zh));
}

}  // namespace

void print_overview(Language language) {
    const bool zh = language == Language::kChinese;
    print_out(zh ? "用法:lora 指令 [選項...]\n\n" : "usage: lora COMMAND [OPTION...]\n\n");
    for (const CommandEntry& entry : commands()) {
        print_out(fmt::format("  {:<13}{}\n", entry.name, entry.summary.in(language)));
    }
    for (const HelpTopic& topic : help_topics()) {
        print_out(fmt::format("\nlora help {}: {}\n", topic.name, topic.title.in(language)));
    }
    print_out(zh ? "\nlora help 指令 說明該指令的選項;lora demo 是最快的起點。\n"
                 : "\nlora help COMMAND explains its options; lora demo is the quickest start.\n");
}

void print_command_help(const CommandEntry& entry, Language language) {
    const bool zh = language == Language::kChinese;
    print_out(fmt::format("{}lora {} {}\n{}\n{}{}\n",
                          zh ? "用法:" : "usage: ",
                          entry.name,
                          entry.words,
                          entry.summary.in(language),
                          zh ? "例:" : "example: ",
                          entry.example.in(language)));
    for (const config::OptionSection& section : config::option_sections()) {
        if ((section.commands & config::bit(entry.id)) == 0) continue;
        if (section.rows.front().support == Support::kRefused) continue;
        print_rows(section, language);
    }
}

std::string options_markdown() {
    std::string out =
        "# Options\n\n"
        "Made by `lora help --markdown` from the option table (`src/config/rows_*.cpp`); do not "
        "edit.\n"
        "Hyphens count as underscores. Command line beats config file beats preset. Defaults: "
        "*guide* is `--preset guide` (used unless told otherwise), *sd-scripts* is "
        "`--preset sd-scripts`.\n";
    for (const CommandEntry& entry : commands()) {
        if (config::options_of(entry.id).empty()) continue;
        out += fmt::format("\n## lora {} {}\n\n{}. {}。\n",
                           entry.name,
                           escaped(entry.words),
                           entry.summary.en,
                           entry.summary.zh);
        for (const config::OptionSection& section : config::option_sections()) {
            if ((section.commands & config::bit(entry.id)) == 0) continue;
            const bool everywhere = section.commands == config::kEveryCommand;
            if (everywhere && entry.id != config::Command::kTrain) continue;
            out += fmt::format("\n### {} / {}\n\n", section.title.en, section.title.zh);
            if (section.rows.front().support == Support::kWorks) {
                out +=
                    "| option | value | guide | sd-scripts | meaning | 說明 |\n"
                    "|---|---|---|---|---|---|\n";
                for (const OptionRow& row : section.rows) out += markdown_row(row);
            } else {
                out += "| option | meaning | 說明 |\n|---|---|---|\n";
                for (const OptionRow& row : section.rows) out += plain_row(row);
            }
        }
    }
    return out;
}

int run_help(const Context& context, const config::Loaded& loaded) {
    if (loaded.settings.flag("markdown")) {
        print_out(options_markdown());
        return 0;
    }
    if (loaded.positionals.empty()) {
        print_overview(context.language);
        return 0;
    }
    for (const HelpTopic& topic : help_topics()) {
        if (topic.name != loaded.positionals.front()) continue;
        print_out(topic.text.in(context.language));
        return 0;
    }
    const CommandEntry* entry = find_command(loaded.positionals.front());
    if (entry == nullptr) {
        throw Error(ErrorCode::kConfig,
                    fmt::format("there is no command \"{}\"", loaded.positionals.front()))
            .with_hint("lora help lists the commands");
    }
    print_command_help(*entry, context.language);
    return 0;
}

}  // namespace lora::app

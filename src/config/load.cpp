#include "config/load.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/error.h"
#include "base/file.h"
#include "base/utf8.h"
#include "config/foreign.h"
#include "config/internal/derive.h"
#include "config/internal/foreign.h"
#include "config/internal/paths.h"
#include "config/internal/rows.h"

namespace lora::config {
namespace {

// One option as it was written, before the preset is known.
struct Given {
    const OptionRow* row;
    Setting setting;
};

void add_error(Diagnostics& findings, std::string place, std::string text, std::string hint = {}) {
    findings.push_back({Severity::kError, std::move(place), std::move(text), std::move(hint)});
}

std::string choices_text(const OptionRow& row) {
    return fmt::format("{}", fmt::join(split_words(row.choices, '|'), ", "));
}

// The choice that equals the word but for case, as the table spells it.
std::string matching_choice(const OptionRow& row, std::string_view word) {
    for (const std::string_view choice : split_words(row.choices, '|')) {
        if (canonical_name(choice) == canonical_name(word)) return std::string(choice);
    }
    return {};
}

std::string range_text(const OptionRow& row) {
    if (row.max > 1e300) return fmt::format("at least {}", row.min);
    return fmt::format("from {} to {}", row.min, row.max);
}

// Says what is wrong with one word, and brings it into the form that Settings keeps.
std::string check_word(const OptionRow& row, std::string& word, std::string& hint) {
    if (!row.choices.empty()) {
        const std::string choice = matching_choice(row, word);
        if (choice.empty()) {
            hint = fmt::format("one of: {}", choices_text(row));
            return fmt::format("\"{}\" is not a value of {} in this version", word, row.name);
        }
        word = choice;
    }
    double number = 0;
    switch (row.type) {
        case OptionType::kFlag: {
            const auto flag = parse_bool(word);
            if (!flag) return fmt::format("\"{}\" is neither true nor false", word);
            word = *flag ? "true" : "false";
            return {};
        }
        case OptionType::kInt: {
            const auto value = parse_int(word);
            if (!value) return fmt::format("\"{}\" is not a whole number", word);
            number = static_cast<double>(*value);
            word = fmt::format("{}", *value);
            break;
        }
        case OptionType::kFloat: {
            const bool percent = word.ends_with('%');
            auto value = parse_float(percent ? std::string_view(word).substr(0, word.size() - 1)
                                             : std::string_view(word));
            if (!value) return fmt::format("\"{}\" is not a number", word);
            if (percent) word = fmt::format("{}", *value / 100);
            number = percent ? *value / 100 : *value;
            break;
        }
        default: return {};
    }
    if (number < row.min || number > row.max) {
        hint = range_text(row);
        return fmt::format("{} is out of range", word);
    }
    return {};
}

std::string with_toml_extension(std::string path) {
    if (extension(path) != ".toml") path += ".toml";
    return path;
}

// Where the scripts of a package start.
std::string in_program_folder(std::string path) {
    std::replace(path.begin(), path.end(), '\\', '/');
    const bool absolute = path.starts_with('/') || (path.size() > 1 && path[1] == ':');
    if (absolute || path == "auto") return path;
    while (path.starts_with("./")) path.erase(0, 2);
    return join_path(program_folder(), path);
}

class Reader {
public:
    Reader(Command command, Loaded& out) : command_(command), out_(out) {}

    void read_command_line(std::span<const std::string> args) {
        bool only_words = false;
        for (size_t i = 0; i < args.size(); ++i) {
            const std::string& arg = args[i];
            if (only_words || !is_option(arg)) {
                out_.positionals.push_back(arg);
            } else if (arg == "--") {
                only_words = true;
            } else {
                i = read_option(args, i);
            }
        }
    }

    void read_file(const std::string& path) {
        const std::string text =
            with_context(fmt::format("while reading settings from {}", path),
                         [&] { return decode_text(read_text_file(path)).utf8; });
        for (FileValue& value : parse_config_text(text, path)) {
            const std::string place = fmt::format("{}:{}", path, value.line);
            const OptionRow* row = find_option(command_, value.name);
            if (row == nullptr) {
                unknown(value.name, place);
                continue;
            }
            if (row->type != OptionType::kList && value.words.size() > 1) {
                value.words = {fmt::format("{}", fmt::join(value.words, ","))};
            }
            if (value.words.empty() && row->type != OptionType::kList) continue;
            take(*row, {std::move(value.words), Origin::kFile, place}, from_file_);
        }
    }

    // Settings of another program: what cannot be honoured is a warning, not an error.
    // A --config_file that they name in turn is read first, since they win over it.
    void read_foreign_file(const std::string& path, bool may_name_another = true) {
        const std::string text =
            with_context(fmt::format("while reading settings from {}", path),
                         [&] { return decode_text(read_text_file(path)).utf8; });
        ForeignSettings foreign = read_foreign(text, path);
        for (const FileValue& value : foreign.values) {
            if (value.name != "config_file" || !may_name_another) continue;
            read_foreign_file(with_toml_extension(value.words.front()), false);
        }
        for (Diagnostic& finding : foreign.findings) out_.findings.push_back(std::move(finding));
        if (!is_package_script(foreign.kind)) {
            take_foreign({"preset", {"sd-scripts"}, 0}, foreign.kind, path);
        }
        size_t count = 0;
        for (FileValue& value : foreign.values) {
            if (take_foreign(std::move(value), foreign.kind, path)) ++count;
        }
        drop_unknown_arguments(path);
        out_.findings.push_back(
            {Severity::kNote,
             path,
             fmt::format("read as {}: {} settings", foreign_name(foreign.kind), count),
             {}});
    }

    [[nodiscard]] std::string text_of(std::string_view name) const {
        for (const auto* list : {&from_line_, &from_file_, &from_foreign_}) {
            for (auto it = list->rbegin(); it != list->rend(); ++it) {
                if (it->row->name == name) return it->setting.words.front();
            }
        }
        return {};
    }

    void finish() {
        const std::string preset = canonical_name(text_of("preset"));
        const bool original = preset == "sd_scripts";
        for (const OptionRow* row : options_of(command_)) {
            const std::string_view value = original ? row->sd_scripts : row->guide;
            // Rows without a second default have the same in both presets only when required.
            if (!value.empty()) {
                out_.settings.set(*row, {{std::string(value)}, Origin::kPreset, {}});
            }
        }
        for (const PresetValue& value : preset_values(preset)) {
            const OptionRow* row = find_option(command_, value.name);
            if (row == nullptr) continue;
            std::vector<std::string> words;
            for (const auto word : split_words(value.words, ' ')) words.emplace_back(word);
            out_.settings.set(*row, {std::move(words), Origin::kPreset, {}});
        }
        for (auto* list : {&from_foreign_, &from_file_, &from_line_}) {
            for (Given& given : *list) apply(given);
        }
    }

private:
    static bool is_option(std::string_view arg) {
        if (!arg.starts_with('-') || arg.size() < 2) return false;
        return arg.starts_with("--") || !parse_float(arg);
    }

    // Reads the option at args[i]; the index of its last word.
    size_t read_option(std::span<const std::string> args, size_t i) {
        const std::string& arg = args[i];
        const size_t equals = arg.find('=');
        const std::string name = canonical_name(std::string_view(arg).substr(0, equals));
        const std::string place = "--" + name;
        const OptionRow* row = find_option(command_, name);
        if (row == nullptr && name.starts_with("no_") && equals == std::string::npos) {
            row = find_option(command_, std::string_view(name).substr(3));
            if (row != nullptr && row->type == OptionType::kFlag) {
                take(*row, {{"false"}, Origin::kCommandLine, place}, from_line_);
                return i;
            }
            row = nullptr;
        }
        if (row == nullptr) {
            unknown(name, place);
            // What follows was meant for it.
            while (i + 1 < args.size() && !is_option(args[i + 1])) ++i;
            return i;
        }
        Setting setting{{}, Origin::kCommandLine, place};
        if (equals != std::string::npos) setting.words.push_back(arg.substr(equals + 1));
        if (row->type == OptionType::kFlag) {
            if (setting.words.empty()) setting.words.emplace_back("true");
        } else if (row->type == OptionType::kList) {
            while (i + 1 < args.size() && !is_option(args[i + 1])) {
                setting.words.push_back(args[++i]);
            }
        } else if (setting.words.empty() && i + 1 < args.size() && !is_option(args[i + 1])) {
            setting.words.push_back(args[++i]);
        }
        if (setting.words.empty()) {
            add_error(out_.findings, place, "a value is missing after it");
            return i;
        }
        take(*row, std::move(setting), from_line_);
        return i;
    }

    void leave_out(const std::string& place, std::string text) {
        out_.findings.push_back({Severity::kWarning, place, std::move(text), {}});
    }

    // True when the value was taken.
    bool take_foreign(FileValue value, ForeignKind kind, const std::string& path) {
        const std::string place = value.line > 0 ? fmt::format("{}:{}", path, value.line) : path;
        const OptionRow* row = find_option(command_, value.name);
        if (row == nullptr) {
            leave_out(place,
                      fmt::format("{} ({}) is no setting here and is left out",
                                  value.name,
                                  fmt::join(value.words, " ")));
            return false;
        }
        // This program's own words, which would lead to other files.
        if (row->name == "from" || row->name == "config_file" || row->name == "help") return false;
        if (row->type != OptionType::kList && value.words.size() > 1) {
            value.words = {fmt::format("{}", fmt::join(value.words, ","))};
        }
        const bool off = value.words.size() == 1 && says_nothing(value.words.front());
        if (row->support != Support::kWorks) {
            if (row->support == Support::kRefused && !off) {
                leave_out(place,
                          fmt::format("{} ({}) is not in this version and is left out: the result "
                                      "will differ",
                                      row->name,
                                      row->help.en));
            }
            return false;
        }
        // Pages write 0 or nothing for what is not wanted.
        if (off && (row->min > 0 || row->type == OptionType::kPath)) return false;
        for (const std::string& word : value.words) {
            std::string copy = word;
            std::string hint;
            const std::string problem = check_word(*row, copy, hint);
            if (problem.empty()) continue;
            leave_out(place, fmt::format("{}: {}; it is left out", row->name, problem));
            return false;
        }
        if (row->type == OptionType::kPath && is_package_script(kind)) {
            for (std::string& word : value.words) word = in_program_folder(word);
        }
        from_foreign_.push_back({row, {std::move(value.words), Origin::kFile, place}});
        return true;
    }

    // Words of the form name=value that network or optimizer do not take.
    void drop_unknown_arguments(const std::string& path) {
        Settings found(command_);
        for (const Given& given : from_foreign_) found.set(*given.row, given.setting);
        for (Given& given : from_foreign_) {
            std::vector<std::string> kept;
            for (const std::string& word : given.setting.words) {
                const std::string problem = argument_problem(found, given.row->name, kept, word);
                if (problem.empty()) {
                    kept.push_back(word);
                } else {
                    leave_out(path,
                              fmt::format("{} {} is left out: {}", given.row->name, word, problem));
                }
            }
            given.setting.words = std::move(kept);
        }
        std::erase_if(from_foreign_,
                      [](const Given& given) { return given.setting.words.empty(); });
    }

    void unknown(const std::string& name, const std::string& place) {
        const std::string near = nearest_option(command_, name);
        add_error(out_.findings,
                  place,
                  fmt::format("there is no option \"{}\"", name),
                  near.empty() ? "see lora help" : fmt::format("did you mean {}?", near));
    }

    void take(const OptionRow& row, Setting setting, std::vector<Given>& list) {
        if (row.support == Support::kRefused) {
            const bool off =
                row.type == OptionType::kFlag && parse_bool(setting.words.front()) == false;
            if (!off) {
                add_error(out_.findings,
                          setting.place,
                          fmt::format("{} ({}) is not in this version, and leaving it out would "
                                      "change the result",
                                      row.name,
                                      row.help.en),
                          "take it out of the settings, or train this one elsewhere");
            }
            return;
        }
        list.push_back({&row, std::move(setting)});
    }

    void apply(Given& given) {
        const bool unset = given.setting.words.size() == 1 && given.setting.words.front().empty();
        if (unset) {  // --reg_data_dir="" says: none
            out_.settings.erase(given.row->name);
            return;
        }
        for (std::string& word : given.setting.words) {
            std::string hint;
            const std::string problem = check_word(*given.row, word, hint);
            if (!problem.empty()) {
                add_error(out_.findings, given.setting.place, problem, hint);
                return;
            }
        }
        if (given.row->type == OptionType::kPath) {
            for (std::string& word : given.setting.words) word = with_forward_slashes(word);
        }
        out_.settings.set(*given.row, std::move(given.setting));
    }

    Command command_;
    Loaded& out_;
    std::vector<Given> from_foreign_;
    std::vector<Given> from_file_;
    std::vector<Given> from_line_;
};

}  // namespace

Loaded load(Command command, std::span<const std::string> args) {
    Loaded out{Settings(command), {}, {}};
    Reader reader(command, out);
    reader.read_command_line(args);
    if (const std::string foreign = reader.text_of("from"); !foreign.empty()) {
        reader.read_foreign_file(foreign);
    }
    const std::string file = reader.text_of("config_file");
    if (!file.empty()) reader.read_file(with_toml_extension(file));
    reader.finish();
    if (command == Command::kTrain) derive_train_settings(out.settings);
    return out;
}

}  // namespace lora::config

// Command lines as shells, batch files and PowerShell write them: words, quotes, lines that go on,
// variables. Only so much of each language as these command lines use.
#include <algorithm>
#include <cctype>

#include <fmt/format.h>

#include "base/words.h"
#include "config/internal/foreign.h"

namespace lora::config {
namespace {

bool is_name_letter(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

// Cuts a text into commands and their words.
class Lexer {
public:
    Lexer(std::string_view text, const ScriptVariables& variables)
        : text_(text), variables_(variables) {}

    std::vector<std::vector<CommandWord>> run() {
        while (at_ < text_.size()) step();
        end_command();
        return std::move(commands_);
    }

private:
    [[nodiscard]] char peek(size_t ahead = 0) const {
        return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
    }

    void step() {
        const char c = peek();
        if (quote_ == '\0' && is_continuation(c)) {
            at_ = text_.find('\n', at_);
            take_newline();
        } else if (c == '\n') {
            if (quote_ == '\0') {
                end_command();
            } else {
                add(c);
            }
            take_newline();
        } else if (quote_ == '\0' && (c == ' ' || c == '\t' || c == '\r')) {
            end_word();
            ++at_;
        } else if (quote_ == '\0' && (c == ';' || c == '&' || c == '|')) {
            end_command();
            ++at_;
        } else if (quote_ == '\0' && c == '#' && !in_word_) {
            at_ = std::min(text_.find('\n', at_), text_.size());
        } else if (c == quote_ || (quote_ == '\0' && (c == '"' || c == '\''))) {
            quote_ = quote_ == '\0' ? c : '\0';
            in_word_ = true;
            ++at_;
        } else if (c == '\\' && peek(1) == '"' && quote_ != '\'') {
            add('"');
            at_ += 2;
        } else if ((c == '$' || c == '%') && quote_ != '\'') {
            take_variable();
        } else {
            add(c);
            ++at_;
        }
    }

    // \ ^ or ` with nothing but blanks behind it on its line.
    [[nodiscard]] bool is_continuation(char c) const {
        if (c != '\\' && c != '^' && c != '`') return false;
        const size_t end = text_.find('\n', at_);
        if (end == std::string_view::npos) return false;
        return trimmed(text_.substr(at_ + 1, end - at_ - 1)).empty();
    }

    void take_newline() {
        ++at_;
        ++line_;
    }

    // $name, ${name}, %name%; what is not known stays as it is and marks the word.
    void take_variable() {
        const char sign = peek();
        size_t begin = at_ + 1;
        const bool braces = sign == '$' && peek(1) == '{';
        if (braces) ++begin;
        size_t end = begin;
        while (end < text_.size() && is_name_letter(text_[end])) ++end;
        const char closing = braces ? '}' : '%';
        const bool closed = sign == '$' && !braces;
        const bool whole = end > begin && (closed || (end < text_.size() && text_[end] == closing));
        const auto found = variables_.find(lower_ascii(text_.substr(begin, end - begin)));
        if (!whole || found == variables_.end()) {
            if (sign == '$') word_.is_open = true;
            add(sign);
            ++at_;
            return;
        }
        word_.text += found->second.text;
        mark_word();
        at_ = closed ? end : end + 1;
    }

    void mark_word() {
        if (!in_word_) word_.line = line_;
        in_word_ = true;
    }
    void add(char c) {
        mark_word();
        word_.text += c;
    }
    void end_word() {
        if (in_word_) {
            if (word_.line == 0) word_.line = line_;
            command_.push_back(std::move(word_));
        }
        word_ = {};
        in_word_ = false;
    }
    void end_command() {
        end_word();
        if (!command_.empty()) commands_.push_back(std::move(command_));
        command_.clear();
    }

    std::string_view text_;
    const ScriptVariables& variables_;
    size_t at_ = 0;
    int64_t line_ = 1;
    char quote_ = '\0';
    bool in_word_ = false;
    CommandWord word_;
    std::vector<CommandWord> command_;
    std::vector<std::vector<CommandWord>> commands_;
};

// set NAME=value, export NAME=value, NAME=value
void take_assignment(const std::vector<CommandWord>& command, ScriptVariables& variables) {
    const std::string first = lower_ascii(command.front().text);
    const bool has_verb = first == "set" || first == "export" || first == "@set";
    if (has_verb && command.size() < 2) return;
    // A batch value may hold blanks.
    std::string text = command[has_verb ? 1 : 0].text;
    for (size_t i = has_verb ? 2 : 1; i < command.size() && first.ends_with("set"); ++i) {
        text += " " + command[i].text;
    }
    const size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) return;
    const std::string name = lower_ascii(text.substr(0, equals));
    if (!std::all_of(name.begin(), name.end(), is_name_letter)) return;
    variables[name] = {text.substr(equals + 1), command.front().line};
}

bool is_remark(const std::vector<CommandWord>& command) {
    const std::string word = lower_ascii(trimmed(command.front().text, "@"));
    return word == "echo" || word == "rem" || word.starts_with("::");
}

}  // namespace

TrainingCommand find_training_command(std::string_view text, const ScriptVariables& variables) {
    ScriptVariables known = variables;
    for (const auto& command : Lexer(text, known).run()) take_assignment(command, known);
    TrainingCommand rest;
    for (std::vector<CommandWord>& command : Lexer(text, known).run()) {
        if (is_remark(command)) continue;
        const auto program =
            std::find_if(command.begin(), command.end(), [](const CommandWord& word) {
                return word.text.ends_with(".py");
            });
        const bool has_options = std::any_of(program, command.end(), [](const CommandWord& word) {
            return word.text.starts_with("--");
        });
        if (program != command.end() && has_options) {
            std::string name = program->text;
            std::replace(name.begin(), name.end(), '\\', '/');
            return {name.substr(name.rfind('/') + 1), {program + 1, command.end()}};
        }
        for (CommandWord& word : command) rest.words.push_back(std::move(word));
    }
    return rest;
}

std::vector<CommandOption> split_options(std::span<const CommandWord> words) {
    std::vector<CommandOption> options;
    for (const CommandWord& word : words) {
        const bool is_option = word.text.starts_with("--") && word.text.size() > 2;
        if (!is_option) {
            if (!options.empty()) options.back().words.push_back(word);
            continue;
        }
        const size_t equals = word.text.find('=');
        options.push_back(
            {canonical_name(std::string_view(word.text).substr(0, equals)), {}, word.line});
        if (equals != std::string::npos) {
            options.back().words.push_back({word.text.substr(equals + 1), word.line, word.is_open});
        }
    }
    return options;
}

void set_option(const CommandOption& option, ForeignSink& sink) {
    std::vector<std::string> words;
    for (const CommandWord& word : option.words) {
        if (!word.is_open) {
            words.push_back(word.text);
            continue;
        }
        sink.warn(option.name,
                  word.line,
                  fmt::format("\"{}\" holds a variable that is not known here", word.text));
    }
    const OptionRow* row = find_option(Command::kTrain, option.name);
    if (row != nullptr && row->type == OptionType::kFlag) {
        if (option.words.empty() || words.empty()) words = {"true"};
        words.resize(1);
    } else if (row != nullptr && row->type != OptionType::kList && words.size() > 1) {
        words.resize(1);
    } else if (row == nullptr && option.words.empty()) {
        words = {"true"};
    }
    if (words.size() == 1) {
        sink.set(option.name, words.front(), option.line);
    } else {
        sink.set(option.name, std::move(words), option.line);
    }
}

void read_arguments(std::string_view text, ForeignSink& sink) {
    const TrainingCommand command = find_training_command(text, {});
    if (!command.program.empty() && command.program != "train_network.py") {
        sink.warn(command.program,
                  0,
                  "these are settings of another program than train_network.py; what has the same "
                  "name is taken from them");
    }
    for (const CommandOption& option : split_options(command.words)) set_option(option, sink);
}

std::vector<std::string> split_quoted(std::string_view text) {
    std::vector<std::string> words;
    for (const auto& command : Lexer(text, {}).run()) {
        for (const CommandWord& word : command) words.push_back(word.text);
    }
    return words;
}

}  // namespace lora::config

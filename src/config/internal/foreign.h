// The readers behind config/foreign.h and what they share.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "config/foreign.h"

namespace lora::config {

// Gathers what a reader finds.
class ForeignSink {
public:
    ForeignSink(ForeignKind kind, std::string what) : what_(std::move(what)) { out_.kind = kind; }

    // Later values of one name win. Empty words and an empty list say nothing.
    void set(std::string_view name, std::string word, int64_t line);
    void set(std::string_view name, std::vector<std::string> words, int64_t line);
    void set_flag(std::string_view name, bool on, int64_t line);
    void warn(std::string_view name, int64_t line, std::string text, std::string hint = {});

    [[nodiscard]] bool has(std::string_view name) const;
    [[nodiscard]] std::string text(std::string_view name) const;
    [[nodiscard]] ForeignSettings take() { return std::move(out_); }

private:
    std::string what_;
    ForeignSettings out_;
};

// Off, absent or zero as these files write it: "", 0, 0.0, false, none.
[[nodiscard]] bool says_nothing(std::string_view word);

// A variable of a script, worked out.
struct ScriptVariable {
    std::string text;
    int64_t line = 0;
};
// By name in lower case.
using ScriptVariables = std::map<std::string, ScriptVariable, std::less<>>;

// The value of a PowerShell expression made of numbers, texts, variables, + - * /, brackets,
// [Math]::Sqrt and Round, lists; nothing for anything else.
[[nodiscard]] std::optional<std::string> evaluate_powershell(std::string_view text,
                                                             const ScriptVariables& variables);

// A word of a command line, its quotes gone.
struct CommandWord {
    std::string text;
    int64_t line = 0;
    bool is_open = false;  // holds a variable that is not known here
};
// What stands behind the training program's name, or, in a text that names none, all of it.
struct TrainingCommand {
    std::string program;  // "train_network.py"; empty: none is named
    std::vector<CommandWord> words;
};
[[nodiscard]] TrainingCommand find_training_command(std::string_view text,
                                                    const ScriptVariables& variables);

// One option of a command line.
struct CommandOption {
    std::string name;
    std::vector<CommandWord> words;
    int64_t line = 0;
};
[[nodiscard]] std::vector<CommandOption> split_options(std::span<const CommandWord> words);

void read_arguments(std::string_view text, ForeignSink& sink);
void set_option(const CommandOption& option, ForeignSink& sink);
void read_script(std::string_view text, ForeignKind kind, ForeignSink& sink);
void read_foreign_toml(std::vector<FileValue> values, ForeignSink& sink);
void read_kohya_json(const Json& json, ForeignSink& sink);

// "a=1 b='2 3'" to its words.
[[nodiscard]] std::vector<std::string> split_quoted(std::string_view text);

}  // namespace lora::config

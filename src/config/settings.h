// The values of one command's options and where each came from. Not here: how they are read
// (load.h). A value is kept as its words and turned into a number when asked, after it was checked.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/option_table.h"

namespace lora::config {

// Ordered: later ones win.
enum class Origin { kPreset, kDerived, kFile, kCommandLine };

struct Setting {
    std::vector<std::string> words;  // one, but for lists
    Origin origin = Origin::kPreset;
    std::string place;  // "train.toml:12" for files, "--name" on the command line
};

class Settings {
public:
    explicit Settings(Command command = Command::kNone) : command_(command) {}

    // `row` belongs to this command's table.
    void set(const OptionRow& row, Setting setting);
    void erase(std::string_view name);

    [[nodiscard]] bool has(std::string_view name) const;
    // Origin of a value that is there.
    [[nodiscard]] Origin origin(std::string_view name) const;
    // Whether a person gave it: in a file or on the command line.
    [[nodiscard]] bool given(std::string_view name) const;
    // Where it was said, for messages: the place, or the option's name.
    [[nodiscard]] std::string place(std::string_view name) const;

    // Absent values read as false, 0, "" and {}.
    [[nodiscard]] bool flag(std::string_view name) const;
    [[nodiscard]] int64_t integer(std::string_view name) const;
    [[nodiscard]] double number(std::string_view name) const;
    [[nodiscard]] std::string text(std::string_view name) const;
    [[nodiscard]] std::vector<std::string> list(std::string_view name) const;

    [[nodiscard]] const std::map<std::string, Setting, std::less<>>& all() const { return values_; }
    [[nodiscard]] Command command() const { return command_; }

private:
    [[nodiscard]] const Setting* find(std::string_view name) const;

    Command command_;
    std::map<std::string, Setting, std::less<>> values_;
};

// Whole-word numbers, true/false/1/0/yes/no/on/off; nothing when the text is anything else.
[[nodiscard]] std::optional<int64_t> parse_int(std::string_view text);
[[nodiscard]] std::optional<double> parse_float(std::string_view text);
[[nodiscard]] std::optional<bool> parse_bool(std::string_view text);
// "3G", "800M", "1.5GiB", "4096": bytes, in powers of 1024.
[[nodiscard]] std::optional<uint64_t> parse_bytes(std::string_view text);

}  // namespace lora::config

// The one table of options: parser, help, docs/options.md and config files all read it.
// Not here: reading values (load.h), judging them together (validate.h).
// Names are kohya's where kohya has one; a hyphen counts as an underscore, and old names of kohya
// are aliases. Threads  the table is constant.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lora::config {

enum class OptionType {
    kFlag,  // --name, --name=false, --no_name
    kInt,
    kFloat,  // 1e-4, 2E-05
    kText,
    kPath,  // a file or folder; relative ones start at the working directory
    kList,  // several words, until the next option
};

// What this version does with an option of kohya's.
enum class Support {
    kWorks,
    kAccepted,  // chooses an implementation or names a service of the original: nothing to do here
    kRefused,   // would change the result and is not there: an error that says so
};

enum class Command : uint32_t {
    kNone = 0,
    kTrain = 1,
    kSample = 2,
    kInspect = 4,
    kDemo = 8,
    kDoctor = 16,
    kVersion = 32,
    kHelp = 64,
    kStatus = 1 << 7,
    kMerge = 1 << 8,
    kResize = 1 << 9,
    kExtract = 1 << 10,
    kConvert = 1 << 11,
    kVerify = 1 << 12,
    kInterrogate = 1 << 13,
    kTags = 1 << 14,
    kData = 1 << 15,
    kTag = 1 << 20,
    kFetch = 1 << 21,
};
[[nodiscard]] constexpr uint32_t bit(Command command) { return static_cast<uint32_t>(command); }
inline constexpr uint32_t kEveryCommand = 0xffffffff;

enum class Language { kEnglish, kChinese };

struct Words {
    std::string_view en;
    std::string_view zh;  // Traditional Chinese
    [[nodiscard]] std::string_view in(Language language) const {
        return language == Language::kChinese ? zh : en;
    }
};

struct OptionRow {
    std::string_view name;
    OptionType type = OptionType::kText;
    std::string_view guide = {};       // default of the guide's preset; empty: none
    std::string_view sd_scripts = {};  // default of sd-scripts
    std::string_view aliases = {};     // separated by spaces
    std::string_view choices = {};     // allowed values, separated by |; empty: any
    double min = -std::numeric_limits<double>::infinity();
    double max = std::numeric_limits<double>::infinity();
    Support support = Support::kWorks;
    Words help;
};

// Rows that stand together in the help, for the same commands.
struct OptionSection {
    Words title;
    uint32_t commands = 0;  // bits of Command
    std::span<const OptionRow> rows;
};

[[nodiscard]] std::span<const OptionSection> option_sections();

// The row that `command` knows under this name or alias, in either spelling; null if none.
[[nodiscard]] const OptionRow* find_option(Command command, std::string_view name);

// Every row of a command in table order.
[[nodiscard]] std::vector<const OptionRow*> options_of(Command command);

// The known name that looks most like `name`; empty when nothing is near.
[[nodiscard]] std::string nearest_option(Command command, std::string_view name);

// The word of `words` that looks most like `word`; empty when nothing is near.
[[nodiscard]] std::string nearest_word(std::string_view word,
                                       std::span<const std::string_view> words);

// Lower case, hyphens to underscores, leading dashes gone.
[[nodiscard]] std::string canonical_name(std::string_view name);

// Pieces of `text` between the separators, empty ones left out.
[[nodiscard]] std::vector<std::string_view> split_words(std::string_view text, char separator);

}  // namespace lora::config

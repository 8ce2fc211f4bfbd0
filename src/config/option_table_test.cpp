#include "config/option_table.h"

#include <set>

#include <gtest/gtest.h>

#include "base/utf8.h"

namespace lora::config {
namespace {

constexpr Command kAll[] = {Command::kTrain,
                            Command::kSample,
                            Command::kInspect,
                            Command::kDemo,
                            Command::kDoctor,
                            Command::kVersion,
                            Command::kHelp};

bool has_chinese(std::string_view text) {
    for (const char32_t c : utf8_to_utf32(text)) {
        if (c >= 0x4E00 && c <= 0x9FFF) return true;
    }
    return false;
}

TEST(OptionTable, EveryRowHasBothHelpTexts) {
    for (const OptionSection& section : option_sections()) {
        EXPECT_TRUE(has_chinese(section.title.zh) || section.title.zh == "Latent 與載入");
        for (const OptionRow& row : section.rows) {
            EXPECT_FALSE(row.help.en.empty()) << row.name;
            // Bare names like "Huber loss" are the same in both languages.
            EXPECT_TRUE(has_chinese(row.help.zh) || row.help.zh == row.help.en) << row.name;
            EXPECT_FALSE(has_chinese(row.help.en)) << row.name;
        }
    }
}

TEST(OptionTable, NamesAndAliasesAreUniqueWithinACommand) {
    for (const Command command : kAll) {
        std::set<std::string_view> seen;
        for (const OptionRow* row : options_of(command)) {
            EXPECT_EQ(canonical_name(row->name), row->name);
            EXPECT_TRUE(seen.insert(row->name).second) << row->name;
            for (const auto alias : split_words(row->aliases, ' ')) {
                EXPECT_TRUE(seen.insert(alias).second) << alias;
            }
        }
    }
}

TEST(OptionTable, DefaultsAreAmongTheChoices) {
    for (const OptionSection& section : option_sections()) {
        for (const OptionRow& row : section.rows) {
            const auto choices = split_words(row.choices, '|');
            for (const auto value : {row.guide, row.sd_scripts}) {
                if (value.empty() || choices.empty()) continue;
                EXPECT_NE(std::find(choices.begin(), choices.end(), value), choices.end())
                    << row.name << " " << value;
            }
        }
    }
}

TEST(OptionTable, HyphensAndHistoricNamesAreFound) {
    ASSERT_NE(find_option(Command::kTrain, "--caption-extention"), nullptr);
    EXPECT_EQ(find_option(Command::kTrain, "--caption-extention")->name, "caption_extension");
    EXPECT_EQ(find_option(Command::kTrain, "max_train_epoches")->name, "max_train_epochs");
    EXPECT_EQ(find_option(Command::kTrain, "prompt"), nullptr);
    EXPECT_NE(find_option(Command::kSample, "prompt"), nullptr);
}

TEST(OptionTable, TheNearestNameIsOffered) {
    EXPECT_EQ(nearest_option(Command::kTrain, "--network_dmi"), "network_dim");
    EXPECT_EQ(nearest_option(Command::kTrain, "learning-rat"), "learning_rate");
    EXPECT_EQ(nearest_option(Command::kTrain, "qqqqqqqqqqqq"), "");
}

}  // namespace
}  // namespace lora::config

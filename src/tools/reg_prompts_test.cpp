#include "tools/reg_prompts.h"

#include <filesystem>

#include <gtest/gtest.h>

#include "base/file.h"
#include "io/png.h"

namespace lora::tools {
namespace {

class RegPromptsTest : public ::testing::Test {
protected:
    void SetUp() override {
        const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
        folder_ =
            from_path(std::filesystem::temp_directory_path()) + "/lora_reg_prompts_" + info->name();
        remove_directory(folder_);
        make_directories(folder_ + "/6_miku 1girl");
        const io::Image picture{2, 2, std::vector<uint8_t>(12, 0)};
        for (const char* name : {"a", "b", "c"}) {
            io::write_png(folder_ + "/6_miku 1girl/" + name + ".png", picture);
        }
        put("a", "smile, miku, white background, signature");
        put("b", "miku, 1girl, standing, outdoors\nsecond line");
    }
    void TearDown() override { remove_directory(folder_); }
    void put(const std::string& name, std::string_view text) const {
        write_file_atomically(folder_ + "/6_miku 1girl/" + name + ".txt", text);
    }
    std::string folder_;
    TagClasses classes_;
};

TEST_F(RegPromptsTest, OfTheCharacterWithBackgrounds) {
    const RegPromptOptions options{.inputs = {folder_}, .backgrounds = {"street", "forest"}};
    const auto rows = make_reg_prompts(options, classes_);
    ASSERT_EQ(rows.size(), 3U);
    EXPECT_EQ(rows[0].prompt, "miku, 1girl, smile, street");
    EXPECT_EQ(rows[1].prompt, "miku, 1girl, standing, outdoors");  // it has a place
    EXPECT_EQ(rows[2].prompt, "miku, 1girl, forest");              // no caption file
    EXPECT_EQ(rows[0].class_name, "1girl");
    EXPECT_EQ(rows[2].seed, 3U);
    EXPECT_EQ(prompt_file({rows[0]}, options),
              "miku, 1girl, smile, street --n white background, simple background, text, "
              "signature, watermark --w 512 --h 512 --d 1\n");
}

TEST_F(RegPromptsTest, OfTheClassWithoutTheTrigger) {
    const auto rows = make_reg_prompts(
        {.inputs = {folder_}, .with_trigger = false, .class_name = "woman", .per_picture = 2},
        classes_);
    ASSERT_EQ(rows.size(), 6U);
    EXPECT_EQ(rows[0].prompt, "woman, smile");
    EXPECT_EQ(rows[1].prompt, "woman, smile");
    EXPECT_NE(rows[0].seed, rows[1].seed);
    EXPECT_EQ(rows[4].prompt, "woman");
    for (const RegPrompt& row : rows) EXPECT_EQ(row.prompt.find("miku"), std::string::npos);
}

TEST_F(RegPromptsTest, WordsThatTheFileWouldReadOtherwise) {
    put("a", "# no comment, --n nothing, smile --d 5, standing");
    const auto rows = make_reg_prompts({.inputs = {folder_}}, classes_);
    EXPECT_EQ(rows.at(0).prompt, "miku, 1girl, standing");
}

}  // namespace
}  // namespace lora::tools

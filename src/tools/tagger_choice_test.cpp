#include "tools/tagger_choice.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "tools/model_catalog.h"
#include "tools/tagger_list.h"

namespace lora::tools {
namespace {

constexpr const char* kHeader = "tag_id,name,category,count\n";

std::vector<TaggerTag> read(const std::string& rows) {
    return read_tagger_list(kHeader + rows, "t.csv");
}

std::string message_of(const std::string& text) {
    try {
        static_cast<void>(read_tagger_list(text, "t.csv"));
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kFormat);
        return error.message();
    }
    return "";
}

TEST(TaggerList, ReadsWhatIsPublished) {
    const auto tags = read(
        "1,general,9,5\r\n2,1girl,0,4\n3,hatsune_miku,4,3\n4,\"say_\"\"hi\"\",_you\",0,2\n\n5,x,3,"
        "1");
    ASSERT_EQ(tags.size(), 5U);
    EXPECT_EQ(tags[0].category, TaggerCategory::kRating);
    EXPECT_EQ(tags[1].name, "1girl");
    EXPECT_EQ(tags[2].category, TaggerCategory::kCharacter);
    EXPECT_EQ(tags[3].name, "say_\"hi\",_you");
    EXPECT_EQ(tags[4].category, TaggerCategory::kGeneral);
    EXPECT_EQ(read_tagger_list("\xEF\xBB\xBF"
                               "name,category\na,0\n",
                               "t")
                  .front()
                  .name,
              "a");
}

TEST(TaggerList, NamesTheLineThatIsWrong) {
    EXPECT_NE(message_of(""), "");
    EXPECT_NE(message_of("a,b,c\n1,2,3\n"), "");
    EXPECT_NE(message_of(kHeader), "");
    const std::string head = kHeader;
    EXPECT_EQ(message_of(head + "1,a,0,1\n2,b,zero,1\n"),
              "t.csv, line 3: the category is no number");
    EXPECT_EQ(message_of(head + "1,\"a\nb\",0,1\n"),
              "t.csv, line 2: a tag without a name, or with a line end in it");
    EXPECT_EQ(message_of(head + "1,\"a\n\n,0,1\n2,b"), "t.csv, line 2: a quote is never closed");
    EXPECT_EQ(message_of(head + "1,\"a\"b,0,1\n"), "t.csv, line 2: text behind a closing quote");
    EXPECT_EQ(message_of(head + "1\n"), "t.csv, line 2: a column is missing");
    EXPECT_EQ(message_of(head + "1,\xFF,0,1\n"), "t.csv, line 1: the file is not UTF-8");
}

class ChoiceTest : public testing::Test {
protected:
    std::vector<TaggerTag> tags_ = read(
        "1,general,9,1\n2,explicit,9,1\n3,1girl,0,1\n4,long_hair,0,1\n5,>_<,0,1\n6,|"
        "|_||,0,1\n7,mika_(suit)_(series),4,1\n");
    std::vector<float> scores_ = {0.9F, 0.2F, 0.5F, 0.8F, 0.35F, 0.36F, 0.7F};

    [[nodiscard]] std::string caption(const TagChoiceOptions& options,
                                      const std::string& before = "",
                                      OnConflict conflict = OnConflict::kIgnore,
                                      const std::string& trigger = "") const {
        const TagChooser chooser(tags_, options);
        return chooser.caption(chooser.choose(scores_), trigger, before, conflict);
    }
};

TEST_F(ChoiceTest, Defaults) {
    // A score that equals the threshold counts.
    EXPECT_EQ(caption({}), "long hair, mika (suit) (series), 1girl, || ||, >_<\n");
    EXPECT_EQ(caption({.keep_underscores = {"||_||"}}),
              "long hair, mika (suit) (series), 1girl, ||_||, >_<\n");
}

TEST_F(ChoiceTest, ThresholdsByCategory) {
    EXPECT_EQ(caption({.general_threshold = 0.75, .character_threshold = 0.71}), "long hair\n");
    EXPECT_EQ(caption({.general_threshold = 1, .character_threshold = 0.71}), "\n");
    EXPECT_EQ(caption({.general_threshold = 1, .character_threshold = 0.7}),
              "mika (suit) (series)\n");
    EXPECT_EQ(
        caption({.general_threshold = 1, .character_threshold = 1, .rating = RatingPlace::kFirst}),
        "general\n");
    EXPECT_EQ(caption({.general_threshold = 1,
                       .character_threshold = 1,
                       .rating_threshold = 0.95,
                       .rating = RatingPlace::kFirst}),
              "\n");
}

TEST_F(ChoiceTest, OrderOfEverythingThatGoesFirst) {
    EXPECT_EQ(caption({.characters_first = true,
                       .rating = RatingPlace::kFirst,
                       .always_first = {">_<", "1girl", "not there"},
                       .add = {"a", "1GIRL"}},
                      "",
                      OnConflict::kIgnore,
                      "trigger"),
              "trigger, a, 1GIRL, >_<, general, mika (suit) (series), long hair, || ||\n");
}

TEST_F(ChoiceTest, JoinsWhatIsThere) {
    const TagChoiceOptions one{.general_threshold = 0.75, .character_threshold = 1};
    EXPECT_EQ(caption(one, "x, Long_Hair, y\nmore\n", OnConflict::kAppend),
              "x, Long_Hair, y\nmore\n");
    EXPECT_EQ(caption(one, "x, Long_Hair, y\r\nmore", OnConflict::kPrepend),
              "long hair, x, y\r\nmore");
    EXPECT_EQ(caption(one, "x, y\nmore", OnConflict::kReplace), "long hair\n");
    EXPECT_EQ(caption(one, "", OnConflict::kAppend), "long hair\n");
    TagChoiceOptions bar = one;
    bar.separator = " | ";
    EXPECT_EQ(caption(bar, "x, y|z", OnConflict::kAppend), "x, y | z | long hair\n");
    bar.dedupe = false;
    EXPECT_EQ(caption(bar, "long hair", OnConflict::kAppend), "long hair | long hair\n");
}

TEST_F(ChoiceTest, SeriesOfCharacters) {
    const TagChoiceOptions options{.general_threshold = 1, .expand_characters = true};
    EXPECT_EQ(caption(options), "mika (suit), series\n");
}

TEST(TagReplacement, Pairs) {
    const auto pairs = read_tag_replacement("a,b; c , d\\,e\\;f;");
    ASSERT_EQ(pairs.size(), 2U);
    EXPECT_EQ(pairs[0], (std::pair<std::string, std::string>("a", "b")));
    EXPECT_EQ(pairs[1], (std::pair<std::string, std::string>("c", "d,e;f")));
    EXPECT_TRUE(read_tag_replacement("").empty());
    EXPECT_THROW(static_cast<void>(read_tag_replacement("a")), Error);
    EXPECT_THROW(static_cast<void>(read_tag_replacement("a,b,c")), Error);
    EXPECT_THROW(static_cast<void>(read_tag_replacement(",b")), Error);
}

TEST(Catalog, NamesAndRepositories) {
    const CatalogModel* model = find_model("wd14-swinv2-v2");
    ASSERT_NE(model, nullptr);
    EXPECT_EQ(find_model(model->repository), model);
    EXPECT_EQ(find_model("nothing"), nullptr);
    EXPECT_EQ(file_url("https://a.b/", *model, model->files[0]),
              "https://a.b/SmilingWolf/wd-v1-4-swinv2-tagger-v2/resolve/main/model.onnx");
    for (const CatalogModel& row : catalog()) {
        for (const CatalogFile& file : row.files) {
            EXPECT_TRUE(file.sha256.empty() || file.sha256.size() == 64) << row.name;
        }
    }
}

}  // namespace
}  // namespace lora::tools

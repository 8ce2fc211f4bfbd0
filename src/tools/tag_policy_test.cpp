// The tag policies on 200 captions whose marks were set by hand, and the edits of `lora tags`.
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "base/words.h"
#include "tools/caption_tags.h"

namespace lora::tools {
namespace {

struct MarkedCaption {
    std::vector<std::string> all;
    std::vector<std::string> no_traits;
    std::vector<std::string> bare;  // neither traits nor clothing
};

std::vector<MarkedCaption> marked_captions() {
    std::vector<MarkedCaption> out;
    const std::string text = read_text_file(LORA_SOURCE_DIR "/tests/data/tag_policies.txt");
    for (const std::string_view line : split(text, '\n')) {
        if (line.empty() || line.front() == '#') continue;
        MarkedCaption caption;
        for (std::string tag : split_tags(line)) {
            const char mark = tag.back();
            const bool is_marked = mark == '*' || mark == '+';
            if (is_marked) tag.pop_back();
            caption.all.push_back(tag);
            if (mark != '*') caption.no_traits.push_back(tag);
            if (!is_marked) caption.bare.push_back(tag);
        }
        out.push_back(std::move(caption));
    }
    return out;
}

std::vector<std::string> with_trigger(std::vector<std::string> tags) {
    tags.insert(tags.begin(), "mika");
    return tags;
}

TagEdits policy(TagPolicy value) {
    TagEdits edits;
    edits.policy = value;
    edits.add = {"mika"};
    return edits;
}

TEST(TagPolicy, TwoHundredCaptions) {
    const TagClasses classes;
    const auto captions = marked_captions();
    ASSERT_EQ(captions.size(), 200U);
    TagEdits no_clothes = policy(TagPolicy::kNoTraits);
    no_clothes.drop_clothing = true;
    for (const MarkedCaption& caption : captions) {
        const auto result = [&](const TagEdits& edits) {
            return join_tags(apply_edits(caption.all, edits, classes));
        };
        EXPECT_EQ(result(policy(TagPolicy::kFull)), join_tags(with_trigger(caption.all)));
        EXPECT_EQ(result(policy(TagPolicy::kNoTraits)), join_tags(with_trigger(caption.no_traits)));
        EXPECT_EQ(result(policy(TagPolicy::kWhitelist)), join_tags(with_trigger(caption.bare)));
        EXPECT_EQ(result(no_clothes), join_tags(with_trigger(caption.bare)));
        EXPECT_EQ(result(policy(TagPolicy::kNone)), "");
    }
}

TEST(TagPolicy, UnknownTagsNeverGo) {
    const TagClasses classes;
    for (const char* tag : {"zorblax",
                            "flibber hair",
                            "qwertz eyes",
                            "blue sky",
                            "breast pocketed",
                            "bow (weapon)",
                            "eye of horus",
                            "hair salon",
                            "tail light"}) {
        EXPECT_NE(classes.class_of(tag), TagClass::kTraits) << tag;
        EXPECT_EQ(apply_edits({"a b", tag}, policy(TagPolicy::kWhitelist), classes),
                  (std::vector<std::string>{"mika", "a b", tag}));
    }
}

TEST(TagPolicy, TheGuidesOwnExamples) {
    const TagClasses classes;
    const auto all = [&](TagClass wanted, std::initializer_list<const char*> tags) {
        for (const char* tag : tags) EXPECT_EQ(classes.class_of(tag), wanted) << tag;
    };
    all(TagClass::kTraits, {"blonde hair", "breasts", "twintails", "red eyes"});
    all(TagClass::kClothing,
        {"uniform", "miniskirt", "swimsuit", "hat", "pantyhose", "torn clothes"});
    all(TagClass::kCount, {"1girl", "solo", "2girls", "multiple girls"});
    all(TagClass::kAction, {"standing", "sitting", "lying", "holding", "arms up"});
    all(TagClass::kView, {"looking at viewer", "looking sideways"});
    all(TagClass::kExpression, {"smile", "tsurime", ":d"});
    all(TagClass::kBackground,
        {"indoors", "night", "snow", "chair", "simple background", "white background"});
    all(TagClass::kPicture, {"full body", "upper body", "close up"});
}

TEST(TagPolicy, UsersRulesGoFirst) {
    TagClasses classes;
    classes.add_user_rules("# mine\nlong hair = other\n*scarf = traits\nzorp* = clothing\n", "f");
    EXPECT_EQ(classes.class_of("long_hair"), TagClass::kOther);
    EXPECT_EQ(classes.class_of("red scarf"), TagClass::kTraits);
    EXPECT_EQ(classes.class_of("zorp boots"), TagClass::kClothing);
    EXPECT_EQ(classes.class_of("short hair"), TagClass::kTraits);
    EXPECT_THROW(classes.add_user_rules("long hair = hairy", "f"), Error);
    EXPECT_THROW(classes.add_user_rules("long hair", "f"), Error);
    EXPECT_THROW(classes.add_user_rules("* = traits", "f"), Error);
    EXPECT_THROW(classes.add_user_rules("** = traits", "f"), Error);
}

TEST(TagPolicy, OwnWhitelistAndKeepTokens) {
    const TagClasses classes;
    TagEdits edits = policy(TagPolicy::kWhitelist);
    edits.whitelist = {"hat", "*eyes"};
    EXPECT_EQ(join_tags(apply_edits({"hat", "red eyes", "long hair", "skirt"}, edits, classes)),
              "mika, hat, red eyes");
    EXPECT_FALSE(needs_keep_tokens(TagPolicy::kFull));
    EXPECT_TRUE(needs_keep_tokens(TagPolicy::kNoTraits));
    EXPECT_TRUE(needs_keep_tokens(TagPolicy::kWhitelist));
}

TEST(TagEdits, AddRemoveReplaceSortEscape) {
    const TagClasses classes;
    const auto result = [&](const char* caption, const TagEdits& edits) {
        return join_tags(apply_edits(split_tags(caption), edits, classes));
    };
    TagEdits edits;
    edits.add = {"mika"};
    EXPECT_EQ(result("solo, Mika, smile,, ", edits), "mika, solo, smile");
    edits = {};
    edits.remove = {"long_hair", "*background"};
    EXPECT_EQ(result("mika, long hair, white background, solo", edits), "mika, solo");
    edits.remove = {"*", "*ol*"};
    EXPECT_EQ(result("mika, *, solo", edits), "mika");
    edits = {};
    edits.replace = {{"grin", "smile"}, {"solo", ""}};
    edits.dedupe = true;
    EXPECT_EQ(result("mika, grin, smile, solo", edits), "mika, smile");
    edits = {};
    edits.sort = true;
    EXPECT_EQ(result("mika, solo, 1girl, bow", edits), "mika, 1girl, bow, solo");
    edits = {};
    edits.escape_brackets = true;
    EXPECT_EQ(result("a (b), c \\(d\\)", edits), "a \\(b\\), c \\(d\\)");
    EXPECT_EQ(result("^_^, long_hair", TagEdits{}), "^_^, long_hair");
}

TEST(TagEdits, RenamedTriggersKeepTheirBrackets) {
    const TagClasses classes;
    TagEdits edits;
    edits.rename_first = TagRename{"King George V", "King George V (uniform)"};
    EXPECT_EQ(join_tags(apply_edits({"king_george_v", "solo", "king george v"}, edits, classes)),
              "King George V (uniform), solo, king george v");
    edits.escape_brackets = true;
    EXPECT_EQ(join_tags(apply_edits({"King George V"}, edits, classes)),
              "King George V \\(uniform\\)");
}

TEST(TagStatistics, CountsAndCompanions) {
    TagStatistics statistics;
    statistics.add({"a", "b", "a"});
    statistics.add({"b", "c"});
    const auto rows = statistics.rows(1);
    ASSERT_EQ(rows.size(), 3U);
    EXPECT_EQ(rows[0].tag, "b");
    EXPECT_EQ(rows[0].count, 2);
    EXPECT_EQ(rows[0].with.front().second, 1);
    EXPECT_EQ(rows[1].count, 1);
}

}  // namespace
}  // namespace lora::tools

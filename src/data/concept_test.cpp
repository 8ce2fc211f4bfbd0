#include "data/concept.h"

#include <gtest/gtest.h>

namespace lora::data {
namespace {

// Requirements M110 to M113, M116, M155 and table A+ 2.
TEST(Concept, TheGuidesNames) {
    const auto read = [](std::string_view name) {
        return read_concept(name, FolderScheme::kGuide);
    };
    EXPECT_EQ(read("Graf"), (ConceptName{"Graf", "", "Graf"}));
    EXPECT_EQ(read("Kamisato_Ayaka"), (ConceptName{"Kamisato Ayaka", "", "Kamisato Ayaka"}));
    EXPECT_EQ(read("miku 1girl"), (ConceptName{"miku", "1girl", "miku 1girl"}));
    EXPECT_EQ(read("bikini swimsuit"), (ConceptName{"bikini", "swimsuit", "bikini swimsuit"}));
    EXPECT_EQ(read("A_B C"), (ConceptName{"A B", "C", "A B C"}));
    EXPECT_EQ(read("King_George_V_(uniform)").trigger, "King George V (uniform)");
    EXPECT_EQ(read("初音_未來 女孩"), (ConceptName{"初音 未來", "女孩", "初音 未來 女孩"}));
    EXPECT_EQ(read(" girl"), (ConceptName{"girl", "", "girl"}));
    EXPECT_EQ(read(""), (ConceptName{"", "", ""}));
}

TEST(Concept, AClassBehindTheLastUnderscoreOnlySorts) {
    const auto read = [](std::string_view name) {
        return read_concept(name, FolderScheme::kClassSuffix);
    };
    EXPECT_EQ(read("miku_dress"), (ConceptName{"miku", "dress", "miku"}));
    EXPECT_EQ(read("Kamisato_Ayaka_dress"),
              (ConceptName{"Kamisato Ayaka", "dress", "Kamisato Ayaka"}));
    EXPECT_EQ(read("miku"), (ConceptName{"miku", "", "miku"}));
}

TEST(Concept, LiteralIsWhatSdScriptsTakes) {
    const auto read = [](std::string_view name) {
        return read_concept(name, FolderScheme::kLiteral);
    };
    EXPECT_EQ(read("Kamisato_Ayaka"), (ConceptName{"Kamisato_Ayaka", "", "Kamisato_Ayaka"}));
    EXPECT_EQ(read("miku 1girl"), (ConceptName{"miku 1girl", "", "miku 1girl"}));
}

TEST(Concept, AFileOfTheFolderSaysIt) {
    EXPECT_EQ(concept_of_text("Ayaka, kimono \r\n 1girl\nmore"),
              (ConceptName{"Ayaka, kimono", "1girl", "Ayaka, kimono 1girl"}));
    EXPECT_EQ(concept_of_text("zorp"), (ConceptName{"zorp", "", "zorp"}));
}

TEST(Concept, TriggersAreFoundAsWords) {
    EXPECT_TRUE(names_trigger("1girl, Miku, smile", "miku"));
    EXPECT_TRUE(names_trigger("a photo of miku", "miku"));
    EXPECT_TRUE(names_trigger("(miku:1.2)", "miku"));
    EXPECT_FALSE(names_trigger("mikus, amiku, 1miku", "miku"));
    EXPECT_TRUE(names_trigger("kamisato ayaka, smile", "Kamisato Ayaka"));
    EXPECT_FALSE(names_trigger("", "miku"));
    EXPECT_TRUE(names_trigger("anything", ""));
}

TEST(Concept, TheTriggerGoesInFrontOfEveryLine) {
    EXPECT_EQ(with_trigger("a, b", "miku", ","), "miku, a, b");
    EXPECT_EQ(with_trigger("a\nb", "miku", ";"), "miku; a\nmiku; b");
    EXPECT_EQ(with_trigger("", "miku", ","), "miku");
}

}  // namespace
}  // namespace lora::data

// The guide's three ways to use sfw and nsfw pictures.
#include "tools/data_mix.h"

#include <fmt/format.h>

#include "base/error.h"
#include "tools/file_changes.h"
#include "tools/internal/test_folder.h"

namespace lora::tools {
namespace {

int64_t six(int64_t /*images*/) { return 6; }

class DataMixTest : public internal::FolderTest {
protected:
    void SetUp() override {
        FolderTest::SetUp();
        for (int i = 0; i < 20; ++i)
            pic(fmt::format("src/sfw/uniform/u{:02}", i), "smile, uniform");
        for (int i = 0; i < 3; ++i) pic(fmt::format("src/sfw/swimsuit/deep/s{}", i), "beach, mika");
        for (int i = 0; i < 9; ++i) pic(fmt::format("src/nsfw/nude/n{}", i), "nude");
        pic("src/nsfw/sex/x0", "sex");
        draw("src/sfw/loose.png", internal::plain_picture(4, 4, 1));
    }
    void pic(const std::string& stem, const std::string& caption) const {
        put(stem + ".png", "bytes of " + stem);
        put(stem + ".txt", caption);
    }
    [[nodiscard]] MixOptions options(MixUse use) const {
        MixOptions out;
        out.source = at("src");
        out.to = at("train");
        out.use = use;
        out.trigger = "mika";
        return out;
    }
    [[nodiscard]] std::string text(const std::string& name) const {
        return read_text_file(at("train/" + name));
    }
};

TEST_F(DataMixTest, ActsApartTheRestTogether) {
    const auto before = every_byte();
    MixOptions asked = options(MixUse::kTogether);
    asked.folder_tags = parse_folder_tags("# tags\nsfw/uniform = mika (uniform), 1girl\r\n", "t");
    const MixReport report = mix_data(asked, six);
    std::vector<std::string> folders;
    for (const MixFolder& folder : report.folders) folders.push_back(folder.path);
    EXPECT_EQ(folders,
              (std::vector<std::string>{
                  "6_mika", "6_mika_nsfw", "6_mika_sex", "6_mika_swimsuit", "6_mika_uniform"}));
    EXPECT_EQ(report.folders[1].nsfw, 9);
    EXPECT_EQ(report.folders[2].nsfw, 1);
    EXPECT_EQ(text("6_mika_uniform/u00.txt"), "mika, mika (uniform), 1girl, smile, uniform");
    EXPECT_EQ(text("6_mika_swimsuit/deep_s1.txt"), "mika, beach");  // the tree, and no double
    EXPECT_EQ(text("6_mika_swimsuit/deep_s1.png"), "bytes of src/sfw/swimsuit/deep/s1");
    EXPECT_EQ(text("6_mika/loose.txt"), "mika");
    EXPECT_EQ(text("6_mika_nsfw/_concept.txt"), "mika\n");
    EXPECT_EQ(mix_data(asked, six).copied, 0);  // the same again
    undo_changes(at("train"));
    remove_directory(at("train"));
    EXPECT_TRUE(every_byte() == before);
}

TEST_F(DataMixTest, EachApart) {
    const MixReport report = mix_data(options(MixUse::kApart), six);
    EXPECT_TRUE(path_exists(at("train/sfw/6_mika_uniform/u00.png")));
    EXPECT_TRUE(path_exists(at("train/nsfw/6_mika_nude/n0.png")));
    EXPECT_TRUE(path_exists(at("train/nsfw/6_mika_sex/x0.png")));
    EXPECT_EQ(report.folders.size(), 5U);
}

TEST_F(DataMixTest, ASmallShareBlended) {
    MixOptions asked = options(MixUse::kBlend);
    const MixReport report = mix_data(asked, six);
    ASSERT_EQ(report.folders.size(), 1U);
    EXPECT_EQ(report.folders[0].sfw, 24);
    EXPECT_EQ(report.folders[0].nsfw, 3);  // 15% of 24
    EXPECT_NEAR(report.folders[0].nsfw_share(), 3.0 / 27, 1e-12);
    EXPECT_EQ(report.left_out, 7);
    asked.share = 0.25;
    EXPECT_THROW((void)mix_data(asked, six), Error);
}

TEST_F(DataMixTest, WhatIsWrongIsSaidBeforeAnythingIsWritten) {
    put("train/6_mika_uniform/u05.png", "mine");
    EXPECT_THROW((void)mix_data(options(MixUse::kTogether), six), Error);
    EXPECT_EQ(text("6_mika_uniform/u05.png"), "mine");
    EXPECT_FALSE(path_exists(at("train/6_mika_uniform/u04.png")));
    EXPECT_FALSE(path_exists(at("train/.lora-undo")));
    MixOptions asked = options(MixUse::kTogether);
    asked.trigger = " ";
    EXPECT_THROW((void)mix_data(asked, six), Error);
    asked = options(MixUse::kTogether);
    asked.source = at("train");
    EXPECT_THROW((void)mix_data(asked, six), Error);
    for (const char* bad : {"sfw/a", "= x", "sfw/a = ,", "\n\nx"}) {
        EXPECT_THROW((void)parse_folder_tags(bad, "t"), Error) << bad;
    }
}

TEST_F(DataMixTest, PicturesOfOneNameKeepApart) {
    pic("src/nsfw/other/n0", "other");
    (void)mix_data(options(MixUse::kTogether), six);
    EXPECT_EQ(text("6_mika_nsfw/n0.png"), "bytes of src/nsfw/nude/n0");
    EXPECT_EQ(text("6_mika_nsfw/nsfw_other_n0.png"), "bytes of src/nsfw/other/n0");
}

}  // namespace
}  // namespace lora::tools

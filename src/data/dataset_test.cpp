#include "data/dataset.h"

#include <gtest/gtest.h>

#include "base/attempt.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "data/internal/caption_reader.h"
#include "io/png.h"

namespace lora::data {
namespace {

class DatasetTest : public testing::Test {
protected:
    void SetUp() override {
        root_ = testing::TempDir() + "訓練 data " +
                testing::UnitTest::GetInstance()->current_test_info()->name();
        remove_directory(root_);
        make_directories(root_);
    }
    void TearDown() override { remove_directory(root_); }

    // Paths below the root, folders made as needed.
    void picture(const std::string& name, int64_t width = 8, int64_t height = 6) const {
        io::Image image;
        image.width_px = width;
        image.height_px = height;
        image.rgb.resize(static_cast<size_t>(width * height * 3), 100);
        make_directories(parent_path(join_path(root_, name)));
        io::write_png(join_path(root_, name), image);
    }
    void text(const std::string& name, std::string_view content) const {
        make_directories(parent_path(join_path(root_, name)));
        write_file_atomically(join_path(root_, name), content);
    }
    [[nodiscard]] DatasetOptions options() const {
        return {.train_data_dir = join_path(root_, "train"), .caption_extension = "txt"};
    }
    [[nodiscard]] Error error_of(const DatasetOptions& options) const {
        const auto error = attempt([&] { static_cast<void>(scan_dataset(options)); });
        return error ? *error : Error(ErrorCode::kInternal, "no error");
    }

    std::string root_;
};

int64_t count_about(const Diagnostics& list, std::string_view word) {
    int64_t count = 0;
    for (const Diagnostic& d : list) {
        count += d.text.find(word) != std::string::npos || d.place.find(word) != std::string::npos
                     ? 1
                     : 0;
    }
    return count;
}

TEST(FolderName, EqualsEveryGoldenName) {
    const std::string path = std::string(LORA_SOURCE_DIR) + "/tests/golden/spec/folder_names.json";
    const Json golden = parse_json(read_text_file(path), path);
    ASSERT_GT(golden.at("folders").size(), 40U);
    for (const Json& row : golden.at("folders")) {
        const auto name = row.at("name").get<std::string>();
        const auto parsed = parse_folder_name(name);
        if (row.contains("repeats")) {
            ASSERT_TRUE(parsed) << name;
            EXPECT_EQ(parsed->repeats, row.at("repeats").get<int64_t>()) << name;
            EXPECT_EQ(parsed->concept_name, row.at("concept").get<std::string>()) << name;
        } else if (row.at("is_directory").get<bool>()) {
            // A message is printed where no number was found, none where it is below 1.
            EXPECT_EQ(parsed.has_value(), !row.at("message_printed").get<bool>()) << name;
            EXPECT_LT(parsed ? parsed->repeats : 0, 1) << name;
        }
    }
    EXPECT_EQ(parse_folder_name("99999999999999999999_x")->repeats, 1000000000);
    EXPECT_FALSE(parse_folder_name(""));
    EXPECT_FALSE(parse_folder_name("+_x"));
}

TEST(ImageName, ExtensionsAllLowerOrAllUpper) {
    for (const char* name : {"a.png", "a.JPG", "a.jpeg", "a.WEBP", "x.y.bmp", "貓.png"}) {
        EXPECT_TRUE(is_image_name(name)) << name;
    }
    for (const char* name : {"a.Jpg", "a.txt", ".png", ".a.png", "png", "", "a.png.txt", "a.gif"}) {
        EXPECT_FALSE(is_image_name(name)) << name;
    }
}

TEST(CaptionFile, CandidatesSplitTheWholePath) {
    using internal::caption_candidates;
    EXPECT_EQ(caption_candidates("d/a.png", ".txt"), (std::vector<std::string>{"d/a.txt"}));
    EXPECT_EQ(caption_candidates("d/a_1_2_3_4.png", ".txt"),
              (std::vector<std::string>{"d/a_1_2_3_4.txt", "d/a.txt"}));
    EXPECT_EQ(caption_candidates("5_c/a_1_2_3.png", ".txt"),
              (std::vector<std::string>{"5_c/a_1_2_3.txt", "5.txt"}));
    EXPECT_EQ(caption_candidates("_1_2_3.png", ".txt").size(), 1U);
    EXPECT_EQ(caption_candidates("____.png", ".txt"),
              (std::vector<std::string>{"____.txt", ".txt"}));
}

TEST(CaptionFile, FirstLineOrAllLines) {
    using internal::caption_of_text;
    EXPECT_EQ(caption_of_text("  a, b \r\nsecond", false), "a, b");
    EXPECT_EQ(caption_of_text("\nsecond", false), "");
    EXPECT_EQ(caption_of_text("a\r\n\r\n b \rc\n", true), "a\nb\nc");
    EXPECT_EQ(caption_of_text("", true), "");
}

TEST_F(DatasetTest, ReadsPicturesSizesCaptionsAndTags) {
    picture("train/2_cat/b.png", 30, 20);
    picture("train/2_cat/a.png", 10, 40);
    picture("train/10_my dog/x.png");
    text("train/2_cat/a.txt", "Cat, red, cat\nignored");
    text("train/2_cat/b.txt", "cat,  Blue ,");
    const ScanResult scan = scan_dataset(options());
    const Dataset& d = scan.dataset;
    ASSERT_EQ(d.images.size(), 3U);
    EXPECT_EQ(d.images[0].caption, "my dog");
    EXPECT_EQ(d.images[0].repeats, 10);
    EXPECT_EQ(d.images[1].caption, "Cat, red, cat");
    EXPECT_EQ(d.images[1].size, (ImageSize{10, 40}));
    EXPECT_EQ(d.images[2].size, (ImageSize{30, 20}));
    EXPECT_EQ(d.num_train_images, 14);
    ASSERT_EQ(d.folders.size(), 2U);
    EXPECT_EQ(d.folders[1].name, "2_cat");
    EXPECT_EQ(d.folders[1].num_images, 2);
    EXPECT_EQ(d.folders[1].tag_counts, (TagCounts{{"cat", 3}, {"red", 1}, {"blue", 1}}));
    EXPECT_EQ(d.folders[0].tag_counts, (TagCounts{{"my dog", 1}}));
    EXPECT_EQ(count_about(scan.diagnostics, "x.png"), 1);
    EXPECT_EQ(scan.diagnostics.size(), 1U);
}

TEST_F(DatasetTest, OddCaptionFilesAreReadWithAWarning) {
    for (const char* name : {"a", "b", "c", "d", "e"})
        picture(std::string("train/1_kon/") + name + ".png");
    text("train/1_kon/a.txt", "");
    text("train/1_kon/b.txt",
         std::string_view("\xFF\xFE"
                          "h\0i\0",
                          6));
    text("train/1_kon/c.txt",
         "\xEF\xBB\xBF"
         "bom, x");
    text("train/1_kon/d.txt", "\nblank first line");
    text("train/1_kon/e.txt", "broken \xFF\xC0 here");
    const ScanResult scan = scan_dataset(options());
    EXPECT_EQ(scan.dataset.images[0].caption, "kon");
    EXPECT_EQ(scan.dataset.images[1].caption, "hi");
    EXPECT_EQ(scan.dataset.images[2].caption, "bom, x");
    EXPECT_EQ(scan.dataset.images[3].caption, "");
    EXPECT_EQ(count_about(scan.diagnostics, "a.txt"), 1);
    EXPECT_EQ(count_about(scan.diagnostics, "b.txt"), 1);
    EXPECT_EQ(count_about(scan.diagnostics, "c.txt"), 0);
    EXPECT_EQ(count_about(scan.diagnostics, "e.txt"), 1);
    EXPECT_FALSE(has_errors(scan.diagnostics));
}

TEST_F(DatasetTest, BrokenPicturesAmongGoodOnesAreLeftOut) {
    picture("train/1_a/good.png");
    text("train/1_a/text.png", "this is text");
    picture("train/1_a/cut.png", 60, 60);
    const std::string cut = join_path(root_, "train/1_a/cut.png");
    const std::string whole = read_text_file(cut);
    write_file_atomically(cut, std::string_view(whole).substr(0, 60));
    const ScanResult scan = scan_dataset(options());
    EXPECT_EQ(scan.dataset.images.size(), 1U);
    EXPECT_EQ(count_about(scan.diagnostics, "text.png"), 1);
    EXPECT_EQ(count_about(scan.diagnostics, "cut.png"), 1);
    DatasetOptions headers_only = options();
    headers_only.check_pixels = false;
    EXPECT_EQ(scan_dataset(headers_only).dataset.images.size(), 2U);
}

TEST_F(DatasetTest, FoldersThatDoNotCountAreNamed) {
    picture("train/1_a/p.png");
    picture("train/girl/p.png");
    picture("train/0_off/p.png");
    make_directories(join_path(root_, "train/3_empty"));
    const ScanResult scan = scan_dataset(options());
    EXPECT_EQ(scan.dataset.folders.size(), 1U);
    EXPECT_EQ(count_about(scan.diagnostics, "\"girl\""), 1);
    EXPECT_EQ(count_about(scan.diagnostics, "3_empty"), 2 - 1);
    EXPECT_EQ(count_about(scan.diagnostics, "0_off"), 0);
}

TEST_F(DatasetTest, NothingUsableIsOneClearError) {
    EXPECT_EQ(error_of(options()).code(), ErrorCode::kIo);
    make_directories(join_path(root_, "train"));
    EXPECT_EQ(error_of(options()).code(), ErrorCode::kData);
    text("train/1_a/text.png", "this is text");
    const Error broken = error_of(options());
    EXPECT_EQ(broken.code(), ErrorCode::kData);
    EXPECT_NE(broken.message().find("text.png"), std::string::npos);
}

TEST_F(DatasetTest, AConceptFolderInsteadOfItsParentIsExplained) {
    picture("train/5_zorp/p.png");
    DatasetOptions inner = options();
    inner.train_data_dir = join_path(root_, "train/5_zorp");
    const Error error = error_of(inner);
    EXPECT_EQ(error.code(), ErrorCode::kData);
    EXPECT_NE(error.message().find("concept folder"), std::string::npos);
    EXPECT_EQ(error.hint(), "give " + join_path(root_, "train"));
    inner.train_data_dir += "/";
    EXPECT_EQ(error_of(inner).hint(), "give " + join_path(root_, "train"));
}

TEST_F(DatasetTest, RegularisationRepeatsMatchTheTrainingOnes) {
    for (const char* name : {"a", "b", "c"}) picture(std::string("train/4_x/") + name + ".png");
    for (const char* name : {"r", "s", "t", "u", "v"})
        picture(std::string("reg/1_y/") + name + ".png");
    DatasetOptions with_reg = options();
    with_reg.reg_data_dir = join_path(root_, "reg");
    with_reg.prior_loss_weight = 0.25;
    const Dataset few = scan_dataset(with_reg).dataset;
    ASSERT_EQ(few.images.size(), 8U);
    EXPECT_EQ(few.num_reg_images, 5);
    const std::vector<int64_t> repeats = {3, 3, 2, 2, 2};
    for (size_t i = 0; i < 5; ++i) {
        EXPECT_EQ(few.images[3 + i].repeats, repeats[i]);
        EXPECT_EQ(few.images[3 + i].loss_weight, 0.25F);
        EXPECT_TRUE(few.images[3 + i].is_reg);
    }
    EXPECT_EQ(few.images[0].loss_weight, 1.0F);

    for (const char* name : {"m", "n"}) picture(std::string("reg/10_z/") + name + ".png");
    const Dataset many = scan_dataset(with_reg).dataset;
    EXPECT_EQ(many.num_reg_images, 25);
    // 10 and 10 reach 12 of training; the folder 10_z comes first by name, 1_y after it.
    ASSERT_EQ(many.images.size(), 5U);
    EXPECT_EQ(many.images[3].repeats, 10);
    EXPECT_EQ(many.folders.size(), 3U);
}

}  // namespace
}  // namespace lora::data

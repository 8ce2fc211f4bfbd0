// A folder with planted mistakes: each is found by kind and file, with a fix; a clean one is quiet.
#include "tools/data_check.h"

#include <filesystem>
#include <map>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "data/image_transform.h"
#include "io/png.h"

namespace lora::tools {
namespace {

constexpr int64_t kSide = 160;

class DataCheckTest : public ::testing::Test {
protected:
    void SetUp() override {
        const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
        folder_ =
            from_path(std::filesystem::temp_directory_path()) + "/lora_data_check_" + info->name();
        remove_directory(folder_);
        make_directories(folder_);
    }
    void TearDown() override { remove_directory(folder_); }

    // Random blocks of colour, sharp at their borders.
    static io::Image picture(uint64_t seed, int64_t width = kSide, int64_t height = kSide) {
        io::Image small;
        small.width_px = 12;
        small.height_px = 12;
        uint64_t state = seed * 7919 + 1;
        for (int i = 0; i < 3 * 144; ++i) {
            state = state * 6364136223846793005ULL + 1442695040888963407ULL;
            small.rgb.push_back(static_cast<uint8_t>(state >> 56));
        }
        io::Image out;
        out.width_px = width;
        out.height_px = height;
        for (int64_t y = 0; y < height; ++y) {
            for (int64_t x = 0; x < width; ++x) {
                const int64_t block = y * 12 / height * 12 + x * 12 / width;
                for (int64_t c = 0; c < 3; ++c) {
                    out.rgb.push_back(small.rgb[static_cast<size_t>(3 * block + c)]);
                }
            }
        }
        return out;
    }
    void put(const std::string& name, std::string_view text) const {
        const std::string path = folder_ + "/" + name;
        make_directories(parent_path(path));
        write_file_atomically(path, text);
    }
    void draw(const std::string& name, const io::Image& image) const {
        make_directories(parent_path(folder_ + "/" + name));
        io::write_png(folder_ + "/" + name, image);
    }
    // A folder of good pictures with good captions.
    void good(const std::string& name, int count, uint64_t seed) const {
        for (int i = 0; i < count; ++i) {
            const std::string stem = fmt::format("{}/p{}", name, i);
            draw(stem + ".png", picture(seed + static_cast<uint64_t>(i)));
            put(stem + ".txt", fmt::format("mika, {}, {}", kTags[i % 4], kPlaces[i % 3]));
        }
    }
    // Parts of FortyMistakes.
    void plant_folders() const;
    void plant_pictures() const;
    void plant_captions() const;
    [[nodiscard]] CheckReport check() const { return check_data({.folder = folder_}, classes_); }
    [[nodiscard]] std::map<std::string, std::string> every_byte() const {
        std::map<std::string, std::string> out;
        for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_)) {
            const std::string path = from_path(entry.path());
            out[path] = entry.is_regular_file() ? read_text_file(path) : "";
        }
        return out;
    }

    static constexpr const char* kTags[] = {"smile", "sitting", "hat", "standing"};
    static constexpr const char* kPlaces[] = {"outdoors", "indoors", "white background"};
    std::string folder_;
    TagClasses classes_;
};

bool has(const CheckReport& report, const std::string& kind, const std::string& ending) {
    for (const CheckFinding& finding : report.findings) {
        if (finding.kind == kind && finding.path.ends_with(ending)) {
            return !finding.message.empty() && !finding.fix.empty();
        }
    }
    return false;
}

std::string all_of(const CheckReport& report) {
    std::string out;
    for (const CheckFinding& finding : report.findings) {
        if (finding.severity == Severity::kNote) continue;
        out += fmt::format("{} {} {}\n", finding.kind, finding.path, finding.message);
    }
    return out;
}

TEST_F(DataCheckTest, TheDemoFolderIsQuiet) {
    const CheckReport report = check_data({.folder = LORA_SOURCE_DIR "/assets/demo"}, classes_);
    EXPECT_EQ(all_of(report), "");
    EXPECT_EQ(report.images, 16);
}

TEST_F(DataCheckTest, AGoodFolderIsQuiet) {
    good("5_mika", 12, 1);
    EXPECT_EQ(all_of(check()), "");
}

TEST_F(DataCheckTest, AFolderMaySayItsConceptItself) {
    good("5_mika", 12, 1);
    std::filesystem::rename(to_path(folder_ + "/5_mika"), to_path(folder_ + "/5_smile"));
    EXPECT_TRUE(has(check(), "trigger_collision", "5_smile"));
    put("5_smile/_concept.txt", "Mika\n1girl\n");
    EXPECT_EQ(all_of(check()), "");
    EXPECT_EQ(check().folders.at(0).trigger, "mika");
}

TEST_F(DataCheckTest, TheWeakestPicturesAndOtherStyles) {
    good("5_mika", 12, 1);
    EXPECT_FALSE(has(check(), "quality", ""));
    EXPECT_FALSE(has(check(), "style_outlier", ""));
    io::Image noisy = picture(50);
    uint64_t state = 1;
    for (uint8_t& value : noisy.rgb) {
        state = state * 6364136223846793005ULL + 1442695040888963407ULL;
        value = static_cast<uint8_t>(value / 2 + 40 + (state >> 58));  // 64 levels
    }
    draw("5_mika/noisy.png", noisy);
    put("5_mika/noisy.txt", "mika, smile, outdoors, monochrome");
    const CheckReport report = check();
    EXPECT_EQ(all_of(report), "");  // notes alone
    EXPECT_TRUE(has(report, "quality", folder_));
    EXPECT_TRUE(has(report, "style_outlier", "/noisy.png"));
    EXPECT_TRUE(has(report, "style_outlier", "/noisy.txt"));
    const CheckReport all =
        check_data({.folder = folder_, .trained_px = kSide, .list_quality = true}, classes_);
    std::vector<const CheckFinding*> rows;
    for (const CheckFinding& finding : all.findings) {
        if (finding.kind == "quality") rows.push_back(&finding);
    }
    ASSERT_EQ(rows.size(), 13U);
    EXPECT_TRUE(rows.front()->path.ends_with("/noisy.png"));
    EXPECT_NE(rows.front()->message.find("noise 0."), std::string::npos);
    EXPECT_EQ(rows.back()->message, "quality 100 of 100: nothing found wrong");
}

TEST_F(DataCheckTest, ACharactersNameAsConceptToo) {
    good("5_mika", 6, 1);
    EXPECT_FALSE(has(check(), "concept_name", "5_mika"));
    std::filesystem::rename(to_path(folder_ + "/5_mika"), to_path(folder_ + "/5_figure"));
    EXPECT_TRUE(has(check(), "concept_name", "5_figure"));
    EXPECT_EQ(all_of(check()), "");
    put("5_figure/p0.txt", "figure, mika, smile, outdoors");
    EXPECT_FALSE(has(check(), "concept_name", "5_figure"));
}

struct Planted {
    const char* kind;
    const char* path;
};

constexpr Planted kPlanted[] = {
    {"balance", "/5_rika"},
    {"zero_repeats", "/0_none"},
    {"no_trigger", "/5_"},
    {"no_number", "/yuki"},
    {"wrong_level", "/sfw"},
    {"wrong_level", "/loose.png"},
    {"nested_folder", "/5_mika/inner"},
    {"empty_folder", "/5_empty"},
    {"views", "/40_long hair"},
    {"trigger_collision", "/40_long hair"},
    {"detail_share", "/40_long hair"},
    {"unreadable", "/broken.png"},
    {"unreadable", "/nothing.png"},
    {"unreadable", "/cut.png"},
    {"duplicate", "/twin.png"},
    {"near_duplicate", "/p2.png"},
    {"tiny", "/tiny.png"},
    {"blurred", "/blurred.png"},
    {"blank", "/blank.png"},
    {"extreme_shape", "/wide.png"},
    {"unsupported", "/moving.gif"},
    {"odd_extension", "/Odd.Png"},
    {"orphan_caption", "/orphan.txt"},
    {"caption_extension", "/p2.caption"},
    {"hostile_name", "/con.png"},
    {"hostile_name", "/bad?.png"},
    {"hostile_name", "/-x.png"},
    {"shared_caption", "/same.png"},
    {"no_caption", "/tiny.png"},
    {"broken_link", "/gone.png"},
    {"symlink", "/link.png"},
    {"empty_caption", "/q01.txt"},
    {"encoding", "/q02.txt"},
    {"encoding", "/q03.txt"},
    {"trigger_not_first", "/q04.txt"},
    {"trigger_missing", "/q05.txt"},
    {"duplicate_tag", "/q06.txt"},
    {"misspelt_tag", "/q07.txt"},
    {"unknown_tag", "/q08.txt"},
    {"untagged_background", "/q09.txt"},
    {"wide_comma", "/q10.txt"},
    {"several_lines", "/q11.txt"},
    {"contradiction", "/q12.txt"},
    {"long_caption", "/q13.txt"},
    {"control_character", "/q14.txt"},
    {"always_together", "/5_mika"},
};
static_assert(std::size(kPlanted) >= 40);

constexpr const char* kMika = "5_mika/";

void DataCheckTest::plant_folders() const {
    good("5_mika", 12, 1);
    good("5_rika", 2, 100);  // balance
    good("0_none", 1, 200);
    good("5_", 1, 210);
    good("yuki", 1, 220);
    good("sfw/5_deep", 1, 230);
    good("5_mika/inner", 1, 240);
    good("40_long hair", 8, 250);
    make_directories(folder_ + "/5_empty");
    draw("loose.png", picture(300));
    for (int i = 0; i < 4; ++i) {
        draw(fmt::format("40_long hair/d{}.png", i), picture(500 + static_cast<uint64_t>(i)));
        put(fmt::format("40_long hair/d{}.txt", i), "foot focus, indoors");
    }
}

void DataCheckTest::plant_pictures() const {
    const std::string m = kMika;
    put(m + "broken.png", "no picture");
    put(m + "nothing.png", "");
    const std::string whole = read_text_file(folder_ + "/" + m + "p1.png");
    put(m + "cut.png", whole.substr(0, whole.size() / 2));
    put(m + "twin.png", read_text_file(folder_ + "/" + m + "p0.png"));
    io::Image like = picture(3);
    for (uint8_t& value : like.rgb) value = static_cast<uint8_t>(value / 2 + 60);
    draw(m + "like.png", like);
    draw(m + "tiny.png", picture(301, 40, 40));
    draw(m + "blurred.png", data::resize(data::resize(picture(302), {10, 10}), {kSide, kSide}));
    io::Image blank = picture(303);
    std::fill(blank.rgb.begin(), blank.rgb.end(), uint8_t{200});
    draw(m + "blank.png", blank);
    draw(m + "wide.png", picture(304, 900, 150));
    put(m + "moving.gif", "GIF89a");
    put(m + "Odd.Png", whole);
    put(m + "orphan.txt", "mika, smile, outdoors");
    put(m + "p2.caption", "mika");
    draw(m + "con.png", picture(305));
    put(m + "con.txt", "mika, smile, outdoors");
    draw(m + "bad?.png", picture(306));
    put(m + "bad?.txt", "mika, smile, outdoors");
    draw(m + "-x.png", picture(307));
    put(m + "-x.txt", "mika, smile, outdoors");
    draw(m + "same.png", picture(308));
    draw(m + "same.PNG", picture(309));
    put(m + "same.txt", "mika, smile, outdoors");
    std::filesystem::create_symlink("nowhere.png", to_path(folder_ + "/" + m + "gone.png"));
    std::filesystem::create_symlink("p3.png", to_path(folder_ + "/" + m + "link.png"));
}

void DataCheckTest::plant_captions() const {
    const auto caption = [&](int number, const std::string& text) {
        const std::string stem = fmt::format("{}q{:02}", kMika, number);
        draw(stem + ".png", picture(400 + static_cast<uint64_t>(number)));
        put(stem + ".txt", text);
    };
    caption(1, "");
    caption(2, std::string("\xFF\xFEm\0i\0k\0a\0,\0 \0h\0a\0t\0", 20));
    caption(3, "\xEF\xBB\xBFmika, smile, outdoors");
    caption(4, "smile, mika, outdoors");
    caption(5, "smile, hat, outdoors");
    caption(6, "mika, smile, outdoors, smile");
    caption(7, "mika, smlie, outdoors");
    caption(8, "mika, qzxvkj, outdoors");
    caption(9, "mika, smile, hat");
    caption(10, "mika\xEF\xBC\x8Csmile\xEF\xBC\x8Coutdoors");
    caption(11, "mika, smile, outdoors\nhat");
    caption(12, "mika, indoors, outdoors, smile");
    std::string longest = "mika, outdoors";
    for (int i = 0; i < 120; ++i) longest += fmt::format(", {}girls", i + 7);
    caption(13, longest);
    caption(14, "mika, outdoors, smile\x01");
    for (int i = 20; i < 24; ++i) {
        caption(i, fmt::format("mika, red scarf, wand, outdoors, {}", kTags[i % 4]));
    }
}

TEST_F(DataCheckTest, FortyMistakes) {
    plant_folders();
    plant_pictures();
    plant_captions();
    const CheckReport report = check();
    for (const Planted& planted : kPlanted) {
        EXPECT_TRUE(has(report, planted.kind, planted.path)) << planted.kind << planted.path;
    }
    EXPECT_GT(report.count(Severity::kError), 0);
    if (HasFailure()) std::puts(all_of(report).c_str());
    const std::string page = data_report_html(report, folder_);
    EXPECT_NE(page.find("data:image/png;base64,"), std::string::npos);
    EXPECT_EQ(page.find("<script"), std::string::npos);
}

TEST_F(DataCheckTest, FixAndUndoRestoreEveryByte) {
    good("5_mika", 4, 1);
    put("5_mika/p0.txt", "\xEF\xBB\xBFsmile, mika, outdoors, smile\r\nsecond line\r\n");
    put("5_mika/p1.txt", "mika\xEF\xBC\x8Csmile, hat");
    const auto before = every_byte();
    const CheckReport report = check();
    EXPECT_EQ(change_files(folder_, report.fixes), 2);
    EXPECT_EQ(read_text_file(folder_ + "/5_mika/p0.txt"),
              "mika, smile, outdoors\r\nsecond line\r\n");
    EXPECT_EQ(read_text_file(folder_ + "/5_mika/p1.txt"), "mika, smile, hat");
    EXPECT_EQ(change_files(folder_, check().fixes), 0);
    EXPECT_EQ(undo_changes(folder_).restored, 2);
    EXPECT_TRUE(every_byte() == before);
    EXPECT_THROW(undo_changes(folder_), Error);
}

TEST_F(DataCheckTest, UndoOfAnInterruptedRunAndOfFilesChangedSince) {
    put("5_a/x.txt", "one");
    put("5_a/y.txt", "two");
    put("5_a/z.txt", "three");
    const std::string long_name = std::string(246, 'n') + ".txt";  // its temporary one is cut
    const auto before = every_byte();
    change_files(folder_,
                 {{folder_ + "/5_a/x.txt", "1"},
                  {folder_ + "/5_a/y.txt", std::nullopt},
                  {folder_ + "/5_a/new.txt", "4"},
                  {folder_ + "/5_a/" + long_name, "5"}});
    // As if the run had ended before the first file, with another half-written.
    put("5_a/x.txt", "one");
    remove_file_if_exists(folder_ + "/5_a/" + long_name);
    put("5_a/y.txt.tmp-1-1", "hal");
    put("5_a/" + long_name.substr(0, 242) + ".tmp-1-2", "fou");
    EXPECT_EQ(undo_changes(folder_).restored, 2);
    EXPECT_TRUE(every_byte() == before);
    change_files(folder_, {{folder_ + "/5_a/x.txt", "1"}});
    put("5_a/x.txt", "mine");
    EXPECT_EQ(undo_changes(folder_).kept.size(), 1U);
    EXPECT_EQ(read_text_file(folder_ + "/5_a/x.txt"), "mine");
}

TEST_F(DataCheckTest, TheConceptFolderItself) {
    good("5_mika", 3, 1);
    EXPECT_TRUE(
        has(check_data({.folder = folder_ + "/5_mika/"}, classes_), "wrong_level", "5_mika"));
    EXPECT_THROW((void)check_data({.folder = folder_ + "/nothing"}, classes_), Error);
    remove_directory(folder_ + "/5_mika");
    EXPECT_TRUE(has(check(), "no_folder", folder_));
}

}  // namespace
}  // namespace lora::tools

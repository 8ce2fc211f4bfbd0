// Folders of pictures cropped, cut out, erased: what is written where, what is never overwritten,
// and that undo brings every byte back.
#include "tools/picture_edits.h"

#include "base/error.h"
#include "tools/file_changes.h"
#include "tools/internal/test_folder.h"

namespace lora::tools {
namespace {

using internal::disc_picture;
using internal::plain_picture;

class PictureEditsTest : public internal::FolderTest {
protected:
    void make_data() const {
        draw("train/6_mika 1girl/a.png", disc_picture(150).image);
        put("train/6_mika 1girl/a.txt", "mika, smile, outdoors\nmore");
        draw("train/6_mika 1girl/b.png", disc_picture(150, true).image);
        draw("train/3_rika/a.png", disc_picture(160).image);
    }
    [[nodiscard]] EditOptions options(const std::string& to = "") const {
        EditOptions out;
        out.inputs = {at("train")};
        if (!to.empty()) out.to = at(to);
        return out;
    }
    const GrabCut grab_cut_;
    const TagClasses classes_;
};

TEST_F(PictureEditsTest, CropWritesTrainingAndRegularisation) {
    make_data();
    const auto before = every_byte();
    const EditReport report =
        crop_figures(options("new"), {.reg_data_dir = at("reg"), .class_name = "1girl"}, grab_cut_);
    ASSERT_EQ(report.rows.size(), 3U);
    EXPECT_EQ(report.count(EditOutcome::kDone), 2);
    EXPECT_EQ(report.count(EditOutcome::kSkipped), 1);  // a plain background
    const io::Image cropped = io::read_image_file(at("new/6_mika 1girl/a.png"));
    // The disc is 90 across; the margin is 5% of that.
    EXPECT_NEAR(static_cast<double>(cropped.width_px), 99, 3);
    EXPECT_NEAR(static_cast<double>(cropped.height_px), 99, 3);
    EXPECT_EQ(read_text_file(at("new/6_mika 1girl/a.txt")), "mika, smile, outdoors\nmore");
    EXPECT_TRUE(path_exists(at("new/3_rika/a.png")));
    EXPECT_EQ(read_text_file(at("reg/1_1girl/a_2.png")),
              read_text_file(at("train/6_mika 1girl/a.png")));
    EXPECT_EQ(read_text_file(at("reg/1_1girl/a.png")), read_text_file(at("train/3_rika/a.png")));
    // The same again writes nothing.
    const auto after = every_byte();
    const EditReport again =
        crop_figures(options("new"), {.reg_data_dir = at("reg"), .class_name = "1girl"}, grab_cut_);
    for (const EditRow& row : again.rows) EXPECT_TRUE(row.written.empty()) << row.path;
    EXPECT_TRUE(every_byte() == after);
    undo_changes(at("new"));
    undo_changes(at("reg"));
    remove_directory(at("new"));  // the roots themselves stay
    remove_directory(at("reg"));
    EXPECT_TRUE(every_byte() == before);
}

TEST_F(PictureEditsTest, CropInPlaceByBoxAndMask) {
    make_data();
    const auto before = every_byte();
    EditOptions boxed = options();
    boxed.box = "10,20,100,80";
    EXPECT_EQ(crop_figures(boxed, {}, grab_cut_).count(EditOutcome::kDone), 3);
    EXPECT_EQ(io::read_image_file(at("train/3_rika/a.png")).width_px, 100);
    undo_changes(at("train"));
    EXPECT_TRUE(every_byte() == before);
    EditOptions masked;
    masked.inputs = {at("train/3_rika/a.png")};
    io::Image mask = plain_picture(160, 160, 0);
    for (size_t i = 0; i < 40 * 160; ++i) mask.rgb[3 * i] = 255;
    draw("masks/a.png", mask);
    masked.mask = at("masks");
    EXPECT_EQ(crop_figures(masked, {.margin = 0}, grab_cut_).count(EditOutcome::kDone), 1);
    EXPECT_EQ(io::read_image_file(at("train/3_rika/a.png")).height_px, 40);
}

TEST_F(PictureEditsTest, CropWithoutAClassForTheWholePicturesIsRefused) {
    make_data();
    EXPECT_THROW((void)crop_figures(options("new"), {.reg_data_dir = at("reg")}, grab_cut_), Error);
    EXPECT_FALSE(path_exists(at("reg")));
}

TEST_F(PictureEditsTest, CutOutAddsItsTag) {
    make_data();
    put("train/6_mika 1girl/broken.png", "no picture");
    const auto before = every_byte();
    const EditReport report =
        cut_out(options(), {.drop_background_tags = true}, grab_cut_, classes_);
    EXPECT_EQ(report.count(EditOutcome::kDone), 3);
    EXPECT_EQ(report.count(EditOutcome::kFailed), 1);
    EXPECT_EQ(read_text_file(at("train/6_mika 1girl/a.txt")),
              "mika, smile, simple background\nmore");
    // Without a caption the concept was the caption, and stays in it.
    EXPECT_EQ(read_text_file(at("train/6_mika 1girl/b.txt")), "mika 1girl, simple background");
    EXPECT_EQ(read_text_file(at("train/3_rika/a.txt")), "rika, simple background");
    EXPECT_TRUE(has_plain_edge(io::read_image_file(at("train/3_rika/a.png"))));
    undo_changes(at("train"));
    EXPECT_TRUE(every_byte() == before);
}

TEST_F(PictureEditsTest, EraseContinuesTheSurroundings) {
    io::Image image = plain_picture(100, 100, 180);
    for (size_t i = 0; i < 600; ++i) image.rgb[3 * (20 * 100 + i % 30 + 100 * (i / 30)) + 1] = 0;
    draw("5_a/x.png", image);
    put("5_a/x.txt", "a, signature");
    const auto before = every_byte();
    EditOptions options;
    options.inputs = {at("5_a")};
    options.box = "0,20,30,20";
    EXPECT_EQ(erase(options, {}).count(EditOutcome::kDone), 1);
    EXPECT_EQ(io::read_image_file(at("5_a/x.png")).rgb, plain_picture(100, 100, 180).rgb);
    EXPECT_EQ(read_text_file(at("5_a/x.txt")), "a, signature");
    undo_changes(at("5_a"));
    EXPECT_TRUE(every_byte() == before);
    options.box = "0,0,60,60";
    EXPECT_NE(erase(options, {}).rows.at(0).note.find("36%"), std::string::npos);  // M187
    options.box.clear();
    EXPECT_THROW((void)erase(options, {}), Error);
}

TEST_F(PictureEditsTest, UnevenSurroundingsAreSaid) {
    draw("5_a/x.png", disc_picture(150).image);
    EditOptions options;
    options.inputs = {at("5_a")};
    options.box = "5,5,20,10";
    options.dry_run = true;
    const auto before = every_byte();
    EXPECT_NE(erase(options, {}).rows.at(0).note.find("signature"), std::string::npos);  // M186
    EXPECT_TRUE(every_byte() == before);  // a dry run
}

TEST_F(PictureEditsTest, NothingIsOverwritten) {
    draw("5_a/x.png", disc_picture(150).image);
    const std::string png = read_text_file(at("5_a/x.png"));
    put("5_a/x.jpg", png);  // decoded by content
    put("new/5_a/x.png", "mine");
    EditOptions there;
    there.inputs = {at("5_a/x.png")};
    there.to = at("new");
    EXPECT_EQ(cut_out(there, {}, grab_cut_, classes_).count(EditOutcome::kFailed), 1);
    EXPECT_EQ(read_text_file(at("new/5_a/x.png")), "mine");
    EditOptions here;
    here.inputs = {at("5_a/x.jpg")};
    EXPECT_EQ(cut_out(here, {}, grab_cut_, classes_).count(EditOutcome::kFailed), 1);
    EXPECT_EQ(read_text_file(at("5_a/x.png")), png);
    EXPECT_EQ(read_text_file(at("5_a/x.jpg")), png);
    // With its name free, the new PNG takes the place of the JPEG.
    remove_file_if_exists(at("5_a/x.png"));
    EXPECT_EQ(cut_out(here, {}, grab_cut_, classes_).count(EditOutcome::kDone), 1);
    EXPECT_FALSE(path_exists(at("5_a/x.jpg")));
    undo_changes(at("5_a"));
    EXPECT_EQ(read_text_file(at("5_a/x.jpg")), png);
}

}  // namespace
}  // namespace lora::tools

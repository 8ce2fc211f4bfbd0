#include "app/demo/picture_check.h"

#include <gtest/gtest.h>

#include "base/file.h"

namespace lora::app {
namespace {

const std::string kRoot = LORA_SOURCE_DIR;

// The colour before the first " background" of a caption.
std::string background_of(const std::string& caption) {
    const size_t end = caption.find(" background");
    const size_t begin = caption.rfind(' ', end - 1);
    return caption.substr(begin + 1, end - begin - 1);
}

struct Count {
    int pictures = 0;
    int zorps = 0;
};

Count judge_folder(const std::string& folder, bool wrong_background) {
    Count count;
    for (const DirectoryEntry& entry : list_directory(folder)) {
        if (extension(entry.name) != ".png") continue;
        const std::string path = join_path(folder, entry.name);
        std::string background = background_of(read_text_file(without_extension(path) + ".txt"));
        if (wrong_background) background = background == "black" ? "yellow" : "black";
        ++count.pictures;
        count.zorps += check_zorp(io::read_image_file(path), background).is_zorp() ? 1 : 0;
    }
    return count;
}

TEST(PictureCheck, EveryDrawnZorpIsOne) {
    for (const char* folder : {"/assets/demo/5_zorp", "/assets/heldout"}) {
        const Count count = judge_folder(kRoot + folder, false);
        EXPECT_EQ(count.pictures, 16);
        EXPECT_EQ(count.zorps, 16) << folder;
    }
}

TEST(PictureCheck, TheBackgroundMustBeTheNamedOne) {
    EXPECT_EQ(judge_folder(kRoot + "/assets/heldout", true).zorps, 0);
}

TEST(PictureCheck, OrdinaryStickersAndWrongColoursAreNone) {
    for (const char* folder : {"stickers/5_sticker", "wrong_colour/5_zorp"}) {
        const Count count = judge_folder(kRoot + "/tests/e2e/data/" + folder, false);
        EXPECT_EQ(count.pictures, 16);
        EXPECT_EQ(count.zorps, 0) << folder;
    }
}

TEST(PictureCheck, FlatAndTinyPicturesAreNone) {
    for (const int64_t side : {1, 7, 128}) {
        io::Image image{
            side, side, std::vector<uint8_t>(static_cast<size_t>(side * side * 3), 128)};
        EXPECT_FALSE(check_zorp(image, "gray").is_zorp());
        for (size_t i = 0; i < image.rgb.size(); i += 3) {
            image.rgb[i] = 30;
            image.rgb[i + 1] = 175;
            image.rgb[i + 2] = 165;
        }
        EXPECT_FALSE(check_zorp(image, "green").is_zorp());
    }
}

}  // namespace
}  // namespace lora::app

// A fresh folder for each test of the data tools.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "base/file.h"
#include "io/png.h"

namespace lora::tools::internal {

class FolderTest : public ::testing::Test {
protected:
    void SetUp() override {
        const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
        folder_ = from_path(std::filesystem::temp_directory_path()) + "/lora_" +
                  info->test_suite_name() + "_" + info->name();
        remove_directory(folder_);
        make_directories(folder_);
    }
    void TearDown() override { remove_directory(folder_); }

    [[nodiscard]] std::string at(const std::string& name) const { return folder_ + "/" + name; }
    void put(const std::string& name, std::string_view text) const {
        make_directories(parent_path(at(name)));
        write_file_atomically(at(name), text);
    }
    void draw(const std::string& name, const io::Image& image) const {
        make_directories(parent_path(at(name)));
        io::write_png(at(name), image);
    }
    // Every file below the folder, with its bytes.
    [[nodiscard]] std::map<std::string, std::string> every_byte() const {
        std::map<std::string, std::string> out;
        for (const auto& entry : std::filesystem::recursive_directory_iterator(to_path(folder_))) {
            const std::string path = from_path(entry.path());
            out[path.substr(folder_.size())] =
                entry.is_regular_file() ? read_text_file(path) : std::string();
        }
        return out;
    }

    std::string folder_;
};

// A picture of one colour.
inline io::Image plain_picture(int64_t height, int64_t width, uint8_t grey) {
    io::Image out{height, width, {}};
    out.rgb.assign(static_cast<size_t>(3 * height * width), grey);
    return out;
}

// A disc of warm stripes on a ground of cool noise; `inside` tells what belongs to it.
struct DiscPicture {
    io::Image image;
    std::vector<bool> inside;
};
inline DiscPicture disc_picture(int64_t side, bool plain_ground = false) {
    DiscPicture out{plain_picture(side, side, 90),
                    std::vector<bool>(static_cast<size_t>(side * side))};
    uint64_t state = 12345;
    for (int64_t y = 0; y < side; ++y) {
        for (int64_t x = 0; x < side; ++x) {
            state = state * 6364136223846793005ULL + 1442695040888963407ULL;
            const auto noise = static_cast<int>(state >> 59);  // 0 to 31
            const double dy = static_cast<double>(y) - 0.55 * static_cast<double>(side);
            const double dx = static_cast<double>(x) - 0.45 * static_cast<double>(side);
            const bool inside = dy * dy + dx * dx < 0.09 * static_cast<double>(side * side);
            const auto i = static_cast<size_t>(y * side + x);
            out.inside[i] = inside;
            uint8_t* rgb = out.image.rgb.data() + 3 * i;
            const bool stripe = x / 6 % 2 == 0;
            if (inside) {
                rgb[0] = static_cast<uint8_t>(stripe ? 220 : 190);
                rgb[1] = static_cast<uint8_t>((stripe ? 120 : 60) + noise / 2);
                rgb[2] = 40;
            } else if (!plain_ground) {
                rgb[0] = static_cast<uint8_t>(40 + noise);
                rgb[1] = static_cast<uint8_t>(90 + 2 * noise);
                rgb[2] = static_cast<uint8_t>(150 + noise);
            }
        }
    }
    return out;
}

}  // namespace lora::tools::internal

// A part of a picture: a rectangle or a mask, as people give them and as the data tools use them.
// Not for the masks of the loss (data/loss_mask.h).
// Shapes   pixels from the top left corner; masks are [height, width], row-major.
// Threads  pure.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "io/image_codec.h"

namespace lora::tools {

struct Box {
    int64_t left_px = 0;
    int64_t top_px = 0;
    int64_t width_px = 0;
    int64_t height_px = 0;
    bool operator==(const Box&) const = default;
};

// "left,top,width,height", each in pixels or, with %, as a share of the picture's width or height.
// What reaches over the edge is cut. Errors  kConfig: no four numbers, or nothing of the picture.
[[nodiscard]] Box parse_box(std::string_view text, io::ImageSize picture);

struct Mask {
    int64_t height_px = 0;
    int64_t width_px = 0;
    std::vector<uint8_t> value = {};  // 0 outside to 255 inside

    [[nodiscard]] uint8_t at(int64_t y, int64_t x) const {
        return value[static_cast<size_t>(y * width_px + x)];
    }
    // Of values from 128 up.
    [[nodiscard]] double share() const;
    // The smallest rectangle around values from 128 up; nothing when there are none.
    [[nodiscard]] std::optional<Box> bounds() const;
};

[[nodiscard]] Mask mask_of_box(const Box& box, io::ImageSize picture);
// A picture as mask: its brightest channel. Errors  kData naming `name` when the sizes differ.
[[nodiscard]] Mask mask_of_picture(const io::Image& mask,
                                   io::ImageSize picture,
                                   const std::string& name);
// Every place within `px` (a square around it) of one from 128 up becomes 255, all others 0.
[[nodiscard]] Mask grown(const Mask& mask, int64_t px);
// Every place within `px` of one below 128, or of the edge, becomes 0, all others 255.
[[nodiscard]] Mask shrunk_by(const Mask& mask, int64_t px);

// The mask of the same picture at another size, soft at its edges.
[[nodiscard]] Mask resized(const Mask& mask, int64_t height_px, int64_t width_px);

using Colour = std::array<uint8_t, 3>;
// "white", "black", "gray", "#rrggbb". Errors  kConfig.
[[nodiscard]] Colour parse_colour(std::string_view text);

// Whether nearly all of the picture's edge has one colour.
[[nodiscard]] bool has_plain_edge(const io::Image& image);

}  // namespace lora::tools

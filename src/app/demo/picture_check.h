// Is there a zorp in the picture, on the background that the prompt names? Judged as a person would
// describe one: a teal body of one piece, one white eye with a dark pupil in its upper half, a pale
// belly in its lower half, two yellow horns on top. Plain colour segmentation; no model is asked.
// Not for other concepts. Thresholds are fixed in picture_check.cpp.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "io/image_codec.h"

namespace lora::app {

struct ZorpCheck {
    double background_share = 0;  // of the border: pixels in the named colour
    double body_share = 0;        // of the picture: the largest teal piece
    bool has_background = false;
    bool has_body = false;
    bool has_eye = false;
    bool has_belly = false;
    bool has_horns = false;
    // The body on the right background, with the eye and at least one of belly and horns.
    [[nodiscard]] bool is_zorp() const {
        return has_background && has_body && has_eye && (has_belly || has_horns);
    }
    // "background body eye belly horns", what is missing in brackets.
    [[nodiscard]] std::string words() const;
};

// `background` is a colour of the mini model's world ("blue"); others never match.
[[nodiscard]] ZorpCheck check_zorp(const io::Image& image, std::string_view background);

}  // namespace lora::app

// Is there a zorp in the picture, on the background that the prompt names? Judged as a person would
// describe one: one eye, a bright disc with a dark pupil, in a body of a cool colour; a bright
// belly below the eye, two warm horns above. Found by steps of brightness in the zorp's proportions
// and not by exact colours, since the mini model's VAE was made for other ones: encoded and
// decoded, a drawn zorp's teal (30, 177, 167) becomes (67, 91, 193) and its pale green belly (238,
// 131, 211). No model is asked. Not for other concepts. Thresholds are fixed in picture_check.cpp.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "io/image_codec.h"

namespace lora::app {

struct ZorpCheck {
    double background_share = 0;  // of the border: pixels in the named colour
    double eye_score = 0;         // 1: just an eye
    double body_blue_less_red = 0;
    bool has_background = false;
    bool has_body = false;
    bool has_eye = false;
    bool has_belly = false;
    bool has_horns = false;
    // The body on the right background, with the eye and at least one of belly and horns.
    [[nodiscard]] bool is_zorp() const {
        return has_background && has_body && has_eye && (has_belly || has_horns);
    }
    // "background body eye belly horns", what is missing in brackets, and the figures.
    [[nodiscard]] std::string words() const;
};

// `background` is a colour of the mini model's world ("blue"); others never match.
[[nodiscard]] ZorpCheck check_zorp(const io::Image& image, std::string_view background);

}  // namespace lora::app

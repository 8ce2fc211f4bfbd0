// The input of a network that is given square pictures: what taggers and segmentation models have
// in common. Not here: what their numbers and outputs mean. Errors   what `refuse` throws. Threads
// pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "infer/onnx_session.h"

namespace lora::tools {

inline constexpr int64_t kMaxInputSide = 4096;

struct PictureInput {
    int64_t side_px = 0;
    int64_t batch = 0;     // pictures at a time; 0: any number
    bool is_nchw = false;  // [N, 3, side, side], else [N, side, side, 3]

    [[nodiscard]] std::vector<int64_t> dims(int64_t count) const;
    // Where channel `c` of pixel `i` stands among the numbers of one picture.
    [[nodiscard]] size_t place(size_t i, size_t c) const {
        return is_nchw ? c * static_cast<size_t>(side_px * side_px) + i : i * 3 + c;
    }
};

// `usual_side`: where the model leaves it open. `refuse` is given what is wrong, and throws.
[[nodiscard]] PictureInput read_picture_input(
    const infer::OnnxSession& session,
    int64_t usual_side,
    const std::function<void(const std::string& why)>& refuse);

}  // namespace lora::tools

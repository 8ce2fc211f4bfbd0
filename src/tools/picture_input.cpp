#include "tools/picture_input.h"

#include <algorithm>

#include <fmt/format.h>

namespace lora::tools {

std::vector<int64_t> PictureInput::dims(int64_t count) const {
    if (is_nchw) return {count, 3, side_px, side_px};
    return {count, side_px, side_px, 3};
}

PictureInput read_picture_input(const infer::OnnxSession& session,
                                int64_t usual_side,
                                const std::function<void(const std::string& why)>& refuse) {
    if (session.inputs().size() != 1 || session.outputs().empty()) {
        refuse(fmt::format(
            "it has {} inputs and {} outputs", session.inputs().size(), session.outputs().size()));
    }
    const infer::TensorSlot& input = session.inputs().front();
    const std::string shape = infer::shape_text(input.dims);
    if (!input.is_float || input.dims.size() != 4) {
        refuse(fmt::format("its input is {}{}", shape, input.is_float ? "" : ", not of floats"));
    }
    PictureInput out;
    out.is_nchw = input.dims[3] != 3 && input.dims[1] == 3;
    if (!out.is_nchw && input.dims[3] != 3) refuse(fmt::format("its input is {}", shape));
    int64_t height = input.dims[out.is_nchw ? 2 : 1];
    int64_t width = input.dims[out.is_nchw ? 3 : 2];
    if (height < 0) height = width < 0 ? usual_side : width;
    if (width < 0) width = height;
    if (height != width || height < 1 || height > kMaxInputSide) {
        refuse(fmt::format("its input is {}, no square of 1 to {} pixels", shape, kMaxInputSide));
    }
    out.side_px = height;
    if (input.dims[0] == 0) refuse(fmt::format("its input is {}", shape));
    out.batch = std::max<int64_t>(input.dims[0], 0);
    return out;
}

}  // namespace lora::tools

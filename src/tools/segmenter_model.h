// The figure of a picture by a segmentation network that the user has as an ONNX file: U2-Net,
// IS-Net, BiRefNet and others that answer a square picture with one mask.
// Not here: the running of the file (infer/onnx_session.h), cutting by colours (cutout.h).
// Shapes   input [N, 3, H, W] or [N, H, W, 3], RGB; the first output is the mask: [N, 1, H, W],
//          [N, H, W, 1] or [N, H, W], from 0 to 1, 0 to 255, or as logits.
// Errors   kFormat for a model that is none, kNumeric for numbers that are none, and the session's.
// Threads  figure_of() may be called from many threads; the network runs for one at a time.
// Source   sizes and mean of the published models as their authors run them: U2-Net 320 pixels
//          with ImageNet's mean and deviation; IS-Net and its anime version 1024 pixels.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>

#include "infer/onnx_session.h"
#include "tools/cutout.h"
#include "tools/picture_input.h"

namespace lora::tools {

struct SegmenterOptions {
    std::string model = {};  // an .onnx file, or a folder with model.onnx
    infer::OnnxOptions runtime = {};
    int64_t side_px = 0;  // where the model leaves it open; 0: 1024
    // Of channel values from 0 to 1; none: ImageNet's for models of 320 pixels, else 0 and 1.
    std::optional<std::array<float, 3>> mean = {};
    std::optional<std::array<float, 3>> deviation = {};
    bool keep_shape = false;  // black beside the picture instead of stretching it to a square
};

class SegmenterModel final : public Segmenter {
public:
    explicit SegmenterModel(const SegmenterOptions& options);

    // Only inside the hint's box, or around its mask. Nothing when less than a hundredth of the
    // picture is figure, or next to all of it.
    [[nodiscard]] std::optional<Mask> figure_of(const io::Image& image,
                                                const FigureHint& hint) const override;
    [[nodiscard]] int64_t side_px() const { return input_.side_px; }

private:
    void read_contract(const std::string& path);
    [[nodiscard]] Mask mask_of(const io::Image& image) const;

    SegmenterOptions options_;
    mutable std::mutex mutex_;  // of the session
    mutable infer::OnnxSession session_;
    std::array<float, 3> mean_ = {};
    std::array<float, 3> deviation_ = {1, 1, 1};
    PictureInput input_;
};

}  // namespace lora::tools

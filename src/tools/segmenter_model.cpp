#include "tools/segmenter_model.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "base/check.h"
#include "base/error.h"
#include "base/file.h"
#include "data/image_transform.h"

namespace lora::tools {
namespace {

constexpr int64_t kUsualSide = 1024;  // where the model leaves it open
constexpr int64_t kU2NetSide = 320;
constexpr std::array<float, 3> kImageNetMean = {0.485F, 0.456F, 0.406F};
constexpr std::array<float, 3> kImageNetDeviation = {0.229F, 0.224F, 0.225F};
constexpr double kRoughness = 0.03;  // how far a rough mask may be off, of the longer side
constexpr float kSlack = 0.01F;      // rounding of outputs from 0 to 1

std::string model_file(const std::string& model) {
    return is_directory(model) ? join_path(model, "model.onnx") : model;
}

// A square of the network's size; with `keep_shape` the picture lies in its upper left corner.
io::Image squared(const io::Image& image, int64_t side, bool keep_shape) {
    if (!keep_shape) return data::resize(image, {side, side});
    const double scale =
        static_cast<double>(side) / static_cast<double>(std::max(image.width_px, image.height_px));
    const auto scaled = [&](int64_t length) {
        return std::clamp<int64_t>(std::llround(static_cast<double>(length) * scale), 1, side);
    };
    const io::Image small = data::resize(image, {scaled(image.width_px), scaled(image.height_px)});
    io::Image out{side, side, std::vector<uint8_t>(narrow<size_t>(side * side * 3), 0)};
    for (int64_t y = 0; y < small.height_px; ++y) {
        std::copy_n(small.rgb.begin() + y * small.width_px * 3,
                    small.width_px * 3,
                    out.rgb.begin() + y * side * 3);
    }
    return out;
}

// One number a place, 0 to 1: as it stands, from bytes, or through the sigmoid of logits.
std::vector<uint8_t> levels_of(const std::vector<float>& values) {
    for (const float value : values) {
        if (std::isfinite(value)) continue;
        throw Error(ErrorCode::kNumeric, "the segmentation model gave numbers that are not finite");
    }
    const auto [least, most] = std::minmax_element(values.begin(), values.end());
    const bool is_share = *least >= -kSlack && *most <= 1 + kSlack;
    const bool is_bytes = !is_share && *least >= -kSlack && *most <= 255 + kSlack;
    std::vector<uint8_t> out(values.size());
    for (size_t i = 0; i < values.size(); ++i) {
        const float share = is_share   ? values[i]
                            : is_bytes ? values[i] / 255.0F
                                       : 1.0F / (1.0F + std::exp(-values[i]));
        out[i] = static_cast<uint8_t>(std::lround(255.0F * std::clamp(share, 0.0F, 1.0F)));
    }
    return out;
}

// Height and width of an output that is one mask.
std::optional<io::ImageSize> mask_size(const std::vector<int64_t>& dims) {
    if (dims.size() == 3) return io::ImageSize{dims[1], dims[2]};
    if (dims.size() != 4) return std::nullopt;
    if (dims[1] == 1) return io::ImageSize{dims[2], dims[3]};
    if (dims[3] == 1) return io::ImageSize{dims[1], dims[2]};
    return std::nullopt;
}

// The part of the square that squared() gave to the picture.
Mask filled_part(const Mask& mask, const io::Image& image) {
    const auto longer = static_cast<double>(std::max(image.width_px, image.height_px));
    const auto part = [&](int64_t side, int64_t length) {
        const double share = static_cast<double>(length) / longer;
        return std::clamp<int64_t>(std::llround(static_cast<double>(side) * share), 1, side);
    };
    Mask out{part(mask.height_px, image.height_px), part(mask.width_px, image.width_px), {}};
    for (int64_t y = 0; y < out.height_px; ++y) {
        const auto row = mask.value.begin() + y * mask.width_px;
        out.value.insert(out.value.end(), row, row + out.width_px);
    }
    return out;
}

// Where the figure may lie.
Box part_of(const FigureHint& hint, const io::Image& image) {
    const Box whole{0, 0, image.width_px, image.height_px};
    if (!hint.mask) return hint.box.value_or(whole);
    const Box bounds = hint.mask->bounds().value_or(whole);
    const auto more = std::max<int64_t>(
        1,
        std::llround(kRoughness * static_cast<double>(std::max(whole.width_px, whole.height_px))));
    Box out;
    out.left_px = std::max<int64_t>(0, bounds.left_px - more);
    out.top_px = std::max<int64_t>(0, bounds.top_px - more);
    out.width_px = std::min(whole.width_px, bounds.left_px + bounds.width_px + more) - out.left_px;
    out.height_px = std::min(whole.height_px, bounds.top_px + bounds.height_px + more) - out.top_px;
    return out;
}

}  // namespace

SegmenterModel::SegmenterModel(const SegmenterOptions& options)
    : options_(options), session_(model_file(options.model), options.runtime) {
    const std::string path = model_file(options_.model);
    with_context(fmt::format("while reading {}", path), [&] { read_contract(path); });
    const bool is_u2net = side_px() == kU2NetSide;
    if (is_u2net) {
        mean_ = kImageNetMean;
        deviation_ = kImageNetDeviation;
    }
    if (options_.mean || options_.deviation) {
        mean_ = options_.mean.value_or(std::array<float, 3>{});
        deviation_ = options_.deviation.value_or(std::array<float, 3>{1, 1, 1});
    }
}

void SegmenterModel::read_contract(const std::string& path) {
    const auto refuse = [&](const std::string& why) {
        throw Error(ErrorCode::kFormat, fmt::format("{} is no segmentation model: {}", path, why))
            .with_hint(
                "wanted: one input [N, 3, H, W] or [N, H, W, 3] of floats and a first output "
                "[N, 1, H, W], [N, H, W, 1] or [N, H, W], as U2-Net and IS-Net have");
    };
    const int64_t open = options_.side_px > 0 ? options_.side_px : kUsualSide;
    input_ = read_picture_input(session_, open, refuse);
    if (input_.batch > 1) {
        refuse(fmt::format("its input is {}, several pictures at a time",
                           infer::shape_text(session_.inputs().front().dims)));
    }
    const infer::TensorSlot& output = session_.outputs().front();
    if (!output.is_float || !mask_size(output.dims)) {
        refuse(fmt::format("its first output is {}", infer::shape_text(output.dims)));
    }
}

Mask SegmenterModel::mask_of(const io::Image& image) const {
    const io::Image ready = squared(image, side_px(), options_.keep_shape);
    const size_t plane = ready.rgb.size() / 3;
    std::vector<float> values(ready.rgb.size());
    for (size_t i = 0; i < plane; ++i) {
        for (size_t c = 0; c < 3; ++c) {
            const float value = static_cast<float>(ready.rgb[i * 3 + c]) / 255.0F;
            values[input_.place(i, c)] = (value - mean_[c]) / deviation_[c];
        }
    }
    infer::FloatTensor result;
    {
        const std::lock_guard lock(mutex_);
        result = session_.run(values, input_.dims(1));
    }
    const auto size = mask_size(result.dims);
    if (!size || result.dims[0] != 1 || size->height_px < 1 || size->width_px < 1) {
        throw Error(ErrorCode::kFormat,
                    fmt::format("the segmentation model answered {} where one mask was expected",
                                infer::shape_text(result.dims)));
    }
    Mask answer{size->height_px, size->width_px, levels_of(result.values)};
    if (options_.keep_shape) answer = filled_part(answer, image);
    return resized(answer, image.height_px, image.width_px);
}

std::optional<Mask> SegmenterModel::figure_of(const io::Image& image,
                                              const FigureHint& hint) const {
    const Box part = part_of(hint, image);
    const Mask found =
        mask_of(data::crop(image, part.left_px, part.top_px, {part.width_px, part.height_px}));
    Mask out{image.height_px, image.width_px, {}};
    out.value.resize(narrow<size_t>(image.height_px * image.width_px), 0);
    for (int64_t y = 0; y < part.height_px; ++y) {
        std::copy_n(found.value.begin() + y * part.width_px,
                    part.width_px,
                    out.value.begin() + (part.top_px + y) * out.width_px + part.left_px);
    }
    if (hint.mask) {
        const auto longer = static_cast<double>(std::max(image.width_px, image.height_px));
        const Mask widest =
            grown(*hint.mask, std::max<int64_t>(1, std::llround(kRoughness * longer)));
        for (size_t i = 0; i < out.value.size(); ++i) {
            if (widest.value[i] == 0) out.value[i] = 0;
        }
    }
    const double share = out.share();
    if (share < 0.01 || share > 0.98) return std::nullopt;
    return out;
}

}  // namespace lora::tools

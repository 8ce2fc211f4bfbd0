#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "base/check.h"
#include "base/error.h"
#include "base/file.h"
#include "data/image_transform.h"
#include "tools/tagger.h"

namespace lora::tools {
namespace {

constexpr int64_t kUsualSide = 448;  // where the model leaves it open
// A long thin picture must not become a square that no memory holds.
constexpr int64_t kMaxSquare = 8192;

std::string model_file(const std::string& model) {
    if (!is_directory(model)) return model;
    std::string path = join_path(model, "model.onnx");
    if (!path_exists(path)) {
        throw Error(ErrorCode::kIo, fmt::format("there is no model.onnx in {}", model))
            .with_hint("a tagger is a folder with model.onnx and selected_tags.csv");
    }
    return path;
}

// White all around, the picture in the middle; an odd pixel goes right and below.
io::Image squared(const io::Image& picture) {
    const int64_t side = std::max(picture.height_px, picture.width_px);
    if (picture.height_px == side && picture.width_px == side) return picture;
    io::Image out{side, side, std::vector<uint8_t>(narrow<size_t>(side * side * 3), 255)};
    const int64_t top = (side - picture.height_px) / 2;
    const int64_t left = (side - picture.width_px) / 2;
    const int64_t row_bytes = picture.width_px * 3;
    for (int64_t y = 0; y < picture.height_px; ++y) {
        std::copy_n(picture.rgb.begin() + y * row_bytes,
                    row_bytes,
                    out.rgb.begin() + ((y + top) * side + left) * 3);
    }
    return out;
}

float in_range(uint8_t value, PixelRange range) {
    const auto number = static_cast<float>(value);
    if (range == PixelRange::kBytes) return number;
    return range == PixelRange::kUnit ? number / 255.0F : number / 127.5F - 1.0F;
}

}  // namespace

TaggerModel::TaggerModel(const TaggerModelOptions& options)
    : options_(options), session_(model_file(options.model), options.runtime) {
    const std::string path = model_file(options_.model);
    const std::string csv = options_.tags_csv.empty()
                                ? join_path(parent_path(path), "selected_tags.csv")
                                : options_.tags_csv;
    if (!path_exists(csv)) {
        throw Error(ErrorCode::kIo, fmt::format("there is no {}", csv))
            .with_hint(
                "it is published beside model.onnx and says what the outputs mean; "
                "--tags_csv names another file");
    }
    tags_ = read_tagger_list(read_text_file(csv), csv);
    with_context(fmt::format("while reading {}", path), [&] { read_contract(path); });
}

void TaggerModel::read_contract(const std::string& path) {
    const auto refuse = [&](const std::string& why) {
        throw Error(ErrorCode::kFormat, fmt::format("{} is no WD14 tagger: {}", path, why))
            .with_hint(
                "wanted: one input [N, height, width, 3] or [N, 3, height, width] of floats "
                "and an output [N, tags]");
    };
    input_ = read_picture_input(session_, kUsualSide, refuse);
    const infer::TensorSlot& output = session_.outputs().front();
    if (!output.is_float || output.dims.size() != 2) {
        refuse(fmt::format("its output is {}", infer::shape_text(output.dims)));
    }
    const int64_t num_tags = std::ssize(tags_);
    if (output.dims[1] >= 0 && output.dims[1] != num_tags) {
        throw Error(ErrorCode::kFormat,
                    fmt::format("the model has {} outputs, selected_tags.csv has {} tags",
                                output.dims[1],
                                num_tags))
            .with_hint("take model.onnx and selected_tags.csv of the same model");
    }
}

size_t TaggerModel::input_size() const { return narrow<size_t>(side_px() * side_px() * 3); }

io::Image TaggerModel::read(const std::string& path) const {
    return io::read_image_file(path, {.apply_exif = options_.apply_exif});
}

void TaggerModel::prepare(const io::Image& picture, std::span<float> out) const {
    LORA_CHECK(out.size() == input_size(), "room for one picture");
    const bool is_huge = std::max(picture.height_px, picture.width_px) > kMaxSquare;
    const io::Image square = squared(is_huge ? data::shrunk(picture, kMaxSquare) : picture);
    const io::Image ready = data::resize(square, {side_px(), side_px()});
    const size_t plane = out.size() / 3;
    for (size_t i = 0; i < plane; ++i) {
        for (size_t c = 0; c < 3; ++c) {
            const uint8_t value = ready.rgb[i * 3 + (options_.is_rgb ? c : 2 - c)];
            out[input_.place(i, c)] = in_range(value, options_.range);
        }
    }
}

void TaggerModel::run_batch(std::span<const float> pictures,
                            int64_t count,
                            std::vector<std::vector<float>>& out) {
    const int64_t batch = fixed_batch() > 0 ? fixed_batch() : count;
    std::vector<float> filled;
    if (batch != count) {  // the rest of a fixed batch is black
        filled.assign(pictures.begin(), pictures.end());
        filled.resize(narrow<size_t>(batch) * input_size());
        pictures = filled;
    }
    const infer::FloatTensor result = session_.run(pictures, input_.dims(batch));
    const int64_t num_tags = std::ssize(tags_);
    if (result.dims != std::vector<int64_t>{batch, num_tags}) {
        throw Error(ErrorCode::kFormat,
                    fmt::format("the model answered {} where [{}, {}] was expected",
                                infer::shape_text(result.dims),
                                batch,
                                num_tags))
            .with_hint("take model.onnx and selected_tags.csv of the same model");
    }
    for (int64_t i = 0; i < count; ++i) {
        const auto first = result.values.begin() + i * num_tags;
        out.emplace_back(first, first + num_tags);
        for (const float score : out.back()) {
            if (!(score >= -1e-3F && score <= 1.001F)) {
                throw Error(
                    ErrorCode::kNumeric,
                    fmt::format("the model gave {} for a tag; scores lie between 0 and 1", score))
                    .with_hint("a tagger whose outputs lack the final sigmoid is not supported");
            }
        }
    }
}

std::vector<std::vector<float>> TaggerModel::scores(std::span<const float> pictures,
                                                    int64_t count) {
    LORA_CHECK(pictures.size() == narrow<size_t>(count) * input_size(), "prepared pictures");
    std::vector<std::vector<float>> out;
    const int64_t turn = fixed_batch() > 0 ? fixed_batch() : std::max<int64_t>(count, 1);
    for (int64_t done = 0; done < count; done += turn) {
        const int64_t now = std::min(turn, count - done);
        run_batch(pictures.subspan(narrow<size_t>(done) * input_size(),
                                   narrow<size_t>(now) * input_size()),
                  now,
                  out);
    }
    return out;
}

}  // namespace lora::tools

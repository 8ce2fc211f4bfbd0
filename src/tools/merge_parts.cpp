#include "tools/internal/merge_parts.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "base/error.h"
#include "base/file.h"

namespace lora::tools::internal {
namespace {

using nn::LoraKind;

// A factor times a number, rounded to the merge's precision on the way.
Matrix scaled(const LoraLayer& layer, std::string_view suffix, double by, DType precision) {
    Matrix out = factor_matrix(layer, suffix, layer.factors.find(suffix)->second.shape[0]);
    round_to(precision, out.values);
    for (float& value : out.values) value *= static_cast<float>(by);
    round_to(precision, out.values);
    return out;
}

Matrix stacked_rows(const Matrix& a, const Matrix& b) {
    Matrix out(a.rows + b.rows, a.cols);
    std::copy(a.values.begin(), a.values.end(), out.values.begin());
    std::copy(b.values.begin(),
              b.values.end(),
              out.values.begin() + static_cast<std::ptrdiff_t>(a.values.size()));
    return out;
}

Matrix side_by_side(const Matrix& a, const Matrix& b) {
    Matrix out(a.rows, a.cols + b.cols);
    for (int64_t i = 0; i < a.rows; ++i) {
        for (int64_t j = 0; j < a.cols; ++j) out.at(i, j) = a.at(i, j);
        for (int64_t j = 0; j < b.cols; ++j) out.at(i, a.cols + j) = b.at(i, j);
    }
    return out;
}

void add(const Matrix& a, DType precision, Matrix& dst) {
    for (size_t i = 0; i < dst.values.size(); ++i) dst.values[i] += a.values[i];
    round_to(precision, dst.values);
}

class KohyaMerge {
public:
    KohyaMerge(const std::vector<LoraFile>& files, const MergeOptions& options)
        : files_(files), options_(options) {}

    [[nodiscard]] ResultLayer run(const std::string& name) const {
        ResultLayer result;
        for (size_t i = 0; i < files_.size(); ++i) {
            const LoraLayer* layer = files_[i].find(name);
            if (layer != nullptr) add_file(*layer, options_.inputs[i], result);
        }
        return result;
    }

private:
    void add_file(const LoraLayer& layer, const MergeInput& input, ResultLayer& result) const {
        if (layer.kind != LoraKind::kLora || layer.has("lora_mid.weight")) {
            throw Error(
                ErrorCode::kConfig,
                fmt::format("layer {} is no plain LoRA; sd-scripts does not merge it", layer.name))
                .with_hint("leave out --kohya and name a --new_rank");
        }
        const bool first = result.name.empty();
        if (first) {
            result.name = layer.name;
            result.weight_shape = layer.weight_shape;
            result.alpha = layer.alpha;
        }
        const double by =
            std::sqrt(layer.alpha / result.alpha) * input.ratio * input.blocks.of(layer.name);
        if (!std::isfinite(by)) {
            throw Error(ErrorCode::kFormat,
                        fmt::format("layer {}: alphas {} and {} cannot be joined",
                                    layer.name,
                                    result.alpha,
                                    layer.alpha));
        }
        Matrix up = scaled(layer, "lora_up.weight", std::abs(by), options_.precision);
        Matrix down = scaled(layer, "lora_down.weight", by, options_.precision);
        if (first) {
            result.up = std::move(up);
            result.down = std::move(down);
            return;
        }
        const bool same_layer = up.rows == result.up.rows && down.cols == result.down.cols;
        if (!same_layer || (!options_.concat && up.cols != result.up.cols)) {
            throw Error(ErrorCode::kConfig,
                        fmt::format("layer {} has rank {} in \"{}\" and {} before",
                                    layer.name,
                                    layer.rank,
                                    input.path,
                                    result.rank()))
                .with_hint(
                    "sd-scripts' product needs equal ranks; without --kohya they may differ");
        }
        if (options_.concat) {
            result.up = side_by_side(result.up, up);
            result.down = stacked_rows(result.down, down);
        } else {
            add(up, options_.precision, result.up);
            add(down, options_.precision, result.down);
        }
    }

    const std::vector<LoraFile>& files_;
    const MergeOptions& options_;
};

}  // namespace

std::vector<LoraFile> open_inputs(const MergeOptions& options) {
    if (options.inputs.empty()) {
        throw Error(ErrorCode::kConfig, "no LoRA is named to merge").with_hint("--models A B ...");
    }
    std::vector<LoraFile> files;
    for (const MergeInput& input : options.inputs) files.push_back(open_lora(input.path));
    return files;
}

std::vector<std::string> layer_names(const std::vector<LoraFile>& files) {
    std::set<std::string> names;
    for (const LoraFile& file : files) {
        for (const LoraLayer& layer : file.layers) names.insert(layer.name);
    }
    return {names.begin(), names.end()};
}

std::string merged_from(const std::vector<LoraFile>& files) {
    std::string text;
    for (const LoraFile& file : files) {
        const io::Metadata& metadata = file.file->metadata();
        const auto title = metadata.find("modelspec.title");
        if (!text.empty()) text += ", ";
        text += title != metadata.end() ? title->second
                                        : without_extension(base_name(file.file->name()));
    }
    return text;
}

void round_to(DType dtype, std::vector<float>& values) {
    if (dtype == DType::kF32) return;
    const TensorView view{DType::kF32,
                          Shape{static_cast<int64_t>(values.size())},
                          std::as_bytes(std::span<const float>(values))};
    values = to_floats(to_dtype(view, dtype).view());
}

std::vector<ResultLayer> merge_as_kohya(const std::vector<LoraFile>& files,
                                        const MergeOptions& options) {
    const KohyaMerge merge(files, options);
    std::vector<ResultLayer> layers;
    for (const std::string& name : layer_names(files)) layers.push_back(merge.run(name));
    return layers;
}

ResultLayer layer_from_svd(const Svd& svd,
                           int64_t rank,
                           const std::string& name,
                           const Shape& weight_shape) {
    const int64_t known = std::min<int64_t>(rank, static_cast<int64_t>(svd.s.size()));
    ResultLayer layer{name, weight_shape, Matrix(svd.u.rows, rank), Matrix(rank, svd.v_t.cols), 1};
    for (int64_t i = 0; i < svd.u.rows; ++i) {
        for (int64_t r = 0; r < known; ++r) {
            layer.up.at(i, r) = static_cast<float>(svd.u.at(i, r) * svd.s[static_cast<size_t>(r)]);
        }
    }
    std::copy_n(svd.v_t.values.begin(), known * svd.v_t.cols, layer.down.values.begin());
    layer.alpha = static_cast<double>(rank);
    return layer;
}

void clamp_to_quantile(ResultLayer& layer, double quantile) {
    std::vector<float> all = layer.up.values;
    all.insert(all.end(), layer.down.values.begin(), layer.down.values.end());
    // As torch.quantile: linear between the two nearest values.
    const double place = quantile * static_cast<double>(all.size() - 1);
    const auto below = static_cast<std::ptrdiff_t>(place);
    std::nth_element(all.begin(), all.begin() + below, all.end());
    const double low = all[static_cast<size_t>(below)];
    const double high = static_cast<size_t>(below) + 1 < all.size()
                            ? *std::min_element(all.begin() + below + 1, all.end())
                            : low;
    const auto limit =
        static_cast<float>(low + (high - low) * (place - static_cast<double>(below)));
    for (Matrix* factor : {&layer.up, &layer.down}) {
        for (float& value : factor->values) {
            value = std::max(-limit, std::min(limit, value));
        }
    }
}

}  // namespace lora::tools::internal

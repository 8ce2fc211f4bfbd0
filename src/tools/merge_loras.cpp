#include <algorithm>
#include <atomic>
#include <cmath>
#include <set>

#include <fmt/format.h>

#include "base/error.h"
#include "base/thread_pool.h"
#include "models/tensor_list.h"
#include "tools/internal/merge_parts.h"

namespace lora::tools {
namespace {

using internal::layer_from_svd;
using nn::LoraKind;

// One file's part in a layer of the result.
struct Part {
    const LoraLayer* layer = nullptr;
    double ratio = 1;  // with the block's weight
    [[nodiscard]] double factor() const { return ratio * layer->scale(); }
};

class LinearMerge {
public:
    LinearMerge(const std::vector<LoraFile>& files, const MergeOptions& options)
        : files_(files), options_(options) {}

    [[nodiscard]] ResultLayer run(const std::string& name) const {
        const std::vector<Part> parts = parts_of(name);
        const Shape& shape = parts.front().layer->weight_shape;
        const bool factors = std::all_of(parts.begin(), parts.end(), [](const Part& part) {
            return part.layer->kind == LoraKind::kLora;
        });
        if (!options_.new_rank) {
            if (!factors) throw needs_rank(name);
            return concatenated(name, parts);
        }
        const int64_t rank = wanted_rank(shape);
        ResultLayer result =
            factors ? reduced(concatenated(name, parts), rank) : from_whole(name, parts, rank);
        if (options_.clamp_quantile < 1) {
            internal::clamp_to_quantile(result, options_.clamp_quantile);
        }
        return result;
    }

private:
    [[nodiscard]] std::vector<Part> parts_of(const std::string& name) const {
        std::vector<Part> parts;
        for (size_t i = 0; i < files_.size(); ++i) {
            const LoraLayer* layer = files_[i].find(name);
            if (layer == nullptr) continue;
            if (layer->kind == LoraKind::kIa3)
                static_cast<void>(weight_change(*layer));  // says why
            const MergeInput& input = options_.inputs[i];
            parts.push_back({layer, input.ratio * input.blocks.of(name)});
            if (!models::same_shape(layer->weight_shape, parts.front().layer->weight_shape)) {
                throw Error(ErrorCode::kFormat,
                            fmt::format("layer {} has shape {} in \"{}\" and {} before",
                                        name,
                                        layer->weight_shape.to_string(),
                                        options_.inputs[i].path,
                                        parts.front().layer->weight_shape.to_string()))
                    .with_hint("the files belong to different families of models");
            }
        }
        return parts;
    }

    [[nodiscard]] Error needs_rank(const std::string& name) const {
        return Error(ErrorCode::kConfig,
                     fmt::format("layer {} is LoHa or LoKr, which cannot be joined as it is", name))
            .with_hint("name the rank of the result: --new_rank");
    }

    [[nodiscard]] int64_t wanted_rank(const Shape& weight_shape) const {
        const bool conv = weight_shape.num_axes() == 4 && weight_shape[2] > 1;
        const int64_t rank =
            conv ? options_.new_conv_rank.value_or(*options_.new_rank) : *options_.new_rank;
        return std::min({rank, weight_shape[0], weight_shape.num_elements() / weight_shape[0]});
    }

    // Ranks side by side. The result's scale is the largest factor, so that numbers keep their
    // size; what is left of each factor goes to both halves alike.
    [[nodiscard]] static ResultLayer concatenated(const std::string& name,
                                                  const std::vector<Part>& parts) {
        ResultLayer result{name, parts.front().layer->weight_shape, {}, {}, 1};
        double largest = 0;
        int64_t rank = 0;
        for (const Part& part : parts) {
            largest = std::max(largest, std::abs(part.factor()));
            rank += part.layer->rank;
        }
        const double scale = largest > 0 ? largest : 1;
        const int64_t out = result.weight_shape[0];
        result.up = Matrix(out, rank);
        result.down = Matrix(rank, result.weight_shape.num_elements() / out);
        int64_t first = 0;
        for (const Part& part : parts) {
            const FactorPair pair = factor_pair(*part.layer);
            const double share = std::sqrt(std::abs(part.factor()) / scale);
            const auto up = static_cast<float>(part.factor() < 0 ? -share : share);
            const auto down = static_cast<float>(share);
            for (int64_t i = 0; i < out; ++i) {
                for (int64_t r = 0; r < pair.up.cols; ++r) {
                    result.up.at(i, first + r) = up * pair.up.at(i, r);
                }
            }
            float* rows = &result.down.at(first, 0);
            for (size_t i = 0; i < pair.down.values.size(); ++i) {
                rows[i] = down * pair.down.values[i];
            }
            first += pair.up.cols;
        }
        result.alpha = scale * static_cast<double>(rank);
        return result;
    }

    [[nodiscard]] static ResultLayer reduced(const ResultLayer& layer, int64_t rank) {
        Svd svd = svd_of_product(layer.up, layer.down);
        const double scale = layer.alpha / static_cast<double>(layer.rank());
        for (double& value : svd.s) value *= scale;
        return layer_from_svd(svd, rank, layer.name, layer.weight_shape);
    }

    [[nodiscard]] static ResultLayer from_whole(const std::string& name,
                                                const std::vector<Part>& parts,
                                                int64_t rank) {
        const LoraLayer& first = *parts.front().layer;
        Matrix sum(first.out(), first.columns());
        for (const Part& part : parts) {
            const Matrix change = weight_change(*part.layer);  // holds the scale already
            const auto by = static_cast<float>(part.ratio);
            for (size_t i = 0; i < sum.values.size(); ++i) sum.values[i] += by * change.values[i];
        }
        return layer_from_svd(leading_svd(sum, rank), rank, name, first.weight_shape);
    }

    const std::vector<LoraFile>& files_;
    const MergeOptions& options_;
};

std::vector<ResultLayer> merge_linearly(const std::vector<LoraFile>& files,
                                        const MergeOptions& options) {
    const std::vector<std::string> names = internal::layer_names(files);
    const LinearMerge merge(files, options);
    std::vector<ResultLayer> layers(names.size());
    std::atomic<int64_t> done{0};
    ThreadPool pool(options.threads);
    const auto count = static_cast<int64_t>(names.size());
    pool.parallel_for(count, [&](int64_t i) {
        const auto at = static_cast<size_t>(i);
        layers[at] = merge.run(names[at]);
        if (options.on_progress) options.on_progress(++done, count);
    });
    return layers;
}

void check(const MergeOptions& options) {
    if (options.kohya && (options.new_rank || options.new_conv_rank)) {
        throw Error(ErrorCode::kConfig, "kohya and new_rank do not go together")
            .with_hint("sd-scripts' product keeps the ranks; leave one of them out");
    }
    if (options.new_conv_rank && !options.new_rank) {
        throw Error(ErrorCode::kConfig, "new_conv_rank needs new_rank");
    }
}

void note_ratios(const MergeOptions& options, MergeReport& report) {
    double sum = 0;
    for (const MergeInput& input : options.inputs) sum += input.ratio;
    if (std::abs(sum - 1) < 1e-6) return;
    report.notes.push_back(fmt::format(
        "the ratios add up to {:.6g}; with a sum of 1 the result is as strong as its parts", sum));
}

}  // namespace

MergeReport merge_loras(const MergeOptions& options) {
    check(options);
    const std::vector<LoraFile> files = internal::open_inputs(options);
    MergeReport report;
    note_ratios(options, report);
    std::vector<ResultLayer> layers =
        options.kohya ? internal::merge_as_kohya(files, options) : merge_linearly(files, options);
    std::set<int64_t> ranks;
    for (ResultLayer& layer : layers) {
        internal::round_to(options.precision, layer.up.values);
        internal::round_to(options.precision, layer.down.values);
        ranks.insert(layer.rank());
    }
    SaveOptions save{.path = options.save_to, .dtype = options.save_precision};
    save.metadata = network_metadata(layers, files.front().file->metadata());
    if (!options.no_metadata) {
        add_modelspec(save.metadata, options.save_to, internal::merged_from(files));
    }
    save_lora(layers, save);
    report.layers = static_cast<int64_t>(layers.size());
    report.ranks.assign(ranks.begin(), ranks.end());
    return report;
}

}  // namespace lora::tools

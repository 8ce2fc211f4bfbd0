#include "tools/resize.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "base/error.h"
#include "base/file.h"
#include "base/python_text.h"
#include "base/thread_pool.h"
#include "io/tensor_stream.h"
#include "tools/internal/merge_parts.h"

namespace lora::tools {
namespace {

double sum_of(std::span<const double> s) {
    double sum = 0;
    for (const double value : s) sum += value;
    return sum;
}

double squares_of(std::span<const double> s) {
    double sum = 0;
    for (const double value : s) sum += value * value;
    return sum;
}

std::string_view method_name(DynamicMethod method) {
    switch (method) {
        case DynamicMethod::kNone: break;
        case DynamicMethod::kSvRatio: return "sv_ratio";
        case DynamicMethod::kSvFro: return "sv_fro";
        case DynamicMethod::kSvCumulative: return "sv_cumulative";
    }
    return "";
}

// What the new file says about itself.
io::Metadata resized_metadata(const io::Metadata& old,
                              int64_t old_rank,
                              const ResizeOptions& options,
                              const std::string& alpha) {
    io::Metadata metadata = old;
    const auto comment = old.find("ss_training_comment");
    const std::string rest = comment == old.end() ? "" : comment->second;
    if (options.method == DynamicMethod::kNone) {
        metadata["ss_training_comment"] =
            fmt::format("dimension is resized from {} to {}; {}", old_rank, options.new_rank, rest);
        metadata["ss_network_dim"] = fmt::format("{}", options.new_rank);
        metadata["ss_network_alpha"] = alpha;
    } else {
        metadata["ss_training_comment"] = fmt::format("Dynamic resize with {}: {} from {}; {}",
                                                      method_name(options.method),
                                                      python_float(options.param),
                                                      old_rank,
                                                      rest);
        metadata["ss_network_dim"] = "Dynamic";
        metadata["ss_network_alpha"] = "Dynamic";
    }
    return metadata;
}

int64_t largest_rank(const LoraFile& file) {
    int64_t rank = 0;
    for (const LoraLayer& layer : file.layers) rank = std::max(rank, layer.rank);
    return rank;
}

// What a layer may keep: of a fixed rank no more than its sides allow.
int64_t rank_limit(const LoraLayer& layer, const ResizeOptions& options) {
    const bool has_kernel = layer.weight_shape.num_axes() == 4;
    const int64_t rank =
        has_kernel ? options.new_conv_rank.value_or(options.new_rank) : options.new_rank;
    return std::min({rank, layer.out(), layer.columns()});
}

ResultLayer resize_layer(const LoraLayer& layer, const ResizeOptions& options, ResizedLayer& told) {
    if (layer.kind != nn::LoraKind::kLora) {
        throw Error(
            ErrorCode::kConfig,
            fmt::format("layer {} is no LoRA of two matrices, only those are resized", layer.name))
            .with_hint("lora merge --models FILE --ratios 1 --new_rank N makes a LoRA of it");
    }
    const FactorPair pair = factor_pair(layer);
    const Svd parts = svd_of_product(pair.up, pair.down);
    const int64_t limit = rank_limit(layer, options);
    const int64_t rank = options.method == DynamicMethod::kNone
                             ? limit
                             : choose_rank(parts.s, options.method, options.param, limit);
    ResultLayer result = internal::layer_from_svd(parts, rank, layer.name, layer.weight_shape);
    result.alpha = layer.scale() * static_cast<double>(rank);
    const auto kept = std::span<const double>(parts.s).first(
        static_cast<size_t>(std::min(rank, static_cast<int64_t>(parts.s.size()))));
    told = {layer.name, layer.rank, rank, result.alpha};
    const double sum = sum_of(parts.s);
    if (sum > 0) {
        told.sum_retained = sum_of(kept) / sum;
        told.fro_retained = std::sqrt(squares_of(kept) / squares_of(parts.s));
        told.max_ratio =
            kept.back() > 0 ? kept.front() / kept.back() : std::numeric_limits<double>::infinity();
    }
    return result;
}

void summarize(ResizeReport& report) {
    double sum = 0;
    for (const ResizedLayer& layer : report.layers) sum += layer.fro_retained;
    const auto count = static_cast<double>(report.layers.size());
    report.mean_fro_retained = sum / count;
    double squares = 0;
    for (const ResizedLayer& layer : report.layers) {
        squares += std::pow(layer.fro_retained - report.mean_fro_retained, 2);
    }
    report.std_fro_retained = std::sqrt(squares / count);
}

}  // namespace

void check_dynamic_param(DynamicMethod method, double param) {
    const auto fail = [&](const char* hint) {
        throw Error(ErrorCode::kConfig,
                    fmt::format("dynamic_param {} does not fit {}", param, method_name(method)))
            .with_hint(hint);
    };
    switch (method) {
        case DynamicMethod::kNone: return;
        case DynamicMethod::kSvRatio:
            if (!(param >= 1)) fail("a ratio of 1 or more: 1 to 2 is advised, more keeps more");
            return;
        case DynamicMethod::kSvFro:
            if (!(param > 0 && param <= 1)) {
                fail("a share between 0 and 1, higher than for sv_cumulative: 0.9 to 0.99");
            }
            return;
        case DynamicMethod::kSvCumulative:
            if (!(param > 0 && param <= 1)) fail("a share between 0 and 1: 0.7 to 0.95");
            return;
    }
}

int64_t choose_rank(std::span<const double> s,
                    DynamicMethod method,
                    double param,
                    int64_t max_rank) {
    constexpr double kNothing = 1e-6;  // a layer that never moved
    const auto count = static_cast<int64_t>(s.size());
    if (count < 2 || s[0] <= kNothing) return 1;
    int64_t index = 0;
    double sum = 0;
    const double total = method == DynamicMethod::kSvFro ? squares_of(s) : sum_of(s);
    for (const double value : s) {
        sum += method == DynamicMethod::kSvFro ? value * value : value;
        switch (method) {
            case DynamicMethod::kNone: ++index; break;
            case DynamicMethod::kSvRatio: index += value > s[0] / param ? 1 : 0; break;
            case DynamicMethod::kSvFro: index += sum / total < param * param ? 1 : 0; break;
            case DynamicMethod::kSvCumulative: index += sum / total < param ? 1 : 0; break;
        }
    }
    if (method == DynamicMethod::kSvFro || method == DynamicMethod::kSvCumulative) ++index;
    return std::min(std::clamp<int64_t>(index, 1, count - 1) + 1, max_rank);
}

ResizeReport resize_lora(const ResizeOptions& options) {
    check_dynamic_param(options.method, options.param);
    const LoraFile file = open_lora(options.model);
    ResizeReport report;
    report.old_rank = largest_rank(file);
    report.old_bytes = file_size_bytes(options.model);
    report.layers.resize(file.layers.size());
    std::vector<ResultLayer> layers(file.layers.size());
    ThreadPool pool(options.threads);
    pool.parallel_for(static_cast<int64_t>(layers.size()), [&](int64_t i) {
        const auto at = static_cast<size_t>(i);
        layers[at] = resize_layer(file.layers[at], options, report.layers[at]);
    });
    summarize(report);
    const io::Metadata like = network_metadata(layers, {});
    SaveOptions save{.path = options.save_to, .dtype = options.save_precision};
    save.metadata = resized_metadata(
        file.file->metadata(), report.old_rank, options, like.at("ss_network_alpha"));
    for (const std::string& name : file.others) {
        save.extra.push_back({name, file.file->at(name)});
    }
    save_lora(layers, save);
    report.bytes = file_size_bytes(options.save_to);
    return report;
}

uint64_t resized_bytes(const LoraFile& file, int64_t rank, DType dtype) {
    ResizeOptions options{.new_rank = rank, .save_precision = dtype};
    std::vector<ResultLayer> layers;
    for (const LoraLayer& layer : file.layers) {
        const int64_t kept = rank_limit(layer, options);
        ResultLayer result{layer.name, layer.weight_shape, {}, {}, 1};
        result.up.cols = result.down.rows = kept;
        result.alpha = layer.scale() * static_cast<double>(kept);
        layers.push_back(std::move(result));
    }
    const io::Metadata like = network_metadata(layers, {});
    const io::Metadata metadata = resized_metadata(
        file.file->metadata(), largest_rank(file), options, like.at("ss_network_alpha"));
    std::vector<io::PlannedTensor> planned = planned_tensors(layers, dtype);
    for (const std::string& name : file.others) {
        const TensorView view = file.file->at(name);
        planned.push_back({name, view.dtype, view.shape});
    }
    return io::safetensors_bytes(planned, with_hash_places(metadata));
}

}  // namespace lora::tools

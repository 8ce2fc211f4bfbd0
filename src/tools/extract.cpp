#include "tools/extract.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <memory>

#include <fmt/format.h>

#include "base/error.h"
#include "base/file.h"
#include "base/thread_pool.h"
#include "models/keymap/kohya.h"
#include "models/keymap/text_encoder.h"
#include "tools/internal/merge_parts.h"

namespace lora::tools {
namespace {

using models::LoraTarget;

struct OpenModel {
    io::SafetensorsFile file;
    models::ModelInfo info;
};

OpenModel open_model(const std::string& path) {
    io::SafetensorsFile file = io::SafetensorsFile::open(path);
    const models::ModelInfo info =
        with_context(fmt::format("while reading model file {}", path),
                     [&] { return models::detect_model(file, {.needs_vae = false}); });
    return {std::move(file), info};
}

class Extractor {
public:
    explicit Extractor(const ExtractOptions& options)
        : options_(options),
          original_(open_model(options.model_org)),
          tuned_(open_model(options.model_tuned)) {
        if (original_.info.family != tuned_.info.family ||
            original_.info.text.prefix != tuned_.info.text.prefix) {
            throw Error(ErrorCode::kFormat, "the two models are of different families")
                .with_hint("the tuned model must come from the original one");
        }
    }

    ExtractReport run() {
        const std::vector<LoraTarget> targets = targets_to_extract();
        std::vector<ResultLayer> layers(targets.size());
        std::vector<double> whole(targets.size());
        std::vector<double> kept(targets.size());
        std::atomic<int64_t> done{0};
        ThreadPool pool(options_.threads);
        const auto count = static_cast<int64_t>(targets.size());
        pool.parallel_for(count, [&](int64_t i) {
            const auto at = static_cast<size_t>(i);
            layers[at] = extract(targets[at], whole[at], kept[at]);
            if (options_.on_progress) options_.on_progress(++done, count);
        });
        double all = 0;
        double caught = 0;
        for (size_t i = 0; i < targets.size(); ++i) {
            all += whole[i];
            caught += kept[i];
        }
        if (all == 0) {
            throw Error(ErrorCode::kData, "the two models do not differ in any layer")
                .with_hint("is one a copy of the other?");
        }
        save(layers);
        report_.layers = count;
        report_.kept_share = caught / all;
        return report_;
    }

private:
    [[nodiscard]] Matrix difference(const LoraTarget& target) const {
        const models::StoredTensor stored = models::stored_tensor(target.weight_name);
        const TensorView before = original_.file.at(stored.name);
        const TensorView after = tuned_.file.at(stored.name);
        if (before.shape.num_elements() != after.shape.num_elements()) {
            throw Error(ErrorCode::kFormat,
                        fmt::format("{} has shape {} in one model and {} in the other",
                                    target.weight_name,
                                    before.shape.to_string(),
                                    after.shape.to_string()))
                .with_hint("the tuned model must come from the original one");
        }
        Matrix out;
        out.rows = before.shape[0] / stored.num_parts;
        out.cols = before.shape.num_elements() / before.shape[0];
        out.values = numbers_of(after, stored);
        const std::vector<float> base = numbers_of(before, stored);
        for (size_t i = 0; i < base.size(); ++i) out.values[i] -= base[i];
        release(original_.file, stored.name);
        release(tuned_.file, stored.name);
        return out;
    }

    // Of the rows that the layer is.
    static std::vector<float> numbers_of(const TensorView& whole,
                                         const models::StoredTensor& stored) {
        const size_t bytes = whole.bytes.size() / static_cast<size_t>(stored.num_parts);
        const Shape part{whole.shape.num_elements() / stored.num_parts};
        return to_floats({whole.dtype,
                          part,
                          whole.bytes.subspan(static_cast<size_t>(stored.part) * bytes, bytes)});
    }

    static void release(const io::SafetensorsFile& file, const std::string& name) {
        for (const io::TensorInfo& info : file.tensors()) {
            if (info.name == name) file.release_pages(info);
        }
    }

    [[nodiscard]] bool text_encoder_differs(const std::vector<LoraTarget>& targets) const {
        return std::any_of(targets.begin(), targets.end(), [&](const LoraTarget& target) {
            if (!target.is_text_encoder) return false;
            const Matrix change = difference(target);
            return std::any_of(change.values.begin(), change.values.end(), [&](float value) {
                return std::abs(value) > options_.min_diff;
            });
        });
    }

    [[nodiscard]] std::vector<LoraTarget> targets_to_extract() {
        std::vector<LoraTarget> targets =
            models::list_lora_targets(original_.info, {.conv = options_.conv_rank.has_value()});
        report_.has_text_encoder = text_encoder_differs(targets);
        if (report_.has_text_encoder) return targets;
        report_.notes.push_back(fmt::format(
            "the text encoder differs by no more than {} and was left out", options_.min_diff));
        std::erase_if(targets, [](const LoraTarget& target) { return target.is_text_encoder; });
        return targets;
    }

    [[nodiscard]] ResultLayer extract(const LoraTarget& target, double& whole, double& kept) const {
        const Matrix change = difference(target);
        const bool conv3 = target.kind == models::LayerKind::kConv3x3;
        const int64_t wanted = conv3 ? *options_.conv_rank : options_.rank;
        const int64_t rank = std::min({wanted, change.rows, change.cols});
        const Svd parts = leading_svd(change, rank);
        whole = squared_norm(change);
        kept = 0;
        for (const double s : parts.s) kept += s * s;
        ResultLayer layer =
            internal::layer_from_svd(parts, rank, target.lora_name, target.weight_shape);
        if (options_.clamp_quantile < 1) {
            internal::clamp_to_quantile(layer, options_.clamp_quantile);
        }
        return layer;
    }

    void save(const std::vector<ResultLayer>& layers) const {
        const bool v2 = original_.info.family == models::Family::kSD2;
        const std::string version =
            std::string(v2 ? "sd_v2" : "sd_v1") + (original_.info.v_prediction ? "_v" : "");
        SaveOptions save{.path = options_.save_to, .dtype = options_.save_precision};
        save.metadata = network_metadata(
            layers, {{"ss_v2", v2 ? "True" : "False"}, {"ss_base_model_version", version}});
        save.metadata["ss_network_dim"] = fmt::format("{}", options_.rank);
        save.metadata["ss_network_alpha"] = fmt::format("{}.0", options_.rank);
        if (options_.conv_rank) {
            save.metadata["ss_network_args"] =
                fmt::format(R"({{"conv_dim": {0}, "conv_alpha": {0}.0}})", *options_.conv_rank);
        }
        if (!options_.no_metadata) add_modelspec(save.metadata, options_.save_to);
        save_lora(layers, save);
    }

    const ExtractOptions& options_;
    OpenModel original_;
    OpenModel tuned_;
    ExtractReport report_;
};

}  // namespace

ExtractReport extract_lora(const ExtractOptions& options) { return Extractor(options).run(); }

}  // namespace lora::tools

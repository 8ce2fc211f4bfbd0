#include <algorithm>
#include <cmath>
#include <map>
#include <memory>

#include <fmt/format.h>

#include "base/error.h"
#include "base/file.h"
#include "base/wall_clock.h"
#include "io/tensor_stream.h"
#include "models/family.h"
#include "models/keymap/kohya.h"
#include "models/keymap/text_encoder.h"
#include "models/tensor_list.h"
#include "tools/internal/merge_parts.h"

namespace lora::tools {
namespace {

// One LoRA's part in a tensor of the model.
struct Part {
    const LoraLayer* layer = nullptr;
    double factor = 1;  // ratio * block weight, without the layer's scale
    int64_t part = 0;   // of the tensor's rows that the layer is (OpenCLIP joins three)
    int64_t num_parts = 1;
};

class ModelMerge {
public:
    ModelMerge(std::shared_ptr<const io::SafetensorsFile> model,
               const std::vector<LoraFile>& files,
               const MergeOptions& options)
        : model_(std::move(model)), options_(options) {
        const auto info = models::detect_model(*model_, {.needs_vae = false});
        for (const auto& target : models::list_lora_targets(info, {.conv = true, .ends = true})) {
            add_target(target, files);
        }
    }

    void run(const std::string& merged_from, MergeReport& report) {
        if (num_layers_ == 0) {
            throw Error(ErrorCode::kFormat, "no layer of the LoRA files belongs to this model")
                .with_hint("LoRA and model are of different families");
        }
        std::vector<io::PlannedTensor> planned;
        for (const io::TensorInfo& info : model_->tensors()) {
            const DType dtype = is_float(info.dtype) ? options_.save_precision : info.dtype;
            planned.push_back({info.name, dtype, info.shape});
        }
        const std::string folder = parent_path(options_.save_to);
        if (!folder.empty()) make_directories(folder);
        int64_t done = 0;
        io::write_tensors(options_.save_to, planned, metadata(merged_from), [&](size_t i) {
            if (options_.on_progress) {
                options_.on_progress(++done, static_cast<int64_t>(planned.size()));
            }
            return make(model_->tensors()[i]);
        });
        report.layers = num_layers_;
    }

    [[nodiscard]] int64_t num_layers() const { return num_layers_; }

private:
    void add_target(const models::LoraTarget& target, const std::vector<LoraFile>& files) {
        for (size_t i = 0; i < files.size(); ++i) {
            const LoraLayer* layer = files[i].find(target.lora_name);
            if (layer == nullptr) continue;
            const MergeInput& input = options_.inputs[i];
            const models::StoredTensor stored = models::stored_tensor(target.weight_name);
            parts_[stored.name].push_back({layer,
                                           input.ratio * input.blocks.of(target.lora_name),
                                           stored.part,
                                           stored.num_parts});
            ++num_layers_;
        }
    }

    // What the model's file said, and that it was merged.
    [[nodiscard]] io::Metadata metadata(const std::string& merged_from) const {
        io::Metadata metadata = model_->metadata();
        if (options_.no_metadata) return metadata;
        metadata["modelspec.merged_from"] = merged_from;
        metadata["modelspec.title"] = without_extension(base_name(options_.save_to));
        metadata["modelspec.date"] = iso_time(file_time());
        for (const char* key : {"modelspec.hash_sha256", "modelspec.thumbnail"})
            metadata.erase(key);
        return metadata;
    }

    // The tensor as it stands in the merged file.
    std::span<const std::byte> make(const io::TensorInfo& info) {
        const TensorView view = model_->view(info);
        if (!is_float(info.dtype)) return view.bytes;
        const auto parts = parts_.find(info.name);
        if (parts == parts_.end()) {
            made_ = to_dtype(view, options_.save_precision);
        } else {
            merge(info, view, parts->second);
        }
        model_->release_pages(info);
        return made_.bytes();
    }

    void merge(const io::TensorInfo& info, const TensorView& view, const std::vector<Part>& parts) {
        Matrix weight;
        weight.rows = info.shape[0];
        weight.cols = info.shape.num_elements() / info.shape[0];
        weight.values = to_floats(view);
        internal::round_to(options_.precision, weight.values);
        // IA3 reads the numbers before the merge; the others only look at their shape.
        const bool reads_base = std::any_of(parts.begin(), parts.end(), [](const Part& part) {
            return part.layer->kind == nn::LoraKind::kIa3;
        });
        const Matrix base = reads_base ? weight : Matrix();
        for (const Part& part : parts) {
            add(part, reads_base ? base : weight, weight);
            internal::round_to(options_.precision, weight.values);
        }
        check_finite(info.name, weight);
        const TensorView floats{
            DType::kF32, info.shape, std::as_bytes(std::span<const float>(weight.values))};
        made_ = to_dtype(floats, options_.save_precision);
    }

    // Adds one layer's change to the rows that are its.
    void add(const Part& part, const Matrix& base, Matrix& weight) const {
        const int64_t rows = weight.rows / part.num_parts;
        const auto first = static_cast<std::ptrdiff_t>(part.part * rows * weight.cols);
        Matrix change(rows, weight.cols);
        if (part.num_parts == 1) {
            add_weight_change(*part.layer, part.factor, base, change);
        } else {
            Matrix own(rows, weight.cols);
            std::copy_n(base.values.begin() + first, own.values.size(), own.values.begin());
            add_weight_change(*part.layer, part.factor, own, change);
        }
        internal::round_to(options_.precision, change.values);
        auto target = weight.values.begin() + first;
        for (const float value : change.values) *target++ += value;
    }

    static void check_finite(const std::string& name, const Matrix& weight) {
        for (const float value : weight.values) {
            if (std::isfinite(value)) continue;
            throw Error(ErrorCode::kNumeric,
                        fmt::format("{} would hold a value that is not finite", name))
                .with_hint("the base model has such values, or a ratio is too large");
        }
    }

    std::shared_ptr<const io::SafetensorsFile> model_;
    const MergeOptions& options_;
    std::map<std::string, std::vector<Part>> parts_;  // by the model's tensor
    int64_t num_layers_ = 0;
    Tensor made_;  // lives until the next one is asked for
};

}  // namespace

MergeReport merge_into_model(const std::string& model_path, const MergeOptions& options) {
    if (options.kohya && options.concat) {
        throw Error(ErrorCode::kConfig, "concat has no meaning for a merge into a model");
    }
    const std::vector<LoraFile> files = internal::open_inputs(options);
    const auto model =
        std::make_shared<const io::SafetensorsFile>(io::SafetensorsFile::open(model_path));
    MergeReport report;
    const auto merge = with_context(fmt::format("while reading model file {}", model_path), [&] {
        return std::make_unique<ModelMerge>(model, files, options);
    });
    int64_t all = 0;
    for (const LoraFile& file : files) all += static_cast<int64_t>(file.layers.size());
    if (merge->num_layers() < all && merge->num_layers() > 0) {
        report.notes.push_back(
            fmt::format("{} layers of the LoRA files do not belong to this model and were left out",
                        all - merge->num_layers()));
    }
    merge->run(internal::merged_from(files), report);
    return report;
}

}  // namespace lora::tools

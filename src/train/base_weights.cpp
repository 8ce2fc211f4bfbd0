#include "train/base_weights.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "base/error.h"
#include "base/log.h"
#include "models/keymap/kohya.h"
#include "models/lora_file_weights.h"
#include "train/graph_runner.h"

namespace lora::train {
namespace {

class Merger {
public:
    Merger(backend::Backend& backend, TensorSource base)
        : backend_(&backend), base_(std::move(base)), factors_(backend) {}

    void add(const std::string& path, double multiplier, const models::ModelInfo& info) {
        with_context(fmt::format("while reading base_weights {}", path), [&] {
            const auto file =
                std::make_shared<const io::SafetensorsFile>(io::SafetensorsFile::open(path));
            const models::LoraFileContent content = models::read_lora_file(*file, info);
            if (!content.unknown.empty()) {
                log::warning("{}: {} modules do not belong to this model, first {}",
                             path,
                             content.unknown.size(),
                             content.unknown.front());
            }
            const std::string prefix = fmt::format("base{}/", num_files_++);
            for (const models::LoraModule& module : content.modules) {
                shapes_[module.target.weight_name] = module.target.weight_shape;
            }
            factors_.add_source(file_source(file, prefix));
            models::attach_frozen(content, multiplier, prefix, attachments_);
            log::info("{}: {} modules merged into the base model, {} times",
                      path,
                      content.modules.size(),
                      multiplier);
        });
    }

    [[nodiscard]] std::optional<SourceTensor> find(const std::string& name) {
        std::optional<SourceTensor> found = base_(name);
        const auto shape = shapes_.find(name);
        if (!found || shape == shapes_.end()) return found;
        ir::Graph graph;
        ir::Builder builder(graph);
        const nn::NetContext net{.builder = &builder};
        const Shape& weight = shape->second;
        ir::ValueId w = builder.input("w", DType::kF32, weight);
        for (const nn::LoraAttachment& attachment : attachments_.find(name)) {
            w = builder.reshape(nn::changed_weight(net, attachment, weight, w), weight);
        }
        graph.mark_output(builder.scale(w, 1), "merged");
        GraphRunner runner(*backend_, factors_, std::move(graph), {});
        const Tensor wide = to_dtype(found->view, DType::kF32);
        runner.set("w", wide.view());
        runner.run();
        const auto merged = std::make_shared<const Tensor>(runner.get("merged"));
        factors_.forget("base");
        return SourceTensor{{DType::kF32, found->view.shape, merged->bytes()}, merged};
    }

private:
    backend::Backend* backend_;
    TensorSource base_;
    WeightStore factors_;
    nn::LoraAttachments attachments_;
    std::map<std::string, Shape> shapes_;  // of the weights that files change
    int num_files_ = 0;
};

}  // namespace

TensorSource merged_source(backend::Backend& backend,
                           const models::ModelInfo& info,
                           const NetworkOptions& options,
                           TensorSource base) {
    if (options.base_weights.empty()) return base;
    const auto merger = std::make_shared<Merger>(backend, std::move(base));
    for (size_t i = 0; i < options.base_weights.size(); ++i) {
        merger->add(options.base_weights[i], options.base_multiplier(i), info);
    }
    return [merger](const std::string& name) { return merger->find(name); };
}

void fill_magnitudes(const Network& network,
                     const models::ModelInfo& info,
                     const TensorSource& source,
                     DType dtype,
                     std::span<float> values) {
    const std::string ending = "." + std::string(nn::kMagnitude);
    const auto& entries = network.entries();
    if (std::none_of(entries.begin(), entries.end(), [&](const ParameterEntry& entry) {
            return entry.key.ends_with(ending);
        })) {
        return;
    }
    std::map<std::string, std::string> weight_names;
    for (const models::LoraTarget& target :
         models::list_lora_targets(info, {.conv = true, .ends = true})) {
        weight_names[target.lora_name] = target.weight_name;
    }
    for (const LoraModule& module : network.modules()) {
        const ParameterEntry* entry = network.find(module.name + ending);
        if (entry == nullptr) continue;
        const std::string& name = weight_names.at(module.name);
        const std::optional<SourceTensor> weight = source(name);
        if (!weight) {
            throw Error(ErrorCode::kFormat, fmt::format("no file holds the tensor \"{}\"", name));
        }
        const Tensor rounded = to_dtype(weight->view, dtype);
        const std::vector<float> numbers = to_floats(rounded.view());
        const size_t row = numbers.size() / static_cast<size_t>(entry->count);
        for (int64_t r = 0; r < entry->count; ++r) {
            double sum = 0;
            for (size_t i = 0; i < row; ++i) {
                const auto x = static_cast<double>(numbers[static_cast<size_t>(r) * row + i]);
                sum += x * x;
            }
            values[static_cast<size_t>(entry->offset + r)] = static_cast<float>(std::sqrt(sum));
        }
    }
}

}  // namespace lora::train

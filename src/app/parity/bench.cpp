// The models that golden cases are computed with.
#include <fmt/format.h>

#include "app/parity/parity.h"
#include "base/error.h"
#include "models/hash_model.h"

namespace lora::parity {

train::TensorSource hash_source(const std::vector<models::TensorSpec>& specs) {
    std::map<std::string, Shape> shapes;
    for (const models::TensorSpec& spec : specs) shapes.emplace(spec.name, spec.shape);
    return [shapes](const std::string& name) -> std::optional<train::SourceTensor> {
        const models::StoredTensor stored = models::stored_tensor(name);
        const auto found = shapes.find(stored.name);
        if (found == shapes.end()) return std::nullopt;
        const auto tensor =
            std::make_shared<const Tensor>(models::hash_weight(stored.name, found->second));
        return train::part_of({tensor->view(), tensor}, stored);
    };
}

void Bench::choose_model(const CaseFile& golden) {
    chosen_.clear();
    if (model_is_named_ || !golden.params.contains("model")) return;
    chosen_ = golden.text("model");
    if (chosen_ != "sd21-mini") {
        throw Error(ErrorCode::kFormat,
                    fmt::format("golden case {}: model \"{}\" is not known", golden.name, chosen_))
            .with_hint("sd21-mini is, or name a file with --model");
    }
}

Bench::Model& Bench::model() {
    std::unique_ptr<Model>& model = models_[chosen_];
    if (model) return *model;
    if (chosen_.empty()) {
        auto file = std::make_shared<io::SafetensorsFile>(io::SafetensorsFile::open(model_path_));
        model = std::make_unique<Model>(
            Model{models::detect_model(*file), train::WeightStore(*backend_)});
        model->weights.add_source(train::file_source(std::move(file)));
    } else {
        model =
            std::make_unique<Model>(Model{models::sd21_mini_info(), train::WeightStore(*backend_)});
        model->weights.add_source(hash_source(models::model_tensors(model->info)));
    }
    return *model;
}

}  // namespace lora::parity

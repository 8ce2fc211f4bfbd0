// The runners of golden cases, one a kind; each computes the case and reports every tensor.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "app/parity/case_file.h"
#include "app/parity/report.h"
#include "models/family.h"
#include "models/tensor_list.h"
#include "train/weight_binding.h"

namespace lora::parity {

// The device that all cases of one call share, and the base model of the case at hand: the file
// that was named, else what the case's parameter `model` says ("sd21-mini": computed by the hash
// rule), else the mini model's file.
class Bench {
public:
    Bench(backend::Backend& backend, DType dtype, std::string default_model, bool model_is_named)
        : backend_(&backend),
          dtype_(dtype),
          model_path_(std::move(default_model)),
          model_is_named_(model_is_named) {}

    [[nodiscard]] backend::Backend& device() { return *backend_; }
    [[nodiscard]] DType dtype() const { return dtype_; }
    // Before a case is computed. Models are opened on first use. Errors  kFormat.
    void choose_model(const CaseFile& golden);
    [[nodiscard]] const models::ModelInfo& info() { return model().info; }
    [[nodiscard]] train::WeightStore& weights() { return model().weights; }

private:
    struct Model {
        models::ModelInfo info;
        train::WeightStore weights;
    };
    [[nodiscard]] Model& model();

    backend::Backend* backend_;
    DType dtype_;
    std::string model_path_;
    bool model_is_named_ = false;
    std::string chosen_;  // of hash models; empty: the file
    std::map<std::string, std::unique_ptr<Model>> models_;
};

// Weights by the hash rule (models/hash_model.h) of the tensors that a model's file would hold.
[[nodiscard]] train::TensorSource hash_source(const std::vector<models::TensorSpec>& specs);

void run_clip_text(Bench& bench, const CaseFile& golden, Report& report);
void run_vae(Bench& bench, const CaseFile& golden, Report& report);
void run_unet(Bench& bench, const CaseFile& golden, Report& report);
void run_train_steps(Bench& bench, const CaseFile& golden, Report& report);
void run_network(Bench& bench, const CaseFile& golden, Report& report);
void run_sample(Bench& bench, const CaseFile& golden, Report& report);
// Computes its own full-size model; the bench's model file is not read.
void run_full_unet(Bench& bench, const CaseFile& golden, Report& report);

}  // namespace lora::parity

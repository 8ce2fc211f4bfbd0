// The runners of golden cases, one a kind; each computes the case and reports every tensor.
#pragma once

#include <memory>
#include <string>

#include "app/parity/case_file.h"
#include "app/parity/report.h"
#include "models/family.h"
#include "train/weight_binding.h"

namespace lora::parity {

// The base model and the device that all cases of one call share.
class Bench {
public:
    Bench(backend::Backend& backend, DType dtype, std::string model_path)
        : backend_(&backend),
          dtype_(dtype),
          model_path_(std::move(model_path)),
          weights_(backend) {}

    [[nodiscard]] backend::Backend& device() { return *backend_; }
    [[nodiscard]] DType dtype() const { return dtype_; }
    // Opens the model file on first use.
    [[nodiscard]] const models::ModelInfo& info();
    [[nodiscard]] train::WeightStore& weights();

private:
    void open_model();

    backend::Backend* backend_;
    DType dtype_;
    std::string model_path_;
    bool opened_ = false;
    models::ModelInfo info_;
    train::WeightStore weights_;
};

void run_clip_text(Bench& bench, const CaseFile& golden, Report& report);
void run_vae(Bench& bench, const CaseFile& golden, Report& report);
void run_unet(Bench& bench, const CaseFile& golden, Report& report);
void run_train_steps(Bench& bench, const CaseFile& golden, Report& report);
void run_sample(Bench& bench, const CaseFile& golden, Report& report);
// Computes its own full-size model; the bench's model file is not read.
void run_full_unet(Bench& bench, const CaseFile& golden, Report& report);

}  // namespace lora::parity

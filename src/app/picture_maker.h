// A base model with LoRA files on top, ready to draw: what `lora sample` and the demo share.
// Not the sampling itself (train/image_sampler.h).
// Errors   kFormat for files of the wrong kind, kIo. Threads  one thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "models/lora_file_weights.h"
#include "train/image_sampler.h"

namespace lora::app {

struct ModelUse {
    std::string path;
    std::string vae = {};                   // another file's VAE; empty: the model's own
    std::optional<bool> v_prediction = {};  // none: as the model file says
};

struct LoraUse {
    std::string path;
    double weight = 1;
};

class PictureMaker {
public:
    // The backend must outlive the object; the frozen weights are shared by all samplers.
    PictureMaker(backend::Backend& backend, const ModelUse& model, DType dtype);

    [[nodiscard]] const models::ModelInfo& info() const { return info_; }
    [[nodiscard]] DType dtype() const { return dtype_; }  // of the computations
    [[nodiscard]] train::WeightStore& weights() { return weights_; }

    // Reads the file once; the answer is its place in the lists given to attachments().
    size_t add_lora(const std::string& path);
    // Branches of the files at `weights[i]`, none for weight 0.
    [[nodiscard]] nn::LoraAttachments attachments(const std::vector<double>& weights) const;
    // clip_skip nothing: what the model was trained with.
    [[nodiscard]] std::unique_ptr<train::ImageSampler> sampler(
        const std::vector<double>& weights, std::optional<int64_t> clip_skip = std::nullopt);

private:
    backend::Backend* backend_;
    DType dtype_;
    models::ModelInfo info_;
    train::WeightStore weights_;
    std::vector<models::LoraFileContent> loras_;
};

}  // namespace lora::app

// What the graphs of a run are written from: the model's sizes, the trainable network and the
// numeric type. Holds no weights and no device. Threads  plain values.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "diffusion/prediction.h"
#include "models/family.h"
#include "models/lora_file_weights.h"
#include "tensor/dtype.h"
#include "train/network.h"
#include "train/train_options.h"

namespace lora::train {

struct TrainModel {
    models::ModelInfo info;
    Network network;
    nn::LoraAttachments attachments;
    bool train_text_encoder = true;  // gradients reach the text encoder's modules
    bool train_unet = true;
    DType dtype = DType::kF32;
    bool quantize_base = false;  // frozen matrices and filters in 8 bits
    diffusion::PredictionType prediction = diffusion::PredictionType::kEpsilon;
    int64_t clip_skip = 1;
};

struct TrainModelOptions {
    DType dtype = DType::kF32;
    bool quantize_base = false;
    diffusion::PredictionType prediction = diffusion::PredictionType::kEpsilon;
    int64_t clip_skip = 1;
    bool train_text_encoder = true;
    bool train_unet = true;
    // Modules of a part that is not trained are computed with anyway (their matrices come from a
    // file); otherwise they are zero and left out.
    bool attach_untrained = false;
};

// `modules` in kohya's order.
[[nodiscard]] TrainModel make_train_model(const models::ModelInfo& info,
                                          const std::vector<models::LoraModule>& modules,
                                          const TrainModelOptions& options);

// The modules that the options ask for: every layer of the wanted parts at network_dim (3x3 layers
// with network_args conv_dim and conv_alpha), or those of a file with dim_from_weights.
// Errors  kConfig, kFormat.
[[nodiscard]] std::vector<models::LoraModule> choose_modules(const models::ModelInfo& info,
                                                             const NetworkOptions& options);

}  // namespace lora::train

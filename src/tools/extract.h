// Makes a LoRA of the difference between two models: the best approximation of each layer's change
// by a given rank.
// Errors   kFormat when the models are of different families, kData when nothing differs, kIo.
// Source   training-semantics 12.3 (sd-scripts extract_lora_from_models).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tensor/dtype.h"
#include "tools/merge.h"

namespace lora::tools {

struct ExtractOptions {
    std::string model_org;
    std::string model_tuned;
    std::string save_to;
    int64_t rank = 4;
    std::optional<int64_t> conv_rank;  // of residual blocks and samplers; absent: not extracted
    double clamp_quantile = 0.99;      // 1: no clamping
    double min_diff = 0.01;            // the text encoder is left out when it differs by no more
    DType save_precision = DType::kF32;
    bool no_metadata = false;
    int threads = 0;
    Progress on_progress = {};
};

struct ExtractReport {
    int64_t layers = 0;
    bool has_text_encoder = false;
    double kept_share = 0;  // of the squared differences in the layers that were looked at
    std::vector<std::string> notes;
};

ExtractReport extract_lora(const ExtractOptions& options);

}  // namespace lora::tools

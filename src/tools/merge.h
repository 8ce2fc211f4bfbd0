// Merges LoRA files, each with a ratio and weights by block, into one LoRA or into a model file.
// Linear in the changes: the result is W0 + sum of ratio * block weight * alpha / rank * up down.
// sd-scripts' own product of merged files (each tensor times ratio) is `kohya`.
// Errors   kConfig for options that do not go together, kFormat, kIo, kNumeric.
// Threads  one call uses `threads` of its own.
// Source   training-semantics 12.1 and 12.4; block weights as in sd-scripts' lbws (17 or 26 values,
//          the first is the text encoder's).
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/dtype.h"

namespace lora::tools {

struct BlockWeights {
    double text_encoder = 1;
    std::array<double, 25> unet{};  // by slot: 12 input blocks, the middle, 12 output blocks
    BlockWeights() { unet.fill(1); }
    // Of a layer under sd-scripts' name.
    [[nodiscard]] double of(std::string_view layer) const;
};
// "1,0,0.5,..." of 17 values (text encoder, then the 16 blocks that have attention; the others keep
// 1) or 26 (all 25 blocks); brackets allowed. Errors  kConfig.
[[nodiscard]] BlockWeights parse_block_weights(std::string_view text);

struct MergeInput {
    std::string path;
    double ratio = 1;
    BlockWeights blocks = {};
};

// May be called from any of the working threads.
using Progress = std::function<void(int64_t done, int64_t total)>;

struct MergeOptions {
    std::vector<MergeInput> inputs;
    std::string save_to;
    DType precision = DType::kF32;  // numbers are rounded to it on the way
    DType save_precision = DType::kF32;
    // Ranks of the result, by singular values; absent: the ranks of the files added up.
    std::optional<int64_t> new_rank;
    std::optional<int64_t> new_conv_rank;  // of 3x3 layers; absent: new_rank
    // Values of both factors are clamped to this quantile of them; 1: not. With new_rank.
    double clamp_quantile = 1;
    bool kohya = false;
    bool concat = false;  // with kohya: ranks side by side instead of added tensors
    bool no_metadata = false;
    int threads = 0;
    Progress on_progress = {};
};

struct MergeReport {
    int64_t layers = 0;
    std::vector<int64_t> ranks;  // distinct, ascending; empty for a model
    std::vector<std::string> notes;
};

// Into a LoRA file.
MergeReport merge_loras(const MergeOptions& options);
// Into a copy of the model file: every tensor is read, changed and written by itself, so that the
// memory needed is that of the largest layer. Floating point tensors get save_precision.
MergeReport merge_into_model(const std::string& model_path, const MergeOptions& options);

}  // namespace lora::tools

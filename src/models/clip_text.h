// CLIP's text encoder (ViT-L/14 in SD 1.x, OpenCLIP's ViT-H/14 in SD 2.x): windows of 77 token ids
// to hidden states. Not the tokenizer (text/), not prompt weights.
// Source   Radford et al., arXiv:2103.00020; quick GELU x * sigmoid(1.702 x).
#pragma once

#include <string>

#include "models/keymap/text_encoder.h"
#include "nn/lora.h"

namespace lora::models {

struct ClipTextConfig {
    std::string prefix = "cond_stage_model.transformer.text_model.";  // of the tensor names
    int64_t width = 768;
    int64_t layers = 12;  // that run; SD 2.x leaves the last one of its file out
    int64_t heads = 12;
    int64_t hidden = 3072;  // of the two-layer networks
    int64_t vocabulary = 49408;
    int64_t positions = 77;
    TextLayout layout = TextLayout::kTransformers;
    bool exact_gelu = false;  // as OpenCLIP has it; else quick GELU
};

// ids [M, T <= 77] I32 -> [M, T, width]. clip_skip counts layers from the end (0 and 1: all run,
// 2: the last is left out); the final layer norm is applied either way.
// Errors   kConfig when clip_skip leaves no layer.
[[nodiscard]] nn::ValueId build_clip_text(const nn::NetContext& net,
                                          const ClipTextConfig& config,
                                          nn::ValueId ids,
                                          int64_t clip_skip = 1);

// Training: states [N * C, 77, D] of C windows a caption -> [N, 75 C + 2, D]: first state of the
// first window, 75 of each, last state of the last.
[[nodiscard]] nn::ValueId join_chunks(const nn::NetContext& net,
                                      nn::ValueId states,
                                      int64_t num_chunks);
// Sampling: all 77 of every window, [N, 77 C, D].
[[nodiscard]] nn::ValueId stack_chunks(const nn::NetContext& net,
                                       nn::ValueId states,
                                       int64_t num_chunks);

}  // namespace lora::models

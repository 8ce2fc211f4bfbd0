// What a LoRA learned, read from its numbers alone: how much each block changes, how many of its
// ranks carry that change, which layers never moved, and the rank that would do.
// Errors   kFormat when a factor holds values that are not finite.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tools/lora_layers.h"

namespace lora::tools {

struct LayerAnalysis {
    std::string name;
    int block = -1;
    int64_t rank = 0;
    double energy = 0;          // squared Frobenius norm of the change, its scale included
    double effective_rank = 0;  // exp of the entropy of the squared singular values; 0: unmoved
};

struct BlockAnalysis {
    int block = -1;  // lora_keys.h, block_name
    int64_t layers = 0;
    double energy = 0;
    double effective_rank = 0;  // mean over its layers that moved
};

struct LoraAnalysis {
    std::vector<LayerAnalysis> layers;  // by name
    std::vector<BlockAnalysis> blocks;  // text encoder first; only those that have layers
    std::vector<std::string> unmoved;   // layers whose change is zero
    double energy = 0;
    double effective_rank = 0;  // mean over the layers that moved
    // The smallest rank for all layers that keeps kept_share of the energy; 0 when it would not be
    // smaller, or the file is no LoRA of two matrices.
    int64_t suggested_rank = 0;
    uint64_t suggested_bytes = 0;  // of the file then, exactly, in the type it has
    double kept_share = 0;         // of the energy at the suggested rank
};

struct AnalyzeOptions {
    double kept_share = 0.99;
    int threads = 0;
};

// Of LoRA and LoCon. LoHa and LoKr give energies without ranks; IA3, whose change depends on the
// base model, gives nothing.
[[nodiscard]] LoraAnalysis analyze_lora(const LoraFile& file, const AnalyzeOptions& options = {});

}  // namespace lora::tools

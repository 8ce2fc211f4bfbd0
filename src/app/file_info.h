// What a safetensors file is, for `lora inspect`: a base model or a network, its sizes, its words.
// Not for training: models/family.h decides what can be trained on.
// Errors   kIo, kFormat from reading; any well-formed file gets an answer, at worst "unknown".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "io/safetensors.h"
#include "tools/analyze.h"

namespace lora::app {

struct TriggerWord {
    std::string word;
    int64_t count = 0;     // captions that hold it
    int64_t captions = 0;  // captions of the folders where it occurs; 0: unknown
};

struct FileInfo {
    std::string kind;    // model, vae, lora, locon, loha, lokr, unknown
    std::string family;  // sd1, sd2, sdxl, unknown
    int64_t modules = 0;
    int64_t num_parameters = 0;
    std::vector<int64_t> ranks;  // distinct, ascending
    std::vector<double> alphas;  // distinct, ascending
    std::vector<std::string> dtypes;
    uint64_t bytes = 0;
    int64_t unet_modules = 0;
    int64_t text_encoder_modules = 0;
    std::vector<std::string> notes;  // what a model consists of, why it cannot be trained on
    std::vector<TriggerWord> trigger_words;
    io::Metadata metadata;
    std::optional<tools::LoraAnalysis> analysis;  // of a LoRA, when asked for
};

enum class InspectDepth {
    kNames,    // names, shapes and metadata: instant
    kNumbers,  // a LoRA's numbers too: seconds
};
[[nodiscard]] FileInfo inspect_file(const std::string& path,
                                    InspectDepth depth = InspectDepth::kNames);

// The words that bring the concept back, from `ss_tag_frequency` and `ss_dataset_dirs`: those in
// nearly every caption, folder names first; at most `limit`.
[[nodiscard]] std::vector<TriggerWord> trigger_words(const io::Metadata& metadata, size_t limit);

}  // namespace lora::app

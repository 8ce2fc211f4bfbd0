// The `ss_*` and `modelspec.*` metadata of a LoRA file, in Python's text forms as sd-scripts writes
// them. Not the `sshs_*` hashes: save_lora adds those.
// Threads  plain values. Source: training-semantics 9.4; docs/formats/lora_file.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "data/epoch_plan.h"
#include "data/steps.h"
#include "io/safetensors.h"
#include "models/family.h"
#include "train/train_options.h"

namespace lora::train {

// What identifies a run; kept in the train state so that a resumed run goes on as the same one.
struct RunIdentity {
    uint64_t seed = 0;
    uint64_t session_id = 0;  // random in 0..2^32
    double started_at = 0;    // Unix time
};

// A new identity. With SOURCE_DATE_EPOCH set it depends on the seed alone.
[[nodiscard]] RunIdentity new_identity(std::optional<uint64_t> seed);

// Hashes of a model file as kohya writes them.
struct FileHashes {
    std::string name;         // base name
    std::string legacy_hash;  // 8 digits over bytes 0x100000..0x110000
    std::string sha256;       // of the whole file
};
[[nodiscard]] FileHashes hash_model_file(const std::string& path);
// The 8 digits alone: cheap, and different for different models.
[[nodiscard]] std::string legacy_model_hash(const std::string& path);

struct MetadataInputs {
    const TrainOptions* options = nullptr;
    const data::BucketedDataset* data = nullptr;
    data::StepPlan steps;
    RunIdentity identity;
    FileHashes model = {};
    std::optional<FileHashes> vae = {};  // only with --vae
    models::Family family = models::Family::kSD1;
};

// Where in the run the file is written (training-semantics 9.1).
struct SavePlace {
    int64_t step = 0;
    int64_t epoch = 0;
    double finished_at = 0;  // Unix time
};

[[nodiscard]] io::Metadata make_metadata(const MetadataInputs& inputs, const SavePlace& place);

}  // namespace lora::train

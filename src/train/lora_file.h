// LoRA files as kohya's networks.lora writes them: `<module>.alpha`, `<module>.lora_down.weight`,
// `<module>.lora_up.weight`, metadata with hashes. Layout: docs/formats/lora_file.md.
// Not the metadata's content (metadata.h), not other networks.
// Errors   kIo, kFormat; kConfig when a file does not fit the network.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "io/safetensors.h"
#include "tensor/dtype.h"
#include "train/network.h"

namespace lora::train {

// "fp16", "bf16", "float" or "" (as in memory: fp32). Errors  kConfig.
[[nodiscard]] DType save_dtype(const std::string& save_precision);

// Writes the network; `values` is the flat buffer. The `sshs_*` hashes are added to `metadata`.
void save_lora(const std::string& path,
               const Network& network,
               std::span<const float> values,
               DType dtype,
               io::Metadata metadata);

struct LoadReport {
    std::vector<std::string> missing;     // keys of the network that the file lacks
    std::vector<std::string> unexpected;  // keys of the file that the network lacks
};

// Overwrites `values` with the file's matrices. A module whose stored alpha differs from the
// network's is refused: scale and alpha would drift apart.
LoadReport load_lora(const std::string& path, const Network& network, std::span<float> values);

struct RankAlpha {
    int64_t rank = 0;
    double alpha = 0;  // the rank when the file has none
};
// Rank and alpha of every module in a file, by module name.
[[nodiscard]] std::map<std::string, RankAlpha> ranks_of_file(const std::string& path);

}  // namespace lora::train

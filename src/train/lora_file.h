// LoRA files as kohya's networks.lora and LyCORIS write them: `<module>.alpha` and the factors,
// `<module>.lora_down.weight`, `<module>.hada_w1_a`, ...; metadata with hashes. Layout:
// docs/formats/lora_file.md. Not the metadata's content (metadata.h).
// Errors   kIo, kFormat; kConfig when a file does not fit the network.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "io/safetensors.h"
#include "tensor/dtype.h"
#include "train/network.h"

namespace lora::train {

// "fp16", "bf16", "float" or "" (as in memory: fp32). Errors  kConfig.
[[nodiscard]] DType save_dtype(const std::string& save_precision);

// The tensors' bytes of a file that save_lora would write.
[[nodiscard]] size_t lora_file_bytes(const Network& network, DType dtype);

// Writes the network; `values` is the flat buffer. The `sshs_*` hashes are added to `metadata`. A
// path that ends otherwise than in .safetensors becomes a PyTorch file, which has no place for
// metadata.
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

}  // namespace lora::train

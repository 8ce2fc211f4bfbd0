// A LoRA that a tool made: its layers in memory, and how they become a file. The names and metadata
// are sd-scripts'. Not the numbers' origin.
// Errors   kIo; kNumeric when a layer holds a value that is not finite in the file's type.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "io/safetensors.h"
#include "io/tensor_stream.h"
#include "tools/lora_keys.h"
#include "tools/matrix.h"

namespace lora::tools {

struct ResultLayer {
    std::string name;    // sd-scripts' name
    Shape weight_shape;  // [out, in] or [out, in, k, k]
    Matrix up;           // [out, r]
    Matrix down;         // [r, in * k * k]
    double alpha = 1;
    [[nodiscard]] int64_t rank() const { return down.rows; }
};

struct SaveOptions {
    std::string path;  // .safetensors; any other ending: a PyTorch file
    DType dtype = DType::kF32;
    io::Metadata metadata = {};               // the sshs_ hashes are added
    KeyStyle style = KeyStyle::kKohya;        // diffusers: alpha / rank is multiplied into lora_B
    std::vector<io::NamedTensor> extra = {};  // copied as they are
};

void save_lora(const std::vector<ResultLayer>& layers, const SaveOptions& options);

// The tensors of such a file under sd-scripts' names; only sizes, ranks and alphas of the layers
// are read.
[[nodiscard]] std::vector<io::PlannedTensor> planned_tensors(const std::vector<ResultLayer>& layers,
                                                             DType dtype);
// The metadata with both sshs_ hashes at their full length.
[[nodiscard]] io::Metadata with_hash_places(io::Metadata metadata);

// "fp16", "bf16", "float"; nothing for other words.
[[nodiscard]] std::optional<DType> precision_from_word(std::string_view word);

// What sd-scripts writes about a network that was not trained but made: ss_network_module, _dim,
// _alpha ("Dynamic" unless equal in all layers), and what `like` says of ss_v2 and
// ss_base_model_version.
[[nodiscard]] io::Metadata network_metadata(const std::vector<ResultLayer>& layers,
                                            const io::Metadata& like);
// modelspec: title from the file's name, date, architecture by ss_v2, merged_from when not empty.
void add_modelspec(io::Metadata& metadata,
                   const std::string& path,
                   const std::string& merged_from = {});

}  // namespace lora::tools

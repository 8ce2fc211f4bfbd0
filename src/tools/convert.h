// Files from one form into another: PyTorch's and safetensors, number formats, and for LoRA files
// the names of sd-scripts and of diffusers.
// Errors   kConfig for a conversion that loses something, kFormat, kIo.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tools/lora_keys.h"
#include "tools/lora_result.h"

namespace lora::tools {

struct ConvertOptions {
    std::string path = {};
    std::string save_to = {};                  // .safetensors, .ckpt, .pt
    std::optional<DType> save_precision = {};  // of floating point tensors; absent: as they are
    std::optional<KeyStyle> key_style = {};    // of a LoRA file; absent: as it is
};

struct ConvertReport {
    int64_t tensors = 0;
    std::vector<std::string> notes;
};

ConvertReport convert_file(const ConvertOptions& options);

}  // namespace lora::tools

// Writing files whose tensors are made one after another: models larger than the memory that is
// left. The same layouts as write_safetensors and write_checkpoint.
// Errors   kIo; kFormat for a PyTorch file beyond 4 GiB; what the maker throws. The file appears
//          whole or not at all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "io/safetensors.h"

namespace lora::io {

struct PlannedTensor {
    std::string name;
    DType dtype = DType::kF32;
    Shape shape;
    [[nodiscard]] size_t num_bytes() const;
};

// Called once for each tensor of the list, in the order of the file, with its place in the list;
// the bytes are read before the next call.
using TensorMaker = std::function<std::span<const std::byte>(size_t index)>;

void write_safetensors(const std::string& path,
                       const std::vector<PlannedTensor>& tensors,
                       const Metadata& metadata,
                       const TensorMaker& maker);
void write_checkpoint(const std::string& path,
                      const std::vector<PlannedTensor>& tensors,
                      const TensorMaker& maker);

// Bytes of the file that write_safetensors would write.
[[nodiscard]] uint64_t safetensors_bytes(const std::vector<PlannedTensor>& tensors,
                                         const Metadata& metadata);

// By the path's ending: .safetensors, or a PyTorch file, which has no place for metadata.
void write_tensors(const std::string& path,
                   const std::vector<PlannedTensor>& tensors,
                   const Metadata& metadata,
                   const TensorMaker& maker);

}  // namespace lora::io

// PyTorch files (.ckpt, .pt, .pth, .bin): what torch.save writes, the zip of today and the stream
// of files before 1.6 of PyTorch. The pickle in them is read as data, nothing in it runs. Not for
// other programs' archives. Source   torch.serialization (the layout of both forms),
// training-semantics 9.1.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "io/safetensors.h"

namespace lora::io {

// Whether the bytes start as such a file does.
[[nodiscard]] bool looks_like_checkpoint(std::span<const std::byte> bytes);

// The tensors of the dictionary in the file, or of its entry "state_dict"; offsets count from the
// start of the file. Left out: averaged copies ("model_ema."), tensors of types that no model uses,
// everything that is no tensor. Errors  kFormat.
[[nodiscard]] std::vector<TensorInfo> read_checkpoint(std::span<const std::byte> bytes);

// A dictionary of tensors that torch.load reads, weights_only or not. Errors  kIo; kFormat beyond
// 4 GiB.
void write_checkpoint(const std::string& path, const std::vector<NamedTensor>& tensors);

}  // namespace lora::io

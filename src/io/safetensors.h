// safetensors files: reading (mapped, every header field checked) and writing. PyTorch's files are
// opened by the same calls (torch_checkpoint.h), so that whoever reads tensors need not care.
// Not for what the tensors mean: names are recognised in models/ and train/.
// Layout: docs/formats/safetensors.md.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/file.h"
#include "tensor/tensor.h"

namespace lora::io {

using Metadata = std::map<std::string, std::string>;

struct TensorInfo {
    std::string name;
    DType dtype = DType::kF32;
    Shape shape;
    size_t offset = 0;  // within the data section
    size_t bytes = 0;
};

// An open file. Views point into the mapping and live as long as the object (moving it keeps them).
// Their bytes need not be aligned for their type: writers before 0.4 did not align the data.
// Errors   Error{kFormat} naming the field that is wrong, Error{kIo}; with the file as context.
// Threads  const members may be called from many threads.
class SafetensorsFile {
public:
    [[nodiscard]] static SafetensorsFile open(const std::string& path);
    // Reads from memory that must outlive the result; `what` names it in errors.
    [[nodiscard]] static SafetensorsFile from_bytes(std::span<const std::byte> bytes,
                                                    std::string what);

    // Empty for a PyTorch file.
    [[nodiscard]] const Metadata& metadata() const { return metadata_; }
    // In the order of the data section.
    [[nodiscard]] const std::vector<TensorInfo>& tensors() const { return tensors_; }
    [[nodiscard]] std::optional<TensorView> find(std::string_view name) const;
    // Error{kFormat} when the file has no such tensor.
    [[nodiscard]] TensorView at(std::string_view name) const;
    [[nodiscard]] TensorView view(const TensorInfo& info) const;
    // Everything after the header; of a PyTorch file everything.
    [[nodiscard]] std::span<const std::byte> data_section() const { return data_; }
    // Tells the system that the tensor was read and its pages may go.
    void release_pages(const TensorInfo& info) const;
    // The path, or what from_bytes was given.
    [[nodiscard]] const std::string& name() const { return name_; }

private:
    SafetensorsFile(std::optional<MappedFile> file,
                    std::span<const std::byte> bytes,
                    std::string name);
    void read_header(std::span<const std::byte> bytes);

    std::optional<MappedFile> file_;
    std::string name_;
    Metadata metadata_;
    std::vector<TensorInfo> tensors_;
    std::unordered_map<std::string, size_t> index_;
    std::span<const std::byte> data_;
};

// One tensor to write; the bytes belong to somebody else.
struct NamedTensor {
    std::string name;
    TensorView tensor;
};

// Writes the file whole or not at all. The order of `tensors` does not matter: widest types come
// first, then names bytewise; metadata keys are sorted. Errors  Error{kIo}.
void write_safetensors(const std::string& path,
                       const std::vector<NamedTensor>& tensors,
                       const Metadata& metadata);

// Hashes that sd-scripts writes into LoRA metadata, as lower-case hex.
// `sshs_model_hash`: SHA-256 of the data section that write_safetensors would write.
[[nodiscard]] std::string sshs_model_hash(const std::vector<NamedTensor>& tensors);
// `sshs_legacy_hash`: 8 digits over bytes 0x100000..0x110000 of the file that holds only the
// metadata keys starting with `ss_`.
[[nodiscard]] std::string sshs_legacy_hash(const std::vector<NamedTensor>& tensors,
                                           const Metadata& metadata);

}  // namespace lora::io

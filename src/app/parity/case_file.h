// One golden case: a safetensors file with tensors `in.*` and `out.*` and, as metadata `case`, what
// it is. Format: tests/golden/README.md.
#pragma once

#include <string>

#include "base/json.h"
#include "io/safetensors.h"

namespace lora::parity {

struct CaseFile {
    std::string name;  // of the file, without folder and extension
    io::SafetensorsFile file;
    Json params;  // kind and parameters

    [[nodiscard]] static CaseFile open(const std::string& path);
    [[nodiscard]] std::string kind() const { return text("kind"); }
    // Errors  kFormat when the parameter is missing or of another type.
    [[nodiscard]] std::string text(const std::string& key) const;
    [[nodiscard]] double number(const std::string& key) const;
    [[nodiscard]] int64_t integer(const std::string& key, int64_t otherwise) const;
    [[nodiscard]] bool flag(const std::string& key) const;

    // `in.<tensor>` as fp32, or as I32 for token ids. Errors  kFormat.
    [[nodiscard]] Tensor floats(const std::string& tensor) const;
    [[nodiscard]] Tensor ids(const std::string& tensor) const;
    // Whether there is a tensor of this full name.
    [[nodiscard]] bool has(const std::string& full_name) const {
        return file.find(full_name).has_value();
    }
};

}  // namespace lora::parity

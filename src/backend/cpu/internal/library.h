// Products through oneDNN, where the program has it and it is the faster one. Without oneDNN
// (library_none.cpp) open_library() gives nothing and gemm.h does all the work.
#pragma once

#include <memory>
#include <string>

#include "backend/cpu/internal/device.h"

namespace lora::cpu {

class Library {
public:
    virtual ~Library() = default;
    // Whether this node runs through the library. The same answer whenever asked.
    [[nodiscard]] virtual bool takes(const Device& device,
                                     const ir::Graph& graph,
                                     const ir::Node& node) = 0;
    [[nodiscard]] virtual size_t scratch_bytes(const Device& device,
                                               const ir::Graph& graph,
                                               const ir::Node& node) = 0;
    [[nodiscard]] virtual Program program(const NodeContext& context) = 0;
    [[nodiscard]] virtual std::string description() const = 0;  // "oneDNN 2.6.3"
};

// Errors  kDevice when the library does not start.
[[nodiscard]] std::shared_ptr<Library> open_library();

}  // namespace lora::cpu

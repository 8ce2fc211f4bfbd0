// The products of a graph computed by NVIDIA's libraries, and by our kernels, in turn: for
// `lora_bench op --vendor`, and what `lora doctor` says of the libraries. Training does not use
// them. Threads  one thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backend/registry.h"
#include "ir/graph.h"

namespace lora::cuda {

struct VendorLibrary {
    std::string name;     // "cuBLASLt"
    std::string version;  // empty: not found
};
[[nodiscard]] std::vector<VendorLibrary> find_vendor_libraries();

class ProductRace {
public:
    // Errors  kDevice without a card, or without both libraries.
    explicit ProductRace(const backend::BackendOptions& options);
    ~ProductRace();
    ProductRace(const ProductRace&) = delete;
    ProductRace& operator=(const ProductRace&) = delete;

    struct Times {
        double own_us = 0;
        double vendor_us = 0;  // its fastest algorithm
        std::string own;       // which kernel
    };
    // A linear layer, a convolution or the gradient of its input, in bf16, without addend and bias.
    // Operands are random and the same in every round. Nothing for other nodes.
    [[nodiscard]] std::optional<Times> race(const ir::Graph& graph, const ir::Node& node);

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace lora::cuda

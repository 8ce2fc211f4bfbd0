// How long the products of a node take alone, through oneDNN with the layout it likes best: the
// floor that lora_bench sets beside a step's time. Not used by the backend itself. Attention counts
// its matrix products only (two forward, five backward), without softmax. On a processor without
// bf16 instructions a bf16 product is timed in fp32. Threads  all that OpenMP gives; one thread
// calls.
#pragma once

#include <optional>
#include <string>
#include <unordered_map>

#include "ir/graph.h"

namespace lora::cpu {

class ProductFloor {
public:
    // Median milliseconds of the node's products; nothing for other operators, and for all in a
    // program without oneDNN. Equal products are timed once.
    [[nodiscard]] std::optional<double> ms(const ir::Graph& graph, const ir::Node& node);

private:
    std::unordered_map<std::string, double> known_;  // by what is timed
};

}  // namespace lora::cpu

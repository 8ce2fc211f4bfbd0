#include "ir/print.h"

#include <fmt/format.h>

namespace lora::ir {

std::string describe(const Value& value) {
    return fmt::format("{}{}{}",
                       dtype_name(value.dtype),
                       value.shape.to_string(),
                       value.layout == Layout::kChannelsLast ? "nhwc" : "");
}

std::string print(const Graph& graph) {
    const auto name = [&graph](ValueId id) -> std::string {
        if (!id.valid()) return "-";
        const Value& value = graph.value(id);
        return value.name.empty() ? fmt::format("%{}", id.index) : value.name;
    };
    std::string text;
    for (size_t i = 0; i < graph.nodes().size(); ++i) {
        const Node& node = graph.nodes()[i];
        text += fmt::format("{}: {}(", i, op_info(node.op).name);
        for (size_t k = 0; k < node.inputs.size(); ++k) {
            text += (k > 0 ? ", " : "") + name(node.inputs[k]);
        }
        text += ") ->";
        for (const ValueId output : node.outputs) {
            text += " " + name(output) + " " + describe(graph.value(output));
        }
        text += "  # " + node.scope + "\n";
    }
    return text;
}

}  // namespace lora::ir

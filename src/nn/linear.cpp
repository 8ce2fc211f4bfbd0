#include "nn/linear.h"

namespace lora::nn {

ValueId linear(const NetContext& net,
               const std::string& name,
               ValueId x,
               int64_t out,
               const LinearOptions& options) {
    ir::Builder& b = *net.builder;
    const std::string weight_name = name + ".weight";
    const ValueId w = matrix(net, weight_name, Shape{out, b.shape(x)[-1]});
    ir::LinearArgs args;
    if (options.bias) args.bias = weight(net, name + ".bias", Shape{out});
    args.addend = options.addend;
    return add_lora_to_linear(
        net, weight_name, w, x, b.linear(x, with_rebuilt(net, weight_name, w), args));
}

}  // namespace lora::nn

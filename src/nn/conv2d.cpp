#include "nn/conv2d.h"

#include "nn/linear.h"

namespace lora::nn {

ValueId conv3x3(const NetContext& net,
                const std::string& name,
                ValueId x,
                int64_t out,
                const ConvOptions& options) {
    ir::Builder& b = *net.builder;
    const std::string weight_name = name + ".weight";
    const ValueId w = matrix(net, weight_name, Shape{out, b.shape(x)[1], 3, 3});
    const ValueId bias = weight(net, name + ".bias", Shape{out});
    const ValueId y = b.conv2d(
        x,
        with_rebuilt(net, weight_name, w),
        {.bias = bias, .addend = options.addend, .stride = options.stride, .pad = options.pad});
    const LoraConv branch{.kernel = 3, .stride = options.stride, .pad = options.pad};
    return add_lora_to_conv(net, weight_name, branch, w, x, y);
}

ValueId conv1x1(
    const NetContext& net, const std::string& name, ValueId x, int64_t out, ValueId addend) {
    ir::Builder& b = *net.builder;
    const Shape image = b.shape(x);
    LinearOptions options;
    if (addend.valid()) options.addend = b.image_to_tokens(addend);
    const ValueId y = linear(net, name, b.image_to_tokens(x), out, options);
    return b.tokens_to_image(y, image[2], image[3]);
}

}  // namespace lora::nn

// IA3: the frozen layer's product once more, its outputs or inputs scaled.
#include "nn/internal/branch.h"

namespace lora::nn::internal {
namespace {

// With the branch's scale.
ValueId factor(const Branch& branch) {
    const int64_t size = branch.shape("weight").num_elements();
    const ValueId w = branch.factor("weight", Shape{size});
    return branch.attachment.scale == 1 ? w : branch.builder().scale(w, branch.attachment.scale);
}

}  // namespace

ValueId ia3_linear(const Branch& branch, ValueId x, ValueId y) {
    ir::Builder& b = branch.builder();
    if (branch.attachment.on_input) {
        return b.linear(b.multiply(x, factor(branch)), branch.w, {.addend = y});
    }
    const ValueId change = b.multiply(b.linear(x, branch.w), factor(branch));
    return y.valid() ? b.add(y, change) : change;
}

ValueId ia3_conv(const Branch& branch, const LoraConv& conv, ValueId x, ValueId y) {
    ir::Builder& b = branch.builder();
    ir::ConvArgs args{.stride = conv.stride, .pad = conv.pad};
    if (branch.attachment.on_input) {
        const Shape in = b.shape(x);
        const ValueId scaled = b.multiply(b.image_to_tokens(x), factor(branch));
        args.addend = y;
        return b.conv2d(b.tokens_to_image(scaled, in[2], in[3]), branch.w, args);
    }
    const ValueId again = b.conv2d(x, branch.w, args);
    const Shape out = b.shape(again);
    ValueId tokens = b.multiply(b.image_to_tokens(again), factor(branch));
    if (y.valid()) tokens = b.add(b.image_to_tokens(y), tokens);
    return b.tokens_to_image(tokens, out[2], out[3]);
}

}  // namespace lora::nn::internal

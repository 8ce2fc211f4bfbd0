#include "nn/lora.h"

namespace lora::nn {
namespace {

// A matrix of a branch in the compute type.
ValueId branch_matrix(const NetContext& net,
                      const std::string& name,
                      const Shape& shape,
                      bool trainable) {
    ir::Builder& b = *net.builder;
    if (!trainable) return b.weight(name, net.dtype, shape);
    const std::optional<ValueId> known = b.graph().find(name);
    const DType dtype = net.dtype == DType::kF64 ? DType::kF64 : DType::kF32;
    return b.cast(known ? *known : b.param(name, shape, dtype), net.dtype);
}

const std::vector<LoraAttachment>* branches(const NetContext& net, const std::string& name) {
    if (net.lora == nullptr) return nullptr;
    const std::vector<LoraAttachment>& found = net.lora->find(name);
    return found.empty() ? nullptr : &found;
}

}  // namespace

void LoraAttachments::add(const std::string& weight_name, LoraAttachment attachment) {
    by_weight_[weight_name].push_back(std::move(attachment));
}

const std::vector<LoraAttachment>& LoraAttachments::find(const std::string& weight_name) const {
    const auto it = by_weight_.find(weight_name);
    return it == by_weight_.end() ? none_ : it->second;
}

ValueId weight(const NetContext& net, const std::string& name, const Shape& shape) {
    return net.builder->weight(name, net.dtype, shape);
}

ValueId add_lora_to_linear(const NetContext& net,
                           const std::string& weight_name,
                           ValueId x,
                           ValueId y) {
    const std::vector<LoraAttachment>* list = branches(net, weight_name);
    if (list == nullptr) return y;
    ir::Builder& b = *net.builder;
    const ir::Builder::Scope scope(b, "lora");
    const int64_t in = b.shape(x)[-1];
    const int64_t out = b.shape(y)[-1];
    for (const LoraAttachment& branch : *list) {
        const ValueId down =
            branch_matrix(net, branch.down_name, Shape{branch.rank, in}, branch.trainable);
        const ValueId up =
            branch_matrix(net, branch.up_name, Shape{out, branch.rank}, branch.trainable);
        y = b.linear(b.linear(x, down), up, {.addend = y, .alpha = branch.scale});
    }
    return y;
}

ValueId add_lora_to_conv(const NetContext& net,
                         const std::string& weight_name,
                         const LoraConv& conv,
                         ValueId x,
                         ValueId y) {
    const std::vector<LoraAttachment>* list = branches(net, weight_name);
    if (list == nullptr) return y;
    ir::Builder& b = *net.builder;
    const ir::Builder::Scope scope(b, "lora");
    const int64_t in = b.shape(x)[1];
    const Shape image = b.shape(y);  // [N, out, h, w]
    ValueId tokens = b.image_to_tokens(y);
    for (const LoraAttachment& branch : *list) {
        const ValueId down = branch_matrix(net,
                                           branch.down_name,
                                           Shape{branch.rank, in, conv.kernel, conv.kernel},
                                           branch.trainable);
        const ValueId up =
            branch_matrix(net, branch.up_name, Shape{image[1], branch.rank}, branch.trainable);
        const ValueId ranks = b.conv2d(x, down, {.stride = conv.stride, .pad = conv.pad});
        tokens = b.linear(b.image_to_tokens(ranks), up, {.addend = tokens, .alpha = branch.scale});
    }
    return b.tokens_to_image(tokens, image[2], image[3]);
}

}  // namespace lora::nn

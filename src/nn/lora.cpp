#include "nn/lora.h"

#include <fmt/format.h>

#include "base/check.h"
#include "nn/internal/branch.h"

namespace lora::nn {

using internal::Branch;

std::vector<LoraFactor> lora_factors(const Shape& weight, int64_t rank) {
    std::vector<int64_t> down = weight.sizes();
    down[0] = rank;
    std::vector<int64_t> up(weight.sizes().size(), 1);
    up[0] = weight[0];
    up[1] = rank;
    return {{"lora_down.weight", Shape(down)}, {"lora_up.weight", Shape(up)}};
}

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

ValueId matrix(const NetContext& net, const std::string& name, const Shape& shape) {
    if (!net.quantize_base) return weight(net, name, shape);
    ir::Builder& b = *net.builder;
    const ValueId bytes = b.weight(name, DType::kU8, shape);
    const ValueId scale = b.weight(name + kScaleSuffix, DType::kF32, Shape{shape[0]});
    return b.dequantize(bytes, scale, net.dtype);
}

namespace internal {

const Shape* Branch::find(std::string_view suffix) const {
    for (const LoraFactor& factor : attachment.factors) {
        if (factor.suffix == suffix) return &factor.shape;
    }
    return nullptr;
}

const Shape& Branch::shape(std::string_view suffix) const {
    const Shape* found = find(suffix);
    LORA_CHECK(found != nullptr, fmt::format("{} has no {}", attachment.module, suffix));
    return *found;
}

ValueId Branch::factor(std::string_view suffix, const Shape& as) const {
    LORA_CHECK(shape(suffix).num_elements() == as.num_elements(), "a factor of another size");
    const std::string name = fmt::format("{}.{}", attachment.module, suffix);
    ir::Builder& b = builder();
    if (!attachment.trainable) return b.weight(name, net.dtype, as);
    const std::optional<ValueId> known = b.graph().find(name);
    const DType dtype = net.dtype == DType::kF64 ? DType::kF64 : DType::kF32;
    return b.cast(known ? *known : b.param(name, as, dtype), net.dtype);
}

ValueId Branch::matrix(std::string_view suffix) const {
    const Shape& file = shape(suffix);
    return factor(suffix, Shape{file[0], file.num_elements() / file[0]});
}

ValueId lora_linear(const Branch& branch, ValueId x, ValueId y) {
    ir::Builder& b = branch.builder();
    const ValueId ranks = b.linear(x, branch.matrix("lora_down.weight"));
    const ValueId up = branch.matrix("lora_up.weight");
    return b.linear(ranks, up, {.addend = y, .alpha = branch.attachment.scale});
}

ValueId lora_conv(const Branch& branch, const LoraConv& conv, ValueId x, ValueId y) {
    ir::Builder& b = branch.builder();
    const Shape image = b.shape(x);
    ValueId input = x;
    std::string_view kernel = "lora_down.weight";
    if (branch.find("lora_mid.weight") != nullptr) {
        const ValueId ranks = b.linear(b.image_to_tokens(x), branch.matrix("lora_down.weight"));
        input = b.tokens_to_image(ranks, image[2], image[3]);
        kernel = "lora_mid.weight";
    }
    const ValueId ranks = b.conv2d(input,
                                   branch.factor(kernel, branch.shape(kernel)),
                                   {.stride = conv.stride, .pad = conv.pad});
    const ValueId sum =
        b.linear(b.image_to_tokens(ranks),
                 branch.matrix("lora_up.weight"),
                 {.addend = b.image_to_tokens(y), .alpha = branch.attachment.scale});
    return b.tokens_to_image(sum, b.shape(y)[2], b.shape(y)[3]);
}

}  // namespace internal

ValueId add_lora_to_linear(
    const NetContext& net, const std::string& weight_name, ValueId w, ValueId x, ValueId y) {
    if (net.lora == nullptr) return y;
    for (const LoraAttachment& attachment : net.lora->find(weight_name)) {
        const ir::Builder::Scope scope(*net.builder, "lora");
        const Branch branch{net, attachment, w};
        switch (attachment.kind) {
            case LoraKind::kLora: y = internal::lora_linear(branch, x, y); break;
            case LoraKind::kLoha: y = internal::loha_linear(branch, x, y); break;
            case LoraKind::kLokr: y = internal::lokr_linear(branch, x, y); break;
            case LoraKind::kIa3: y = internal::ia3_linear(branch, x, y); break;
        }
    }
    return y;
}

ValueId add_lora_to_conv(const NetContext& net,
                         const std::string& weight_name,
                         const LoraConv& conv,
                         ValueId w,
                         ValueId x,
                         ValueId y) {
    if (net.lora == nullptr) return y;
    for (const LoraAttachment& attachment : net.lora->find(weight_name)) {
        const ir::Builder::Scope scope(*net.builder, "lora");
        const Branch branch{net, attachment, w};
        switch (attachment.kind) {
            case LoraKind::kLora: y = internal::lora_conv(branch, conv, x, y); break;
            case LoraKind::kLoha: y = internal::loha_conv(branch, conv, x, y); break;
            case LoraKind::kLokr: y = internal::lokr_conv(branch, conv, x, y); break;
            case LoraKind::kIa3: y = internal::ia3_conv(branch, conv, x, y); break;
        }
    }
    return y;
}

}  // namespace lora::nn

#include "nn/lora.h"

#include <fmt/format.h>

#include "base/check.h"
#include "nn/internal/branch.h"

namespace lora::nn {

using internal::Branch;
using internal::drop_change;
using internal::drops_change;
using internal::has_magnitude;
using internal::with_magnitude;

std::vector<LoraFactor> lora_factors(const Shape& weight, int64_t rank) {
    std::vector<int64_t> down = weight.sizes();
    down[0] = rank;
    std::vector<int64_t> up(weight.sizes().size(), 1);
    up[0] = weight[0];
    up[1] = rank;
    return {{"lora_down.weight", Shape(down)}, {"lora_up.weight", Shape(up)}};
}

void LoraAttachments::add(const std::string& weight_name, LoraAttachment attachment) {
    attachment.number = num_added_++;
    drops_ = drops_ || attachment.dropout.any();
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
    const DType wide = net.dtype == DType::kF64 ? DType::kF64 : DType::kF32;
    const std::optional<ValueId> known = b.graph().find(name);
    ValueId value;
    if (known) {
        value = *known;
    } else if (attachment.trainable) {
        value = b.param(name, as, wide);
    } else {
        // A magnitude's change is small beside it: half precision would drown it.
        value = b.weight(name, suffix == kMagnitude ? wide : net.dtype, as);
    }
    return b.cast(b.reshape(value, as), dtype);
}

ValueId Branch::matrix(std::string_view suffix) const {
    const Shape& file = shape(suffix);
    return factor(suffix, Shape{file[0], file.num_elements() / file[0]});
}

ValueId lora_linear(const Branch& branch, ValueId x, ValueId y) {
    ir::Builder& b = branch.builder();
    const ValueId ranks = drop_ranks(branch, b.linear(x, branch.matrix("lora_down.weight")));
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
    const ValueId made = b.conv2d(input,
                                  branch.factor(kernel, branch.shape(kernel)),
                                  {.stride = conv.stride, .pad = conv.pad});
    const Shape out = b.shape(made);
    const ValueId ranks = drop_ranks(branch, b.image_to_tokens(made));
    ir::LinearArgs args{.alpha = branch.attachment.scale};
    if (y.valid()) args.addend = b.image_to_tokens(y);
    return b.tokens_to_image(
        b.linear(ranks, branch.matrix("lora_up.weight"), args), out[2], out[3]);
}

namespace {

ValueId linear_of_kind(const Branch& branch, ValueId x, ValueId y) {
    switch (branch.attachment.kind) {
        case LoraKind::kLora: return lora_linear(branch, x, y);
        case LoraKind::kLoha: return loha_linear(branch, x, y);
        case LoraKind::kLokr: return lokr_linear(branch, x, y);
        case LoraKind::kIa3: return ia3_linear(branch, x, y);
    }
    return y;
}

ValueId conv_of_kind(const Branch& branch, const LoraConv& conv, ValueId x, ValueId y) {
    switch (branch.attachment.kind) {
        case LoraKind::kLora: return lora_conv(branch, conv, x, y);
        case LoraKind::kLoha: return loha_conv(branch, conv, x, y);
        case LoraKind::kLokr: return lokr_conv(branch, conv, x, y);
        case LoraKind::kIa3: return ia3_conv(branch, conv, x, y);
    }
    return y;
}

bool goes_into_weight(const Branch& branch) {
    return branch.attachment.kind == LoraKind::kLoha && !has_magnitude(branch) &&
           !drops_change(branch);
}

}  // namespace
}  // namespace internal

ValueId with_rebuilt(const NetContext& net, const std::string& weight_name, ValueId w) {
    if (net.lora == nullptr) return w;
    ValueId changed = w;
    for (const LoraAttachment& attachment : net.lora->find(weight_name)) {
        const Branch branch{net, attachment, w, net.dtype};
        if (!internal::goes_into_weight(branch)) continue;
        const ir::Builder::Scope scope(*net.builder, "lora");
        changed = internal::loha_change(branch, changed);
    }
    return changed;
}

ValueId add_lora_to_linear(
    const NetContext& net, const std::string& weight_name, ValueId w, ValueId x, ValueId y) {
    if (net.lora == nullptr) return y;
    ir::Builder& b = *net.builder;
    const Shape sizes = b.shape(w);  // a copy: the graph grows
    for (const LoraAttachment& attachment : net.lora->find(weight_name)) {
        const ir::Builder::Scope scope(b, "lora");
        const Branch branch{net, attachment, w, net.dtype};
        if (internal::goes_into_weight(branch)) continue;
        const bool magnitude = has_magnitude(branch);
        if (!magnitude && !drops_change(branch)) {
            y = internal::linear_of_kind(branch, x, y);
            continue;
        }
        ValueId change = internal::linear_of_kind(branch, x, ir::kNoValue);
        if (magnitude) change = with_magnitude(branch, sizes, change, b.linear(x, w));
        y = b.add(y, drop_change(branch, change));
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
    ir::Builder& b = *net.builder;
    const Shape sizes = b.shape(w);  // a copy: the graph grows
    for (const LoraAttachment& attachment : net.lora->find(weight_name)) {
        const ir::Builder::Scope scope(b, "lora");
        const Branch branch{net, attachment, w, net.dtype};
        if (internal::goes_into_weight(branch)) continue;
        const bool magnitude = has_magnitude(branch);
        if (!magnitude && !drops_change(branch)) {
            y = internal::conv_of_kind(branch, conv, x, y);
            continue;
        }
        ValueId change = b.image_to_tokens(internal::conv_of_kind(branch, conv, x, ir::kNoValue));
        if (magnitude) {
            const ValueId base = b.conv2d(x, w, {.stride = conv.stride, .pad = conv.pad});
            change = with_magnitude(branch, sizes, change, b.image_to_tokens(base));
        }
        const Shape out = b.shape(y);
        y = b.tokens_to_image(
            b.add(b.image_to_tokens(y), drop_change(branch, change)), out[2], out[3]);
    }
    return y;
}

}  // namespace lora::nn

// The change of a whole weight, for what needs it in one piece: its norm, DoRA's magnitudes, and
// merging into the base model.
#include "base/check.h"
#include "nn/internal/branch.h"

namespace lora::nn {
namespace {

using internal::Branch;

// alpha * a b + addend.
ValueId product_of(const Branch& branch,
                   const ir::Builder::LowRank& pair,
                   double alpha,
                   ValueId addend) {
    return branch.builder().linear(
        pair.a, pair.b, {.addend = addend, .alpha = alpha, .transpose_weight = true});
}

ValueId lora_change(const Branch& branch, ValueId addend) {
    const double scale = branch.attachment.scale;
    const ValueId up = branch.matrix("lora_up.weight");
    const ValueId down = branch.matrix("lora_down.weight");
    if (branch.find("lora_mid.weight") == nullptr) {
        return product_of(branch, {up, down}, scale, addend);
    }
    const ValueId right = internal::tucker_right(branch, "lora_mid.weight", down);
    return product_of(branch, {up, right}, scale, addend);
}

// a [a, r] times b [r, c].
ValueId matrix_product(const Branch& branch, std::string_view a, std::string_view b) {
    return product_of(branch, {branch.matrix(a), branch.matrix(b)}, 1, ir::kNoValue);
}

// kron(w1 [a, c], w2 [b, d * k * k]): all products of two numbers, then the axes in their order.
ValueId lokr_change(const Branch& branch, const Shape& weight) {
    ir::Builder& b = branch.builder();
    const bool whole1 = branch.find("lokr_w1") != nullptr;
    const ValueId w1 =
        whole1 ? branch.matrix("lokr_w1") : matrix_product(branch, "lokr_w1_a", "lokr_w1_b");
    ValueId w2;
    if (branch.find("lokr_w2") != nullptr) {
        w2 = branch.matrix("lokr_w2");
    } else if (branch.find("lokr_t2") != nullptr) {
        w2 = product_of(branch,
                        internal::tucker_pair(branch, "lokr_t2", "lokr_w2_a", "lokr_w2_b"),
                        1,
                        ir::kNoValue);
    } else {
        w2 = matrix_product(branch, "lokr_w2_a", "lokr_w2_b");
    }
    const Shape first = b.shape(w1);   // [a, c]
    const Shape second = b.shape(w2);  // [b, d * k * k]
    const ValueId all = b.linear(b.reshape(w1, Shape{first.num_elements(), 1}),
                                 b.reshape(w2, Shape{second.num_elements(), 1}),
                                 {.alpha = branch.attachment.scale});
    const ValueId ordered =
        b.swap_axes(b.reshape(all, Shape{first[0], first[1], second[0], second[1]}));
    return b.reshape(ordered, Shape{weight[0], weight.num_elements() / weight[0]});
}

// A matrix [rows, columns] whose rows are multiplied by factor [rows]: that axis goes last and
// back.
ValueId scale_rows(ir::Builder& b, ValueId matrix, ValueId factor) {
    const Shape sizes = b.shape(matrix);
    const ValueId turned = b.reshape(
        b.swap_axes(b.reshape(matrix, Shape{1, sizes[0], sizes[1], 1})), Shape{sizes[1], sizes[0]});
    const ValueId scaled = b.reshape(b.multiply(turned, factor), Shape{1, sizes[1], sizes[0], 1});
    return b.reshape(b.swap_axes(scaled), sizes);
}

// The weight with its outputs (rows) or inputs scaled.
ValueId ia3_change(const Branch& branch, const Shape& weight) {
    ir::Builder& b = branch.builder();
    LORA_CHECK(branch.w.valid(), "ia3 changes a weight that is there");
    const int64_t out = weight[0];
    const int64_t in = weight[1];
    const int64_t taps = weight.num_elements() / (out * in);
    const bool on_input = branch.attachment.on_input;
    const int64_t size = on_input ? in : out;
    const ValueId factor = b.scale(branch.factor("weight", Shape{size}), branch.attachment.scale);
    const ValueId w = b.cast(branch.w, branch.dtype);
    if (!on_input) return scale_rows(b, b.reshape(w, Shape{out, in * taps}), factor);
    const ValueId last =
        b.reshape(b.swap_axes(b.reshape(w, Shape{out, in, taps, 1})), Shape{out * taps, in});
    const ValueId scaled = b.reshape(b.multiply(last, factor), Shape{out, taps, in, 1});
    return b.reshape(b.swap_axes(scaled), Shape{out, in * taps});
}

// dW, plus `addend` unless that is kNoValue.
ValueId change_of(const Branch& branch, const Shape& weight, ValueId addend) {
    if (branch.attachment.kind == LoraKind::kLora) return lora_change(branch, addend);
    ir::Builder& b = branch.builder();
    ValueId change;
    switch (branch.attachment.kind) {
        case LoraKind::kLoha: change = internal::loha_change(branch); break;
        case LoraKind::kLokr: change = lokr_change(branch, weight); break;
        default: change = ia3_change(branch, weight); break;
    }
    return addend.valid() ? b.add(addend, change) : change;
}

DType wide(DType dtype) { return dtype == DType::kF64 ? DType::kF64 : DType::kF32; }

// W + dW in fp32 and h, [out].
struct Changed {
    ValueId weight;
    ValueId magnitude;
};

Changed with_norms(const Branch& branch, const Shape& weight) {
    // torch's smallest float step, which LyCORIS adds to norms.
    constexpr double kEps = 1.1920928955078125e-07;
    ir::Builder& b = branch.builder();
    const Branch exact{branch.net, branch.attachment, branch.w, wide(branch.net.dtype)};
    const Shape matrix{weight[0], weight.num_elements() / weight[0]};
    const ValueId w = b.reshape(b.cast(branch.w, exact.dtype), matrix);
    const ValueId v = change_of(exact, weight, w);
    const ValueId m = exact.factor(kMagnitude, Shape{weight[0]});
    ValueId h = b.dora_scale(v, m, kEps);
    if (branch.attachment.multiplier != 1) h = b.scale(h, branch.attachment.multiplier);
    return {v, h};
}

}  // namespace

ValueId weight_change(const NetContext& net,
                      const LoraAttachment& attachment,
                      const Shape& weight,
                      ValueId w) {
    return change_of({net, attachment, w, net.dtype}, weight, ir::kNoValue);
}

ValueId changed_weight(const NetContext& net,
                       const LoraAttachment& attachment,
                       const Shape& weight,
                       ValueId w) {
    ir::Builder& b = *net.builder;
    const Branch branch{net, attachment, w, wide(net.dtype)};
    if (!internal::has_magnitude(branch)) {
        const Shape matrix{weight[0], weight.num_elements() / weight[0]};
        return change_of(branch, weight, b.reshape(b.cast(w, branch.dtype), matrix));
    }
    const Changed changed = with_norms(branch, weight);
    return b.add(changed.weight, scale_rows(b, changed.weight, changed.magnitude));
}

namespace internal {

bool has_magnitude(const Branch& branch) { return branch.find(kMagnitude) != nullptr; }

ValueId with_magnitude(const Branch& branch, const Shape& weight, ValueId change, ValueId base) {
    ir::Builder& b = branch.builder();
    const ValueId h = b.cast(with_norms(branch, weight).magnitude, branch.dtype);
    return b.add(change, b.multiply(b.add(base, change), h));
}

}  // namespace internal
}  // namespace lora::nn

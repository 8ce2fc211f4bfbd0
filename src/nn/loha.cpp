// LoHa: the change of the weight is rebuilt from its factors, into the weight where nothing stands
// between the two, else for a product of its own.
#include "nn/internal/branch.h"

namespace lora::nn::internal {
namespace {

using LowRank = ir::Builder::LowRank;

// w_a [out, r] times w_b [r, in * k * k].
LowRank plain(const Branch& branch, std::string_view a, std::string_view b) {
    return {branch.matrix(a), branch.matrix(b)};
}

}  // namespace

ValueId tucker_right(const Branch& branch, std::string_view t, ValueId right) {
    ir::Builder& b = branch.builder();
    const Shape& core = branch.shape(t);  // [m, n, k, k]
    const int64_t taps = core[2] * core[3];
    const int64_t in = b.shape(right)[1];
    const ValueId taps_first = b.swap_axes(branch.factor(t, Shape{core[0], core[1], taps, 1}));
    const ValueId both = b.linear(b.reshape(taps_first, Shape{core[0] * taps, core[1]}),
                                  right,
                                  {.transpose_weight = true});  // [m * k * k, in]
    const ValueId in_first = b.swap_axes(b.reshape(both, Shape{core[0], taps, in, 1}));
    return b.reshape(in_first, Shape{core[0], in * taps});
}

ir::Builder::LowRank tucker_pair(const Branch& branch,
                                 std::string_view t,
                                 std::string_view w_a,
                                 std::string_view w_b) {
    ir::Builder& b = branch.builder();
    const int64_t rank = branch.shape(w_a)[0];
    const int64_t out = branch.shape(w_a)[1];
    const ValueId a = b.swap_axes(branch.factor(w_a, Shape{1, rank, out, 1}));
    return {b.reshape(a, Shape{out, rank}), tucker_right(branch, t, branch.matrix(w_b))};
}

ValueId loha_change(const Branch& branch, ValueId weight) {
    ir::Builder& b = branch.builder();
    const double scale = branch.attachment.scale;
    if (branch.find("hada_t1") != nullptr) {
        return b.hadamard(tucker_pair(branch, "hada_t1", "hada_w1_a", "hada_w1_b"),
                          tucker_pair(branch, "hada_t2", "hada_w2_a", "hada_w2_b"),
                          scale,
                          weight);
    }
    return b.hadamard(plain(branch, "hada_w1_a", "hada_w1_b"),
                      plain(branch, "hada_w2_a", "hada_w2_b"),
                      scale,
                      weight);
}

ValueId loha_linear(const Branch& branch, ValueId x, ValueId y) {
    return branch.builder().linear(x, loha_change(branch), {.addend = y});
}

ValueId loha_conv(const Branch& branch, const LoraConv& conv, ValueId x, ValueId y) {
    ir::Builder& b = branch.builder();
    const ValueId change = loha_change(branch);
    const ValueId kernel =
        b.reshape(change, Shape{b.shape(change)[0], b.shape(x)[1], conv.kernel, conv.kernel});
    return b.conv2d(x, kernel, {.addend = y, .stride = conv.stride, .pad = conv.pad});
}

}  // namespace lora::nn::internal

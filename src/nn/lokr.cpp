// LoKr: kron(w1 [a, c], w2 [b, d]) is never made. The input's channels are c groups of d: every
// group goes through w2, then w1 mixes the groups.
#include "nn/internal/branch.h"

namespace lora::nn::internal {
namespace {

struct Sizes {
    int64_t a = 1, c = 1;  // of w1
    int64_t b = 1, d = 1;  // of w2, without its kernel
};

Sizes sizes_of(const Branch& branch, int64_t in) {
    Sizes s;
    const bool whole = branch.find("lokr_w1") != nullptr;
    s.a = branch.shape(whole ? "lokr_w1" : "lokr_w1_a")[0];
    s.c = branch.shape(whole ? "lokr_w1" : "lokr_w1_b")[1];
    if (branch.find("lokr_w2") != nullptr) {
        s.b = branch.shape("lokr_w2")[0];
    } else {
        s.b = branch.shape("lokr_w2_a")[branch.find("lokr_t2") != nullptr ? 1 : 0];
    }
    s.d = in / s.c;
    return s;
}

// x [.., d] -> [.., b].
ValueId through_w2(const Branch& branch, ValueId x) {
    ir::Builder& b = branch.builder();
    if (branch.find("lokr_w2") != nullptr) return b.linear(x, branch.matrix("lokr_w2"));
    return b.linear(b.linear(x, branch.matrix("lokr_w2_b")), branch.matrix("lokr_w2_a"));
}

// The same for images [M, d, H, W] -> tokens [M, h * w, b].
ValueId conv_through_w2(const Branch& branch, const LoraConv& conv, const Sizes& s, ValueId x) {
    ir::Builder& b = branch.builder();
    const ir::ConvArgs args{.stride = conv.stride, .pad = conv.pad};
    if (branch.find("lokr_w2") != nullptr) {
        const ValueId kernel = branch.factor("lokr_w2", Shape{s.b, s.d, conv.kernel, conv.kernel});
        return b.image_to_tokens(b.conv2d(x, kernel, args));
    }
    if (const Shape* core = branch.find("lokr_t2")) {
        const Shape image = b.shape(x);
        const ValueId ranks = b.linear(b.image_to_tokens(x), branch.matrix("lokr_w2_b"));
        const ValueId mixed = b.conv2d(
            b.tokens_to_image(ranks, image[2], image[3]), branch.factor("lokr_t2", *core), args);
        return b.linear(b.image_to_tokens(mixed),
                        branch.matrix("lokr_w2_a"),
                        {.transpose_weight = true});  // stored [r, b]
    }
    const int64_t rank = branch.shape("lokr_w2_b")[0];
    const ValueId kernel = branch.factor("lokr_w2_b", Shape{rank, s.d, conv.kernel, conv.kernel});
    return b.linear(b.image_to_tokens(b.conv2d(x, kernel, args)), branch.matrix("lokr_w2_a"));
}

// z [rows, c, n] -> [rows * n, a], with the branch's scale.
ValueId through_w1(const Branch& branch, const Sizes& s, ValueId z, int64_t rows, int64_t n) {
    ir::Builder& b = branch.builder();
    ValueId groups = b.reshape(b.swap_axes(b.reshape(z, Shape{rows, s.c, n, 1})), {rows * n, s.c});
    const double scale = branch.attachment.scale;
    if (branch.find("lokr_w1") != nullptr) {
        return b.linear(groups, branch.matrix("lokr_w1"), {.alpha = scale});
    }
    groups = b.linear(groups, branch.matrix("lokr_w1_b"));
    return b.linear(groups, branch.matrix("lokr_w1_a"), {.alpha = scale});
}

}  // namespace

ValueId lokr_linear(const Branch& branch, ValueId x, ValueId y) {
    ir::Builder& b = branch.builder();
    const Shape in = b.shape(x);
    const Sizes s = sizes_of(branch, in[-1]);
    const int64_t rows = in.num_elements() / in[-1];
    const ValueId z = through_w2(branch, b.reshape(x, Shape{rows * s.c, s.d}));
    const ValueId mixed = through_w1(branch, s, z, rows, s.b);  // [rows * b, a]
    std::vector<int64_t> out = in.sizes();
    out.back() = s.a * s.b;
    const ValueId change =
        b.reshape(b.swap_axes(b.reshape(mixed, Shape{rows, s.b, s.a, 1})), Shape(out));
    return y.valid() ? b.add(y, change) : change;
}

ValueId lokr_conv(const Branch& branch, const LoraConv& conv, ValueId x, ValueId y) {
    ir::Builder& b = branch.builder();
    const Shape in = b.shape(x);
    const Sizes s = sizes_of(branch, in[1]);
    const int64_t pixels = in[2] * in[3];
    const ValueId groups = b.swap_axes(
        b.reshape(b.image_to_tokens(x), Shape{in[0], pixels, s.c, s.d}));  // [N, c, H * W, d]
    const ValueId images =
        b.tokens_to_image(b.reshape(groups, Shape{in[0] * s.c, pixels, s.d}), in[2], in[3]);
    const int64_t height = conv.output_size(in[2], 0);
    const int64_t width = conv.output_size(in[3], 1);
    const ValueId z = conv_through_w2(branch, conv, s, images);  // [N * c, h * w, b]
    const int64_t places = height * width;
    const ValueId mixed = through_w1(branch, s, z, in[0], places * s.b);  // [N * h * w * b, a]
    const ValueId swapped = b.swap_axes(b.reshape(mixed, Shape{in[0] * places, s.b, s.a, 1}));
    ValueId tokens = b.reshape(swapped, Shape{in[0], places, s.a * s.b});
    if (y.valid()) tokens = b.add(b.image_to_tokens(y), tokens);
    return b.tokens_to_image(tokens, height, width);
}

}  // namespace lora::nn::internal

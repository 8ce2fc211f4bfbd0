#include "support/random_graph.h"

#include "base/rng.h"

namespace lora::support {
namespace {

using ir::Activation;
using ir::Layout;
using ir::ValueId;

constexpr Fill kSmall{.scale = 0.3};

// Grows a graph whose stream alternates between images [N, C, H, W] and their tokens; the values
// made so far serve as residuals and skips.
class Grower {
public:
    Grower(CaseBuilder& builder, uint64_t seed) : c_(&builder), rng_(seed) {
        x_ = builder.image({pick(1, 2), 4 * pick(1, 2), pick(1, 4), pick(1, 4)});
        remember();
    }

    void grow() {
        switch (rng_.below(9)) {
            case 0: conv(); break;
            case 1: norm(); break;
            case 2: x_ = c_->b().activation(x_, Activation::kSilu); break;
            case 3: tokens(&Grower::lora); break;
            case 4: tokens(&Grower::attention); break;
            case 5: tokens(&Grower::feed_forward); break;
            case 6: add_earlier(); break;
            case 7: skip(); break;
            default: resample(); break;
        }
        remember();
    }

    [[nodiscard]] ValueId stream() const { return x_; }

private:
    int64_t pick(int64_t low, int64_t high) {
        return low + static_cast<int64_t>(rng_.below(static_cast<uint64_t>(high - low + 1)));
    }
    int64_t channels() { return c_->b().shape(x_)[1]; }
    bool flip() { return rng_.below(2) == 0; }
    void remember() { earlier_.push_back(x_); }
    ValueId gamma(int64_t size) { return c_->weight({size}, {.scale = 0.2, .offset = 1}); }

    void conv() {
        const int64_t in = channels();
        const int64_t out = flip() ? in : 4 * pick(1, 3);
        ValueId w =
            flip() ? c_->weight({out, in, 3, 3}, kSmall) : c_->operand({out, in, 3, 3}, kSmall);
        if (in == out) w = rebuilt(w, out, in * 9);
        const ValueId y = c_->b().conv2d(x_, w, {.bias = c_->weight({out}), .pad = {1, 1, 1, 1}});
        x_ = out == in && flip() ? c_->b().add(x_, y) : y;
    }

    // The weight with a change by LoHa.
    ValueId rebuilt(ValueId w, int64_t rows, int64_t cols) {
        const ir::Builder::LowRank first{c_->operand({rows, 2}, kSmall),
                                         c_->operand({2, cols}, kSmall)};
        const ir::Builder::LowRank second{c_->operand({rows, 2}, kSmall),
                                          c_->operand({2, cols}, kSmall)};
        return c_->b().hadamard(first, second, 1, w);
    }

    void norm() {
        const int64_t size = channels();
        x_ =
            c_->b().group_norm(x_, {.gamma = gamma(size), .beta = c_->weight({size}), .groups = 2});
        if (flip()) x_ = c_->b().activation(x_, Activation::kSilu);
    }

    void tokens(void (Grower::*block)(ValueId&)) {
        const Shape shape = c_->b().shape(x_);
        ValueId t = c_->b().image_to_tokens(x_);
        (this->*block)(t);
        x_ = c_->b().tokens_to_image(t, shape[2], shape[3]);
    }

    void lora(ValueId& t) {
        const int64_t size = channels();
        const ValueId frozen = c_->b().linear(t, c_->weight({size, size}, kSmall));
        const ValueId down = c_->b().linear(t, c_->operand({2, size}, kSmall));
        t = c_->b().linear(down, c_->operand({size, 2}, kSmall), {.addend = frozen, .alpha = 0.5});
    }

    void attention(ValueId& t) {
        const int64_t size = channels();
        const ValueId h = c_->b().layer_norm(t, {.gamma = gamma(size), .beta = c_->weight({size})});
        const ValueId q = c_->b().linear(h, c_->weight({size, size}, kSmall));
        const ValueId k = c_->b().linear(h, rebuilt(c_->weight({size, size}, kSmall), size, size));
        t = c_->b().add(t, c_->b().attention(q, k, h, {.heads = 2}).output);
    }

    void feed_forward(ValueId& t) {
        const int64_t size = channels();
        const ValueId wide = c_->b().linear(t, c_->weight({4 * size, size}, kSmall));
        const ValueId y = c_->b().linear(c_->b().geglu(wide), c_->weight({size, 2 * size}, kSmall));
        t = c_->b().add(y, t);
    }

    ValueId an_earlier_one() { return earlier_[rng_.below(earlier_.size())]; }

    void add_earlier() {
        const ValueId other = an_earlier_one();
        if (c_->b().shape(other) == c_->b().shape(x_)) x_ = c_->b().add(x_, other);
    }

    void skip() {
        const ValueId other = an_earlier_one();
        const Shape& a = c_->b().shape(x_);
        const Shape& b = c_->b().shape(other);
        if (a[2] != b[2] || a[3] != b[3] || a[1] + b[1] > 16) return;
        x_ = c_->b().concat(x_, other, 1);
    }

    void resample() {
        const Shape shape = c_->b().shape(x_);
        if (shape[2] * shape[3] <= 4) {
            x_ = c_->b().upsample2x(x_);
        } else {
            x_ = c_->b().conv2d(x_,
                                c_->weight({shape[1], shape[1], 3, 3}, kSmall),
                                {.stride = 2, .pad = {1, 1, 1, 1}});
        }
    }

    CaseBuilder* c_;
    Rng rng_;
    ValueId x_;
    std::vector<ValueId> earlier_;
};

}  // namespace

CaseGraph random_training_graph(uint64_t seed, DType dtype, int64_t num_layers) {
    OpCase item;
    item.name = "random";
    item.build = [=](CaseBuilder& c) {
        Grower grower(c, seed);
        for (int64_t i = 0; i < num_layers; ++i) grower.grow();
        c.result(c.b().reorder(c.b().scale(grower.stream(), 1.5), Layout::kRowMajor));
    };
    return build_case(item, {.dtype = dtype, .gradients = true, .accumulate = seed % 2 == 0});
}

}  // namespace lora::support

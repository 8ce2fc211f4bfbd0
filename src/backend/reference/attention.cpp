// Attention, one query row at a time: only that row of scores exists.
#include <algorithm>
#include <cmath>

#include "backend/reference/internal/kernel.h"

namespace lora::reference::ops {
namespace {

struct AttentionShape {
    int64_t batch = 0;
    int64_t heads = 0;
    int64_t queries = 0;
    int64_t keys = 0;
    int64_t head_size = 0;
    bool causal = false;
    double scale = 1;

    AttentionShape(const Shape& q, const Shape& k, const ir::Attributes& attrs)
        : batch(q[0]),
          heads(attrs.heads),
          queries(q[1]),
          keys(k[1]),
          head_size(q[2] / attrs.heads),
          causal(attrs.causal),
          scale(attrs.alpha) {}

    [[nodiscard]] int64_t channels() const { return heads * head_size; }
    // How many keys query row i sees.
    [[nodiscard]] int64_t visible(int64_t i) const { return causal ? std::min(i + 1, keys) : keys; }
};

// Head h of image n of tokens [N, T, C], as [T, head_size] or transposed.
Doubles head_of(
    const Doubles& tokens, const AttentionShape& s, int64_t n, int64_t h, int64_t length) {
    Doubles head(static_cast<size_t>(length * s.head_size));
    for (int64_t t = 0; t < length; ++t) {
        std::copy_n(tokens.data() + (n * length + t) * s.channels() + h * s.head_size,
                    s.head_size,
                    head.data() + t * s.head_size);
    }
    return head;
}

void put_head(const Doubles& head, const AttentionShape& s, int64_t n, int64_t h, Doubles& tokens) {
    const int64_t length = static_cast<int64_t>(head.size()) / s.head_size;
    for (int64_t t = 0; t < length; ++t) {
        std::copy_n(head.data() + t * s.head_size,
                    s.head_size,
                    tokens.data() + (n * length + t) * s.channels() + h * s.head_size);
    }
}

Doubles transposed(const Doubles& head, int64_t rows, int64_t cols) {
    Doubles result(head.size());
    for (int64_t r = 0; r < rows; ++r) {
        for (int64_t c = 0; c < cols; ++c) {
            result[static_cast<size_t>(c * rows + r)] = head[static_cast<size_t>(r * cols + c)];
        }
    }
    return result;
}

// dst[0..count) += factor * src[0..count)
void add_scaled(double factor, const double* src, int64_t count, double* dst) {
    for (int64_t i = 0; i < count; ++i) dst[i] += factor * src[i];
}

// dst[j] = row . column j of the matrix [head_size, keys], for the first `count` columns.
void row_times_matrix(const AttentionShape& s,
                      const double* row,
                      const Doubles& matrix,
                      int64_t count,
                      Doubles& dst) {
    std::fill_n(dst.begin(), count, 0.0);
    for (int64_t c = 0; c < s.head_size; ++c) {
        add_scaled(row[c], matrix.data() + c * s.keys, count, dst.data());
    }
}

// Turns scores into probabilities; returns the log-sum-exp.
double softmax(Doubles& scores, int64_t count) {
    const double highest = *std::max_element(scores.begin(), scores.begin() + count);
    double sum = 0;
    for (int64_t j = 0; j < count; ++j) sum += std::exp(scores[static_cast<size_t>(j)] - highest);
    const double lse = highest + std::log(sum);
    for (int64_t j = 0; j < count; ++j) {
        double& score = scores[static_cast<size_t>(j)];
        score = std::exp(score - lse);
    }
    return lse;
}

}  // namespace

void attention(const NodeRun& run) {
    const AttentionShape s(run.input(0).shape, run.input(1).shape, run.attrs());
    const Doubles q = run.load(0);
    const Doubles k = run.load(1);
    const Doubles v = run.load(2);
    Doubles o = run.zeros_like_output(0);
    Doubles lse = run.zeros_like_output(1);
    Doubles row(static_cast<size_t>(s.keys));
    for (int64_t item = 0; item < s.batch * s.heads; ++item) {
        const int64_t n = item / s.heads;
        const int64_t h = item % s.heads;
        const Doubles q_head = head_of(q, s, n, h, s.queries);
        const Doubles k_columns = transposed(head_of(k, s, n, h, s.keys), s.keys, s.head_size);
        const Doubles v_head = head_of(v, s, n, h, s.keys);
        Doubles o_head(q_head.size(), 0.0);
        for (int64_t i = 0; i < s.queries; ++i) {
            const int64_t count = s.visible(i);
            row_times_matrix(s, q_head.data() + i * s.head_size, k_columns, count, row);
            for (double& score : row) score *= s.scale;
            lse[static_cast<size_t>(item * s.queries + i)] = softmax(row, count);
            for (int64_t j = 0; j < count; ++j) {
                add_scaled(row[static_cast<size_t>(j)],
                           v_head.data() + j * s.head_size,
                           s.head_size,
                           o_head.data() + i * s.head_size);
            }
        }
        put_head(o_head, s, n, h, o);
    }
    run.store(0, o);
    run.store(1, lse);
}

namespace {

// One head with its gradients, all [T, head_size].
struct HeadGradients {
    Doubles dq;
    Doubles dk;
    Doubles dv;
};

struct HeadOperands {
    Doubles d_o;
    Doubles q;
    Doubles k;
    Doubles v;
    Doubles o;
    const double* lse;  // [queries]
};

// With p = softmax(scale q k^T) and D = d_o . o, both of one row:
// dv_j += p_j d_o;  ds_j = p_j (d_o . v_j - D);  dq += scale ds_j k_j;  dk_j += scale ds_j q.
HeadGradients head_backward(const AttentionShape& s, const HeadOperands& in) {
    HeadGradients out{
        Doubles(in.q.size(), 0.0), Doubles(in.k.size(), 0.0), Doubles(in.v.size(), 0.0)};
    const Doubles k_columns = transposed(in.k, s.keys, s.head_size);
    const Doubles v_columns = transposed(in.v, s.keys, s.head_size);
    Doubles p(static_cast<size_t>(s.keys));
    Doubles dp(static_cast<size_t>(s.keys));
    for (int64_t i = 0; i < s.queries; ++i) {
        const int64_t count = s.visible(i);
        const double* q = in.q.data() + i * s.head_size;
        const double* d_o = in.d_o.data() + i * s.head_size;
        const double* o = in.o.data() + i * s.head_size;
        double d_dot_o = 0;
        for (int64_t c = 0; c < s.head_size; ++c) d_dot_o += d_o[c] * o[c];
        row_times_matrix(s, q, k_columns, count, p);
        row_times_matrix(s, d_o, v_columns, count, dp);
        for (int64_t j = 0; j < count; ++j) {
            const size_t at = static_cast<size_t>(j);
            const double probability = std::exp(s.scale * p[at] - in.lse[i]);
            const double d_score = s.scale * probability * (dp[at] - d_dot_o);
            const int64_t key = j * s.head_size;
            add_scaled(probability, d_o, s.head_size, out.dv.data() + key);
            add_scaled(d_score, q, s.head_size, out.dk.data() + key);
            add_scaled(d_score, in.k.data() + key, s.head_size, out.dq.data() + i * s.head_size);
        }
    }
    return out;
}

}  // namespace

void attention_backward(const NodeRun& run) {
    const AttentionShape s(run.input(1).shape, run.input(2).shape, run.attrs());
    const Doubles d_o = run.load(0);
    const Doubles q = run.load(1);
    const Doubles k = run.load(2);
    const Doubles v = run.load(3);
    const Doubles o = run.load(4);
    const Doubles lse = run.load(5);
    Doubles dq = run.zeros_like_output(0);
    Doubles dk = run.zeros_like_output(1);
    Doubles dv = run.zeros_like_output(2);
    for (int64_t item = 0; item < s.batch * s.heads; ++item) {
        const int64_t n = item / s.heads;
        const int64_t h = item % s.heads;
        const HeadGradients head = head_backward(s,
                                                 {head_of(d_o, s, n, h, s.queries),
                                                  head_of(q, s, n, h, s.queries),
                                                  head_of(k, s, n, h, s.keys),
                                                  head_of(v, s, n, h, s.keys),
                                                  head_of(o, s, n, h, s.queries),
                                                  lse.data() + item * s.queries});
        put_head(head.dq, s, n, h, dq);
        put_head(head.dk, s, n, h, dk);
        put_head(head.dv, s, n, h, dv);
    }
    run.store(0, dq);
    run.store(1, dk);
    run.store(2, dv);
}

}  // namespace lora::reference::ops

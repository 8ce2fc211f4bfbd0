// Writes graphs: one function an operator, shapes checked as they are added.
// Used by nn/, models/, autodiff/ and train/.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ir/graph.h"

namespace lora::ir {

struct LinearArgs {
    ValueId bias = kNoValue;
    ValueId addend = kNoValue;
    double alpha = 1;
    bool transpose_weight = false;
};

struct ConvArgs {
    ValueId bias = kNoValue;
    ValueId addend = kNoValue;
    int64_t stride = 1;
    std::array<int64_t, 4> pad{};  // top, left, bottom, right
};

struct NormArgs {
    ValueId gamma;
    ValueId beta;
    int64_t groups = 32;
    double eps = 1e-5;
    Activation activation = Activation::kNone;
};

struct AttentionArgs {
    int64_t heads = 1;
    bool causal = false;
    double scale = 0;  // 0: 1/sqrt(head size)
};

struct AttentionResult {
    ValueId output;
    ValueId lse;
};

class Builder {
public:
    // The graph must outlive the builder.
    explicit Builder(Graph& graph) : graph_(&graph) {}

    [[nodiscard]] Graph& graph() { return *graph_; }
    [[nodiscard]] const Shape& shape(ValueId id) const { return graph_->value(id).shape; }
    [[nodiscard]] DType dtype(ValueId id) const { return graph_->value(id).dtype; }

    // Names put in front of what follows, joined by dots, until the Scope dies.
    class Scope {
    public:
        Scope(Builder& builder, std::string_view name);
        ~Scope();
        Scope(const Scope&) = delete;
        Scope& operator=(const Scope&) = delete;

    private:
        Builder* builder_;
        size_t previous_size_;
    };

    ValueId input(std::string name, DType dtype, Shape shape);
    // Frozen weight; asked for twice under one name it is the same value.
    ValueId weight(const std::string& name, DType dtype, const Shape& shape);
    ValueId param(std::string name, Shape shape, DType dtype = DType::kF32);
    ValueId state(std::string name, Shape shape, DType dtype = DType::kF32);

    ValueId reshape(ValueId x, Shape shape);
    ValueId image_to_tokens(ValueId x);
    ValueId tokens_to_image(ValueId x, int64_t height, int64_t width);
    // Layout and type changes give x itself when nothing changes.
    ValueId reorder(ValueId x, Layout layout);
    ValueId cast(ValueId x, DType dtype);
    ValueId concat(ValueId a, ValueId b, int axis);
    ValueId slice(ValueId x, int axis, int64_t begin, int64_t end);
    ValueId pad(ValueId x, int axis, int64_t before, int64_t after);
    // x [N, A, B, D] -> [N, B, A, D].
    ValueId swap_axes(ValueId x);
    ValueId upsample2x(ValueId x);

    ValueId linear(ValueId x, ValueId w, const LinearArgs& args = {});
    ValueId conv2d(ValueId x, ValueId w, const ConvArgs& args = {});
    ValueId group_norm(ValueId x, const NormArgs& args);
    ValueId layer_norm(ValueId x, const NormArgs& args);
    AttentionResult attention(ValueId q, ValueId k, ValueId v, const AttentionArgs& args);

    ValueId activation(ValueId x, Activation activation);
    ValueId geglu(ValueId x);
    ValueId add(ValueId a, ValueId b);
    ValueId multiply(ValueId a, ValueId b);
    // alpha * (a1 b1) * (a2 b2) (+ addend: see kHadamard), elementwise between the two products.
    struct LowRank {
        ValueId a;  // [o, r]
        ValueId b;  // [r, c]
    };
    ValueId hadamard(const LowRank& first,
                     const LowRank& second,
                     double alpha = 1,
                     ValueId addend = kNoValue);
    ValueId scale(ValueId x, double alpha);
    ValueId add_channel(ValueId x, ValueId e);
    ValueId mix_rows(ValueId x, ValueId y, ValueId a, ValueId b);
    // x where drawn to stay, times `scale`; `axes` and `number` as attrs.draw_axes and attrs.size.
    struct DropoutArgs {
        double probability = 0;
        double scale = 1;
        int axes = 0;
        int64_t number = 0;
    };
    ValueId dropout(ValueId x, ValueId key, const DropoutArgs& args);
    // v [R, ..], magnitude [R] -> magnitude / (norm of each row + eps) - 1.
    ValueId dora_scale(ValueId v, ValueId magnitude, double eps);
    ValueId embedding(ValueId ids, ValueId table);
    ValueId dequantize(ValueId q, ValueId scale, DType dtype);
    ValueId timestep_embedding(ValueId t, int64_t size, DType dtype);

    struct Loss {
        ValueId loss;    // []
        ValueId losses;  // [N], unweighted
    };
    struct LossArgs {
        LossKind kind = LossKind::kL2;
        ValueId mask = kNoValue;
        ValueId c = kNoValue;  // huber, smooth_l1
    };
    Loss weighted_loss(ValueId prediction, ValueId target, ValueId weights, const LossArgs& args);
    Loss weighted_mse(ValueId prediction, ValueId target, ValueId weights);

    // Any operator; returns its outputs. `dst` as in Graph::add_node.
    std::vector<ValueId> node(OpKind op,
                              std::vector<ValueId> inputs,
                              Attributes attrs = {},
                              ValueId dst = kNoValue);
    // The scope that new nodes carry; autodiff sets it to the forward node's.
    void set_scope(std::string scope) { scope_ = std::move(scope); }

private:
    ValueId one(OpKind op, std::vector<ValueId> inputs, Attributes attrs = {});
    Graph* graph_;
    std::string scope_;
};

}  // namespace lora::ir

// From the factors of a layer to the change of its weight.
#include <cmath>

#include <fmt/format.h>

#include "base/check.h"
#include "base/error.h"
#include "tools/lora_layers.h"

namespace lora::tools {
namespace {

using nn::LoraKind;

// Z [p, q * taps] = sum over m, n of core[m, n, tap] a[m, p] b[n, q]; core as [m, n * taps].
Matrix tucker(const Matrix& core, const Matrix& a, const Matrix& b) {
    const int64_t n = b.rows;
    const int64_t taps = core.cols / n;
    const int64_t p = a.cols;
    const int64_t q = b.cols;
    Matrix a_t(p, a.rows);
    for (int64_t i = 0; i < a.rows; ++i) {
        for (int64_t j = 0; j < p; ++j) a_t.at(j, i) = a.at(i, j);
    }
    const Matrix left = product(a_t, core);  // [p, n * taps]
    Matrix taps_first(p * taps, n);
    for (int64_t i = 0; i < p; ++i) {
        for (int64_t k = 0; k < n * taps; ++k) {
            taps_first.at(i * taps + k % taps, k / taps) = left.at(i, k);
        }
    }
    const Matrix both = product(taps_first, b);  // [p * taps, q]
    Matrix out(p, q * taps);
    for (int64_t i = 0; i < p * taps; ++i) {
        for (int64_t j = 0; j < q; ++j) out.at(i / taps, j * taps + i % taps) = both.at(i, j);
    }
    return out;
}

int64_t first_axis(const LoraLayer& layer, std::string_view suffix) {
    return layer.factors.find(suffix)->second.shape[0];
}

Matrix whole(const LoraLayer& layer, std::string_view suffix) {
    return factor_matrix(layer, suffix, first_axis(layer, suffix));
}

Matrix loha_change(const LoraLayer& layer) {
    const bool has_core = layer.has("hada_t1");
    const auto part = [&](const char* n) {
        const Matrix a = whole(layer, fmt::format("hada_w{}_a", n));
        const Matrix b = whole(layer, fmt::format("hada_w{}_b", n));
        return has_core ? tucker(whole(layer, fmt::format("hada_t{}", n)), a, b) : product(a, b);
    };
    Matrix out = part("1");
    const Matrix second = part("2");
    const auto scale = static_cast<float>(layer.scale());
    for (size_t i = 0; i < out.values.size(); ++i) out.values[i] *= scale * second.values[i];
    return out;
}

// w2 as [b, d * taps].
Matrix lokr_w2(const LoraLayer& layer) {
    if (layer.has("lokr_w2")) return whole(layer, "lokr_w2");
    const Matrix a = whole(layer, "lokr_w2_a");
    const Matrix b = whole(layer, "lokr_w2_b");
    return layer.has("lokr_t2") ? tucker(whole(layer, "lokr_t2"), a, b) : product(a, b);
}

// kron(w1, w2): out[i * b + k, (j * d + l), tap] = w1[i, j] w2[k, l, tap].
Matrix lokr_change(const LoraLayer& layer) {
    const Matrix w1 = layer.has("lokr_w1")
                          ? whole(layer, "lokr_w1")
                          : product(whole(layer, "lokr_w1_a"), whole(layer, "lokr_w1_b"));
    const Matrix w2 = lokr_w2(layer);
    Matrix out(w1.rows * w2.rows, w1.cols * w2.cols);
    const double scale = layer.scale();
    for (int64_t i = 0; i < w1.rows; ++i) {
        for (int64_t k = 0; k < w2.rows; ++k) {
            float* row = &out.at(i * w2.rows + k, 0);
            for (int64_t j = 0; j < w1.cols; ++j) {
                const auto factor = static_cast<float>(scale * w1.at(i, j));
                for (int64_t l = 0; l < w2.cols; ++l) row[j * w2.cols + l] = factor * w2.at(k, l);
            }
        }
    }
    return out;
}

void add_ia3_change(const LoraLayer& layer, double factor, const Matrix& weight, Matrix& dst) {
    const Matrix w = factor_matrix(layer, "weight", 1);
    const int64_t n = w.cols;
    // Inputs stand in groups of a kernel's taps.
    const bool fits = layer.on_input ? weight.cols % n == 0 : weight.rows == n;
    if (!fits) {
        throw Error(ErrorCode::kFormat,
                    fmt::format("layer {} scales {} {} of a weight [{}, {}]",
                                layer.name,
                                n,
                                layer.on_input ? "inputs" : "outputs",
                                weight.rows,
                                weight.cols))
            .with_hint("the LoRA belongs to another family of models");
    }
    const int64_t taps = layer.on_input ? weight.cols / n : 1;
    for (int64_t i = 0; i < weight.rows; ++i) {
        for (int64_t j = 0; j < weight.cols; ++j) {
            const double by = layer.on_input ? w.at(0, j / taps) : w.at(0, i);
            dst.at(i, j) += static_cast<float>(factor * by * weight.at(i, j));
        }
    }
}

}  // namespace

Matrix factor_matrix(const LoraLayer& layer, std::string_view suffix, int64_t rows) {
    const auto it = layer.factors.find(suffix);
    LORA_CHECK(it != layer.factors.end(), "a layer was read without a factor it needs");
    const TensorView& view = it->second;
    Matrix out;
    out.rows = rows;
    out.cols = view.shape.num_elements() / rows;
    out.values = to_floats(view);
    for (const float value : out.values) {
        if (std::isfinite(value)) continue;
        throw Error(
            ErrorCode::kFormat,
            fmt::format("layer {}: {} holds a value that is not finite", layer.name, suffix))
            .with_hint("its training went wrong; use an earlier save");
    }
    return out;
}

FactorPair factor_pair(const LoraLayer& layer) {
    LORA_CHECK(layer.kind == LoraKind::kLora, "only a LoRA is a product of two matrices");
    FactorPair pair{whole(layer, "lora_up.weight"), whole(layer, "lora_down.weight")};
    if (!layer.has("lora_mid.weight")) return pair;
    // mid [r, s, k, k] and down [s, in]: down'[r, in, k, k], the tap last.
    const Matrix mid = whole(layer, "lora_mid.weight");
    Matrix identity(mid.rows, mid.rows);
    for (int64_t i = 0; i < mid.rows; ++i) identity.at(i, i) = 1;
    pair.down = tucker(mid, identity, pair.down);
    return pair;
}

Matrix weight_change(const LoraLayer& layer) {
    switch (layer.kind) {
        case LoraKind::kLora: {
            const FactorPair pair = factor_pair(layer);
            Matrix out(pair.up.rows, pair.down.cols);
            add_product(pair.up, pair.down, layer.scale(), out);
            return out;
        }
        case LoraKind::kLoha: return loha_change(layer);
        case LoraKind::kLokr: return lokr_change(layer);
        case LoraKind::kIa3: break;
    }
    throw Error(ErrorCode::kFormat,
                fmt::format("layer {} is IA3: its change depends on the base model", layer.name))
        .with_hint("merge it into a model with --sd_model");
}

void add_weight_change(const LoraLayer& layer, double factor, const Matrix& weight, Matrix& dst) {
    if (layer.kind == LoraKind::kIa3) return add_ia3_change(layer, factor, weight, dst);
    if (layer.out() != weight.rows || layer.columns() != weight.cols) {
        throw Error(ErrorCode::kFormat,
                    fmt::format("layer {} has shape {}, the model's weight is [{}, {}]",
                                layer.name,
                                layer.weight_shape.to_string(),
                                weight.rows,
                                weight.cols))
            .with_hint("the LoRA belongs to another family of models");
    }
    if (layer.kind == LoraKind::kLora) {
        const FactorPair pair = factor_pair(layer);
        return add_product(pair.up, pair.down, factor * layer.scale(), dst);
    }
    const Matrix change = weight_change(layer);
    const auto by = static_cast<float>(factor);
    for (size_t i = 0; i < dst.values.size(); ++i) dst.values[i] += by * change.values[i];
}

}  // namespace lora::tools

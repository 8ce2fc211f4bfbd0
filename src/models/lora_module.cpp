#include "models/lora_module.h"

#include <algorithm>

namespace lora::models {
namespace {

using nn::LoraFactor;
using nn::LoraKind;

// The layer's weight as [out, in] and its kernel's sizes ({} for a linear layer).
struct Layer {
    int64_t out = 0;
    int64_t in = 0;
    std::vector<int64_t> kernel;
    int64_t taps = 1;
};

Layer layer_of(const Shape& weight) {
    Layer layer{weight[0], weight[1], {}, 1};
    const std::vector<int64_t>& sizes = weight.sizes();
    layer.kernel.assign(sizes.begin() + 2, sizes.end());
    for (const int64_t size : layer.kernel) layer.taps *= size;
    return layer;
}

Shape with_kernel(int64_t first, int64_t second, const Layer& layer) {
    std::vector<int64_t> sizes{first, second};
    sizes.insert(sizes.end(), layer.kernel.begin(), layer.kernel.end());
    return Shape(sizes);
}

Shape pointwise(int64_t first, int64_t second) { return Shape{first, second, 1, 1}; }

std::vector<LoraFactor> tucker_lora(const Layer& l, int64_t r) {
    return {{"lora_down.weight", pointwise(r, l.in)},
            {"lora_mid.weight", with_kernel(r, r, l)},
            {"lora_up.weight", pointwise(l.out, r)}};
}

std::vector<LoraFactor> loha(const Layer& l, int64_t r, bool tucker) {
    if (tucker) {
        return {{"hada_t1", with_kernel(r, r, l)},
                {"hada_w1_a", Shape{r, l.out}},
                {"hada_w1_b", Shape{r, l.in}},
                {"hada_t2", with_kernel(r, r, l)},
                {"hada_w2_a", Shape{r, l.out}},
                {"hada_w2_b", Shape{r, l.in}}};
    }
    return {{"hada_w1_a", Shape{l.out, r}},
            {"hada_w1_b", Shape{r, l.in * l.taps}},
            {"hada_w2_a", Shape{l.out, r}},
            {"hada_w2_b", Shape{r, l.in * l.taps}}};
}

std::vector<LoraFactor> lokr_factors(const Layer& l, int64_t r, const LokrForm& form) {
    const int64_t b = l.out / form.a;
    const int64_t d = l.in / form.c;
    std::vector<LoraFactor> factors;
    if (form.splits_w1) {
        factors.push_back({"lokr_w1_a", Shape{form.a, r}});
        factors.push_back({"lokr_w1_b", Shape{r, form.c}});
    } else {
        factors.push_back({"lokr_w1", Shape{form.a, form.c}});
    }
    if (!form.splits_w2) {
        factors.push_back({"lokr_w2", with_kernel(b, d, l)});
    } else if (form.tucker) {
        factors.push_back({"lokr_t2", with_kernel(r, r, l)});
        factors.push_back({"lokr_w2_a", Shape{r, b}});
        factors.push_back({"lokr_w2_b", Shape{r, d}});
    } else {
        factors.push_back({"lokr_w2_a", Shape{b, r}});
        factors.push_back({"lokr_w2_b", Shape{r, d * l.taps}});
    }
    return factors;
}

std::vector<LoraFactor> lokr(const Layer& l, int64_t r, const LoraModuleOptions& options) {
    const Factorization out = factorize(l.out, options.factor);
    const Factorization in = factorize(l.in, options.factor);
    LokrForm form{.a = out.m, .c = in.m};
    form.splits_w1 = options.decompose_both && 2 * r < std::max(out.m, in.m);
    form.splits_w2 = 2 * r < std::max(out.n, in.n);
    form.tucker = options.tucker && l.taps > 1;
    return lokr_factors(l, r, form);
}

bool is_whole_lokr(const LoraModule& module) {
    return module.factors.size() >= 2 && module.factors[0].suffix == "lokr_w1" &&
           module.factors[1].suffix == "lokr_w2";
}

std::vector<LoraFactor> ia3(const Layer& l, bool on_input) {
    const int64_t size = on_input ? l.in : l.out;
    return {{"weight", l.kernel.empty() ? Shape{size} : Shape{1, size, 1, 1}}};
}

}  // namespace

Factorization factorize(int64_t size, int64_t factor) {
    if (factor > 0 && size % factor == 0) {
        return {std::min(factor, size / factor), std::max(factor, size / factor)};
    }
    Factorization best{1, size};
    for (int64_t m = 1; m * m <= size && (factor <= 0 || m <= factor); ++m) {
        if (size % m == 0) best = {m, size / m};
    }
    return best;
}

double LoraModule::scale() const {
    if (kind == LoraKind::kIa3) return 1;
    return alpha / static_cast<double>(rank);
}

std::string LoraModule::key(const std::string& suffix) const {
    return target.lora_name + "." + suffix;
}

void add_magnitude(LoraModule& module, const Shape& weight) {
    std::vector<int64_t> sizes(weight.sizes().size(), 1);
    sizes[0] = weight[0];
    module.factors.push_back({std::string(nn::kMagnitude), Shape(sizes)});
}

LoraModule make_lora_module(LoraTarget target,
                            int64_t rank,
                            double alpha,
                            const LoraModuleOptions& options) {
    LoraModule module;
    const Layer layer = layer_of(target.weight_shape);
    const bool tucker = options.tucker && layer.taps > 1;
    module.kind = options.kind;
    module.rank = rank;
    module.alpha = alpha;
    switch (options.kind) {
        case LoraKind::kLora:
            module.factors =
                tucker ? tucker_lora(layer, rank) : nn::lora_factors(target.weight_shape, rank);
            break;
        case LoraKind::kLoha: module.factors = loha(layer, rank, tucker); break;
        case LoraKind::kLokr:
            module.factors = lokr(layer, rank, options);
            if (is_whole_lokr(module)) module.alpha = static_cast<double>(rank);
            break;
        case LoraKind::kIa3:
            module.factors = ia3(layer, options.on_input);
            module.on_input = options.on_input;
            break;
    }
    if (options.magnitude) add_magnitude(module, target.weight_shape);
    module.target = std::move(target);
    return module;
}

LoraModule make_lokr_module(LoraTarget target, int64_t rank, double alpha, const LokrForm& form) {
    LoraModule module;
    module.kind = LoraKind::kLokr;
    module.rank = rank;
    module.factors = lokr_factors(layer_of(target.weight_shape), rank, form);
    module.alpha = is_whole_lokr(module) ? static_cast<double>(rank) : alpha;
    module.target = std::move(target);
    return module;
}

const std::vector<std::string>& factor_suffixes(LoraKind kind) {
    static const std::vector<std::string> kLora{
        "lora_down.weight", "lora_mid.weight", "lora_up.weight"};
    static const std::vector<std::string> kLoha{
        "hada_t1", "hada_w1_a", "hada_w1_b", "hada_t2", "hada_w2_a", "hada_w2_b"};
    static const std::vector<std::string> kLokr{
        "lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_t2", "lokr_w2_a", "lokr_w2_b"};
    static const std::vector<std::string> kIa3{"weight"};
    switch (kind) {
        case LoraKind::kLora: return kLora;
        case LoraKind::kLoha: return kLoha;
        case LoraKind::kLokr: return kLokr;
        case LoraKind::kIa3: return kIa3;
    }
    return kLora;
}

}  // namespace lora::models

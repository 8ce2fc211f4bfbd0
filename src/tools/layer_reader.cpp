#include "tools/internal/layer_reader.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include <fmt/format.h>

#include "base/error.h"
#include "models/lora_module.h"

namespace lora::tools::internal {
namespace {

using nn::LoraKind;

constexpr int64_t kMaxSize = 65536;                 // of any axis
constexpr int64_t kMaxElements = int64_t{1} << 27;  // of a layer's weight

// The kind that a tensor of this suffix belongs to.
std::optional<LoraKind> kind_of(std::string_view suffix) {
    for (const LoraKind kind :
         {LoraKind::kLora, LoraKind::kLoha, LoraKind::kLokr, LoraKind::kIa3}) {
        const std::vector<std::string>& known = models::factor_suffixes(kind);
        if (std::find(known.begin(), known.end(), suffix) != known.end()) return kind;
    }
    if (suffix == "on_input") return LoraKind::kIa3;
    return std::nullopt;
}

class LayerReader {
public:
    LayerReader(LoraLayer& layer, const std::string& what) : layer_(layer), what_(what) {}

    void run() {
        take_alpha();
        layer_.kind = kind();
        for (const auto& [suffix, view] : layer_.factors) check_factor(suffix, view);
        switch (layer_.kind) {
            case LoraKind::kLora: lora(); break;
            case LoraKind::kLoha: loha(); break;
            case LoraKind::kLokr: lokr(); break;
            case LoraKind::kIa3: ia3(); break;
        }
        if (!layer_.has_alpha) layer_.alpha = static_cast<double>(layer_.rank);
        if (layer_.weight_shape.num_elements() > kMaxElements) {
            throw bad(fmt::format("would change a weight of shape {}, which no model has",
                                  layer_.weight_shape.to_string()));
        }
    }

private:
    [[nodiscard]] Error bad(const std::string& what) const {
        return Error(ErrorCode::kFormat,
                     fmt::format("\"{}\": layer {} {}", what_, layer_.name, what));
    }

    void take_alpha() {
        const auto it = layer_.factors.find("alpha");
        if (it == layer_.factors.end()) return;
        const TensorView& view = it->second;
        const bool is_number =
            is_float(view.dtype) || view.dtype == DType::kI64 || view.dtype == DType::kI32;
        if (view.shape.num_elements() != 1 || !is_number) {
            throw bad("has an alpha that is no single number");
        }
        layer_.alpha = static_cast<double>(to_floats(view)[0]);
        if (!std::isfinite(layer_.alpha)) throw bad("has an alpha that is not finite");
        layer_.has_alpha = true;
        layer_.factors.erase(it);
    }

    [[nodiscard]] LoraKind kind() const {
        if (layer_.has("dora_scale")) {
            throw bad("is a DoRA, which is not read here");
        }
        std::optional<LoraKind> first;
        for (const auto& [suffix, view] : layer_.factors) {
            const auto known = kind_of(suffix);
            if (!known) {
                throw bad(fmt::format("has a tensor \"{}\", whose meaning is not known", suffix))
                    .with_hint("LoRA, LoCon, LoHa, LoKr and IA3 are read");
            }
            if (first && first != known) throw bad("is of two kinds at once");
            first = known;
        }
        if (!first) throw bad("has an alpha and nothing else");
        return *first;
    }

    void check_factor(const std::string& suffix, const TensorView& view) const {
        const bool is_flag = suffix == "on_input";
        if (!is_flag && !is_float(view.dtype)) {
            throw bad(fmt::format("has a {} of type {}", suffix, dtype_name(view.dtype)));
        }
        for (const int64_t size : view.shape.sizes()) {
            if (size < 1 || (size > kMaxSize && !suffix.starts_with("hada_w") &&
                             !suffix.starts_with("lokr_w"))) {
                throw bad(fmt::format("has a {} of shape {}", suffix, view.shape.to_string()))
                    .with_hint("a size of 0 or beyond every model's");
            }
        }
    }

    [[nodiscard]] const Shape& shape(std::string_view suffix) const {
        const auto it = layer_.factors.find(suffix);
        if (it == layer_.factors.end()) throw bad(fmt::format("lacks {}", suffix));
        return it->second.shape;
    }

    // The shape, which must have two axes (or four, those behind of size 1 unless `kernel`).
    [[nodiscard]] const Shape& matrix(std::string_view suffix, bool kernel = false) const {
        const Shape& s = shape(suffix);
        const bool four = s.num_axes() == 4 && (kernel || (s[2] == 1 && s[3] == 1));
        if (s.num_axes() != 2 && !four) throw misfit();
        return s;
    }

    [[nodiscard]] Error misfit() const {
        std::string shapes;
        for (const auto& [suffix, view] : layer_.factors) {
            shapes +=
                fmt::format("{}{} {}", shapes.empty() ? "" : ", ", suffix, view.shape.to_string());
        }
        return bad(fmt::format("has {}, which do not fit each other", shapes))
            .with_hint("the file is damaged or of a kind that is not read here");
    }

    void require(bool fits) const {
        if (!fits) throw misfit();
    }

    void set_weight(int64_t out, int64_t in, const Shape& kernel_from) {
        std::vector<int64_t> sizes{out, in};
        for (int axis = 2; axis < kernel_from.num_axes(); ++axis) {
            sizes.push_back(kernel_from[axis]);
        }
        layer_.weight_shape = Shape(std::move(sizes));
    }

    // Of factors whose second axis holds inputs and kernel in one.
    void set_flat_weight(int64_t out, int64_t columns, int64_t groups = 1) {
        const int64_t k = kernel_of_layer(layer_.name);
        if (k > 1 && columns % (k * k) == 0) {
            layer_.weight_shape = Shape{out, groups * columns / (k * k), k, k};
        } else if (layer_.name.ends_with("_conv_shortcut")) {
            layer_.weight_shape = Shape{out, groups * columns, 1, 1};
        } else {
            layer_.weight_shape = Shape{out, groups * columns};
        }
    }

    // What is computed on the way from a Tucker core must stay small too.
    void limit_core(int64_t out, const Shape& core) const {
        require(out * (core.num_elements() / core[0]) <= kMaxElements);
    }

    void lora() {
        const Shape& down = matrix("lora_down.weight", true);
        const Shape& up = matrix("lora_up.weight");
        layer_.rank = down[0];
        if (!layer_.has("lora_mid.weight")) {
            require(up[1] == down[0]);
            set_weight(up[0], down[1], down);
            return;
        }
        const Shape& mid = shape("lora_mid.weight");
        require(mid.num_axes() == 4 && mid[1] == down[0] && mid[0] == up[1] &&
                down.num_elements() == down[0] * down[1]);
        limit_core(mid[0], mid);
        set_weight(up[0], down[1], mid);
    }

    void loha() {
        if (layer_.has("hada_t1") || layer_.has("hada_t2")) return tucker_loha();
        const Shape& w1_a = matrix("hada_w1_a");
        const Shape& w1_b = matrix("hada_w1_b");
        const Shape& w2_a = matrix("hada_w2_a");
        const Shape& w2_b = matrix("hada_w2_b");
        require(w1_a[1] == w1_b[0] && w2_a[1] == w2_b[0] && w1_a[0] == w2_a[0] &&
                w1_b[1] == w2_b[1]);
        layer_.rank = w1_b[0];
        set_flat_weight(w1_a[0], w1_b[1]);
    }

    void tucker_loha() {
        for (const char* n : {"1", "2"}) {
            const Shape& t = shape(fmt::format("hada_t{}", n));
            const Shape& a = matrix(fmt::format("hada_w{}_a", n));
            const Shape& b = matrix(fmt::format("hada_w{}_b", n));
            require(t.num_axes() == 4 && t[0] == a[0] && t[1] == b[0]);
            limit_core(a[1], t);
        }
        const Shape& t1 = shape("hada_t1");
        const Shape& t2 = shape("hada_t2");
        require(shape("hada_w1_a")[1] == shape("hada_w2_a")[1] &&
                shape("hada_w1_b")[1] == shape("hada_w2_b")[1] && t1[2] == t2[2] && t1[3] == t2[3]);
        layer_.rank = shape("hada_w1_b")[0];
        set_weight(shape("hada_w1_a")[1], shape("hada_w1_b")[1], t1);
    }

    void lokr() {
        const bool whole_w1 = layer_.has("lokr_w1");
        const bool whole_w2 = layer_.has("lokr_w2");
        require(!(whole_w1 && (layer_.has("lokr_w1_a") || layer_.has("lokr_w1_b"))));
        require(!(whole_w2 && (layer_.has("lokr_w2_a") || layer_.has("lokr_w2_b"))));
        int64_t a = 0;
        int64_t c = 0;
        if (whole_w1) {
            a = matrix("lokr_w1")[0];
            c = matrix("lokr_w1")[1];
        } else {
            require(matrix("lokr_w1_a")[1] == matrix("lokr_w1_b")[0]);
            a = shape("lokr_w1_a")[0];
            c = shape("lokr_w1_b")[1];
            layer_.rank = shape("lokr_w1_b")[0];
        }
        layer_.is_unscaled = whole_w1 && whole_w2;
        if (whole_w2) {
            const Shape& w2 = matrix("lokr_w2", true);
            set_weight(a * w2[0], c * w2[1], w2);
        } else if (layer_.has("lokr_t2")) {
            const Shape& t = shape("lokr_t2");
            const Shape& w2_a = matrix("lokr_w2_a");
            const Shape& w2_b = matrix("lokr_w2_b");
            require(t.num_axes() == 4 && t[0] == w2_a[0] && t[1] == w2_b[0]);
            limit_core(w2_a[1], t);
            layer_.rank = w2_b[0];
            set_weight(a * w2_a[1], c * w2_b[1], t);
        } else {
            const Shape& w2_a = matrix("lokr_w2_a");
            const Shape& w2_b = matrix("lokr_w2_b");
            require(w2_a[1] == w2_b[0]);
            layer_.rank = w2_b[0];
            set_flat_weight(a * w2_a[0], w2_b[1], c);
        }
    }

    void ia3() {
        const Shape& weight = shape("weight");
        layer_.rank = 1;
        layer_.weight_shape = Shape{weight.num_elements()};
        if (const auto flag = layer_.factors.find("on_input"); flag != layer_.factors.end()) {
            require(flag->second.shape.num_elements() == 1);
            layer_.on_input = to_floats(flag->second)[0] != 0;
            layer_.factors.erase(flag);
        }
    }

    LoraLayer& layer_;
    const std::string& what_;
};

}  // namespace

LoraLayer read_layer(const std::string& name,
                     std::map<std::string, TensorView, std::less<>> tensors,
                     const std::string& what) {
    LoraLayer layer;
    layer.name = name;
    layer.factors = std::move(tensors);
    LayerReader(layer, what).run();
    return layer;
}

}  // namespace lora::tools::internal

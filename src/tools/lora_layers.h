// A LoRA file as a list of adapted layers with their factors, whatever style its names have. Knows
// no base model: a layer's shape follows from its factors. Reads LoRA and LoCon (Tucker form too),
// LoHa, LoKr and IA3. Attaching to a model's graph is models/lora_file_weights.h.
// Errors   kFormat naming layer and tensor: a half is missing, shapes that do not fit each other,
//          no rank, an alpha that is not finite, DoRA and other kinds, not a LoRA at all.
// Threads  plain values; views live as long as the file.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "io/safetensors.h"
#include "nn/lora.h"
#include "tools/lora_keys.h"
#include "tools/matrix.h"

namespace lora::tools {

struct LoraLayer {
    std::string name;  // sd-scripts' name
    nn::LoraKind kind = nn::LoraKind::kLora;
    int64_t rank = 1;
    double alpha = 1;
    bool has_alpha = false;    // in the file; absent: alpha = rank
    bool on_input = false;     // ia3
    bool is_unscaled = false;  // lokr of two whole matrices: no scale
    Shape weight_shape;        // [out, in] or [out, in, k, k]; ia3: [n]
    std::map<std::string, TensorView, std::less<>> factors;  // by suffix

    // alpha / rank; 1 for ia3 and for what is_unscaled.
    [[nodiscard]] double scale() const;
    [[nodiscard]] bool has(std::string_view suffix) const { return factors.contains(suffix); }
    [[nodiscard]] int64_t out() const { return weight_shape[0]; }
    // Columns of the weight as a matrix: in * k * k.
    [[nodiscard]] int64_t columns() const;
};

struct LoraFile {
    std::shared_ptr<const io::SafetensorsFile> file;
    KeyStyle style = KeyStyle::kKohya;
    std::vector<LoraLayer> layers;    // sorted by name
    std::vector<std::string> others;  // tensors that belong to no layer

    [[nodiscard]] const LoraLayer* find(std::string_view name) const;
};

[[nodiscard]] LoraFile open_lora(const std::string& path);
[[nodiscard]] LoraFile read_lora(std::shared_ptr<const io::SafetensorsFile> file);

// A factor's numbers as a matrix of so many rows. Errors  kFormat when one is not finite.
[[nodiscard]] Matrix factor_matrix(const LoraLayer& layer, std::string_view suffix, int64_t rows);

// The layer's change as a product up [out, r] times down [r, in * k * k], without its scale; of
// kLora alone (kernels of the Tucker form are multiplied into down).
struct FactorPair {
    Matrix up;
    Matrix down;
};
[[nodiscard]] FactorPair factor_pair(const LoraLayer& layer);

// The change of the layer's weight, [out, in * k * k], with its scale; of every kind but ia3.
[[nodiscard]] Matrix weight_change(const LoraLayer& layer);
// The change of a weight that is known, dst += factor * change(weight); every kind.
// Errors   kFormat when the layer has another shape.
void add_weight_change(const LoraLayer& layer, double factor, const Matrix& weight, Matrix& dst);

}  // namespace lora::tools

// Names of the text encoder's tensors, in files as transformers writes them (SD 1.x) and as
// OpenCLIP does (SD 2.x). OpenCLIP keeps the queries', keys' and values' matrices of a layer in one
// tensor; graphs name its thirds "...attn.q_proj.weight" and so on, as if each were a tensor of its
// own. Not their shapes (tensor_list.h). Source   Ilharco et al., OpenCLIP
// (doi 10.5281/zenodo.5143773); torch.nn.MultiheadAttention.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace lora::models {

enum class TextLayout : uint8_t { kTransformers, kOpenClip };

// Behind the prefix; those of a layer behind "<layers>N.", without .weight and .bias.
struct TextNames {
    std::string_view tokens;  // the whole name
    std::string_view positions;
    std::string_view layers;
    std::string_view norm1;
    std::string_view q;
    std::string_view k;
    std::string_view v;
    std::string_view out;
    std::string_view norm2;
    std::string_view fc1;
    std::string_view fc2;
    std::string_view final_norm;
};
[[nodiscard]] const TextNames& text_names(TextLayout layout);

// Where the tensor that a graph asks for lies in a file: the whole of a tensor, or one of
// `num_parts` equal parts of its rows.
struct StoredTensor {
    std::string name;
    int64_t part = 0;
    int64_t num_parts = 1;
};
[[nodiscard]] StoredTensor stored_tensor(std::string_view name);

}  // namespace lora::models

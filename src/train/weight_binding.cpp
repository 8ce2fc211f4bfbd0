#include "train/weight_binding.h"

#include <fmt/format.h>

#include "base/error.h"

namespace lora::train {
namespace {

// The same numbers in the same order: one shape becomes the other by joining neighbouring axes.
// Files differ from graphs in axes of size 1 and in kernels that are flattened.
bool lies_alike(const Shape& a, const Shape& b) {
    if (a.num_elements() != b.num_elements()) return false;
    int i = 0;
    int j = 0;
    while (i < a.num_axes() && j < b.num_axes()) {
        int64_t left = a[i++];
        int64_t right = b[j++];
        const bool grew_left = left < right;
        while (left < right && i < a.num_axes()) left *= a[i++];
        while (right < left && j < b.num_axes() && !grew_left) right *= b[j++];
        if (left != right) return false;
    }
    return true;
}

}  // namespace

TensorSource file_source(std::shared_ptr<const io::SafetensorsFile> file, std::string prefix) {
    return [file = std::move(file),
            prefix = std::move(prefix)](const std::string& name) -> std::optional<SourceTensor> {
        if (!name.starts_with(prefix)) return std::nullopt;
        const std::optional<TensorView> view =
            file->find(std::string_view(name).substr(prefix.size()));
        if (!view) return std::nullopt;
        return SourceTensor{*view, file};
    };
}

void WeightStore::bind(const ir::Graph& graph, backend::Bindings& bindings) {
    for (const ir::Value& value : graph.values()) {
        if (value.kind != ir::ValueKind::kWeight || bindings.contains(value.name)) continue;
        bindings[value.name] = {.weight = find_or_make(value), .buffer = nullptr};
    }
}

void WeightStore::forget(const std::string& prefix) {
    std::erase_if(weights_, [&prefix](const auto& entry) {
        return std::get<0>(entry.first).starts_with(prefix);
    });
}

std::shared_ptr<backend::Weight> WeightStore::find_or_make(const ir::Value& value) {
    std::shared_ptr<backend::Weight>& weight =
        weights_[Key{value.name, value.dtype, value.shape.sizes()}];
    if (weight) return weight;
    for (const TensorSource& source : sources_) {
        const std::optional<SourceTensor> found = source(value.name);
        if (!found) continue;
        if (!is_float(found->view.dtype) || !lies_alike(found->view.shape, value.shape)) {
            throw Error(ErrorCode::kFormat,
                        fmt::format("tensor \"{}\" has type {} and shape {} where {} belongs",
                                    value.name,
                                    dtype_name(found->view.dtype),
                                    found->view.shape.to_string(),
                                    value.shape.to_string()));
        }
        const TensorView view{found->view.dtype, value.shape, found->view.bytes};
        weight = backend_->make_weight(view, found->keep_alive, value.dtype);
        return weight;
    }
    throw Error(ErrorCode::kFormat, fmt::format("no file holds the tensor \"{}\"", value.name));
}

}  // namespace lora::train

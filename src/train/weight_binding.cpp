#include "train/weight_binding.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/error.h"
#include "nn/lora.h"
#include "train/quantize_rows.h"

namespace lora::train {
namespace {

// How many elements the first, the first two, ... axes hold; axes of size 1 change nothing.
std::vector<int64_t> borders(const Shape& shape) {
    std::vector<int64_t> result;
    int64_t count = 1;
    for (const int64_t size : shape.sizes()) {
        if (size == 1) continue;
        count *= size;
        result.push_back(count);
    }
    return result;
}

// The same numbers in the same order: joining neighbouring axes of one gives the other. Files
// differ from graphs in axes of size 1 and in kernels that are flattened.
bool lies_alike(const Shape& a, const Shape& b) {
    if (a.num_elements() != b.num_elements()) return false;
    const std::vector<int64_t> x = borders(a);
    const std::vector<int64_t> y = borders(b);
    return std::includes(x.begin(), x.end(), y.begin(), y.end()) ||
           std::includes(y.begin(), y.end(), x.begin(), x.end());
}

}  // namespace

SourceTensor part_of(SourceTensor whole, const models::StoredTensor& stored) {
    if (stored.num_parts == 1) return whole;
    std::vector<int64_t> sizes = whole.view.shape.sizes();
    if (sizes.empty() || sizes.front() % stored.num_parts != 0) {
        throw Error(ErrorCode::kFormat,
                    fmt::format("tensor \"{}\" has shape {}, whose rows are not {} equal parts",
                                stored.name,
                                whole.view.shape.to_string(),
                                stored.num_parts));
    }
    sizes.front() /= stored.num_parts;
    const size_t bytes = whole.view.bytes.size() / static_cast<size_t>(stored.num_parts);
    whole.view.bytes = whole.view.bytes.subspan(static_cast<size_t>(stored.part) * bytes, bytes);
    whole.view.shape = Shape(sizes);
    return whole;
}

TensorSource file_source(std::shared_ptr<const io::SafetensorsFile> file, std::string prefix) {
    return [file = std::move(file),
            prefix = std::move(prefix)](const std::string& name) -> std::optional<SourceTensor> {
        if (!name.starts_with(prefix)) return std::nullopt;
        const models::StoredTensor stored =
            models::stored_tensor(std::string_view(name).substr(prefix.size()));
        const std::optional<TensorView> view = file->find(stored.name);
        if (!view) return std::nullopt;
        return part_of({*view, file}, stored);
    };
}

TensorSource vae_source(std::shared_ptr<const io::SafetensorsFile> file, std::string vae_prefix) {
    return [source = file_source(std::move(file)), prefix = std::move(vae_prefix)](
               const std::string& name) -> std::optional<SourceTensor> {
        if (!name.starts_with(prefix)) return std::nullopt;
        for (const std::string_view part :
             {"encoder.", "decoder.", "quant_conv.", "post_quant_conv."}) {
            if (std::string_view(name).substr(prefix.size()).starts_with(part)) return source(name);
        }
        return std::nullopt;
    };
}

void WeightStore::bind(const ir::Graph& graph, backend::Bindings& bindings) {
    // First, since their scales come with them.
    for (const ir::Value& value : graph.values()) {
        if (value.kind != ir::ValueKind::kWeight || value.dtype != DType::kU8) continue;
        bindings[value.name] = {.weight = find_or_make(value), .buffer = nullptr};
    }
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

SourceTensor WeightStore::find(const std::string& name, const Shape& shape) const {
    for (const TensorSource& source : sources_) {
        const std::optional<SourceTensor> found = source(name);
        if (!found) continue;
        if (!is_float(found->view.dtype) || !lies_alike(found->view.shape, shape)) {
            throw Error(ErrorCode::kFormat,
                        fmt::format("tensor \"{}\" has type {} and shape {} where {} belongs",
                                    name,
                                    dtype_name(found->view.dtype),
                                    found->view.shape.to_string(),
                                    shape.to_string()));
        }
        return {{found->view.dtype, shape, found->view.bytes}, found->keep_alive};
    }
    throw Error(ErrorCode::kFormat, fmt::format("no file holds the tensor \"{}\"", name));
}

// The bytes of a tensor and its scales are two weights of the backend, made at once.
void WeightStore::quantize(const ir::Value& value) {
    const SourceTensor found = find(value.name, value.shape);
    const auto rows = std::make_shared<const QuantizedRows>(quantize_rows(found.view));
    for (const Tensor* part : {&rows->bytes, &rows->scales}) {
        const std::string suffix = part == &rows->scales ? nn::kScaleSuffix : "";
        weights_[Key{value.name + suffix, part->dtype(), part->shape().sizes()}] =
            backend_->make_weight(part->view(), rows, part->dtype());
    }
}

std::shared_ptr<backend::Weight> WeightStore::find_or_make(const ir::Value& value) {
    std::shared_ptr<backend::Weight>& weight =
        weights_[Key{value.name, value.dtype, value.shape.sizes()}];
    if (weight) return weight;
    if (value.dtype == DType::kU8) {
        quantize(value);
        return weight;
    }
    const SourceTensor found = find(value.name, value.shape);
    weight = backend_->make_weight(found.view, found.keep_alive, value.dtype);
    return weight;
}

}  // namespace lora::train

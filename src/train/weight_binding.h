// Finds the frozen tensors that graphs ask for and hands them to the backend, each once: graphs
// that name the same tensor share one weight. What a graph wants in U8 is quantised on the way
// (quantize_rows.h); its scales go by the name with nn::kScaleSuffix. Sources are model files, LoRA
// files, or anything that can produce a tensor by name. Not trainable parameters (optimizer.h).
// Shapes   a source may hold further axes of size 1 ([o, i, 1, 1] for [o, i]). Errors   kFormat
// naming the tensor that no source has, or whose shape or type does not fit. Threads  one thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "backend/backend.h"
#include "io/safetensors.h"
#include "models/keymap/text_encoder.h"

namespace lora::train {

struct SourceTensor {
    TensorView view;
    std::shared_ptr<const void> keep_alive;  // the bytes stay readable as long as this lives
};
using TensorSource = std::function<std::optional<SourceTensor>(const std::string& name)>;

// A file's tensors under `prefix` + their names; parts of tensors by the names that graphs give
// them (models/keymap/text_encoder.h).
[[nodiscard]] TensorSource file_source(std::shared_ptr<const io::SafetensorsFile> file,
                                       std::string prefix = {});
// Of a file only the VAE, whose names start with `vae_prefix` (VaeConfig::prefix): the file may be
// a whole model, of which nothing else is wanted. Added before the model's own source.
[[nodiscard]] TensorSource vae_source(std::shared_ptr<const io::SafetensorsFile> file,
                                      std::string vae_prefix);
// The part of a whole tensor that `stored` says. Errors  kFormat when its rows do not split.
[[nodiscard]] SourceTensor part_of(SourceTensor whole, const models::StoredTensor& stored);

class WeightStore {
public:
    // The backend must outlive the store.
    explicit WeightStore(backend::Backend& backend) : backend_(&backend) {}

    // Asked in the order in which they were added.
    void add_source(TensorSource source) { sources_.push_back(std::move(source)); }
    // Adds a binding for every frozen weight of the graph that has none yet.
    void bind(const ir::Graph& graph, backend::Bindings& bindings);
    // Lets go of the weights whose names start with `prefix` (a LoRA that is not used any more).
    void forget(const std::string& prefix);

private:
    using Key = std::tuple<std::string, DType, std::vector<int64_t>>;
    // In the shape that the graph wants.
    [[nodiscard]] SourceTensor find(const std::string& name, const Shape& shape) const;
    void quantize(const ir::Value& value);
    [[nodiscard]] std::shared_ptr<backend::Weight> find_or_make(const ir::Value& value);

    backend::Backend* backend_;
    std::vector<TensorSource> sources_;
    std::map<Key, std::shared_ptr<backend::Weight>> weights_;
};

}  // namespace lora::train

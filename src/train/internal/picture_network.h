// A network over pictures of any number and size (the VAE's encoder and decoder): all at once where
// the plan fits, else picture by picture, else in overlapping tiles where the network allows them:
// group norms and the middle's attention see a tile only, so that a picture in tiles is not the
// same. Not what the network computes (models/vae.h). Shapes   input and outputs [N, C, H, W] fp32.
// Errors   kOutOfMemory when the smallest way does not fit either.
// Threads  one thread.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "train/graph_runner.h"
#include "train/internal/tiles.h"

namespace lora::train {

struct PictureGraph {
    // The graph for an input of this shape, with the names below.
    std::function<ir::Graph(const Shape& input)> build;
    std::string input;
    std::vector<std::string> outputs;
    std::vector<TileLayout> tiles;  // tried in this order, the largest first; may be empty
};

class PictureNetwork {
public:
    // Backend and store must outlive the object. max_arena_bytes 0: whatever the device has.
    PictureNetwork(backend::Backend& backend,
                   WeightStore& weights,
                   PictureGraph graph,
                   size_t max_arena_bytes);

    // One tensor for each output.
    [[nodiscard]] std::vector<Tensor> run(const TensorView& input);
    // The arena that run() would take for this shape; planned only.
    [[nodiscard]] size_t arena_bytes(const Shape& input);

private:
    struct Way {
        int64_t batch = 1;                   // pictures at once
        const TileLayout* layout = nullptr;  // nothing: whole pictures
        size_t arena_bytes = 0;
    };
    [[nodiscard]] const Way& way_for(const Shape& input);
    [[nodiscard]] Way find_way(const Shape& input) const;
    [[nodiscard]] size_t planned_bytes(const Shape& input) const;
    [[nodiscard]] std::vector<Tensor> run_by(const Way& way, const TensorView& input);
    [[nodiscard]] std::vector<Tensor> run_at_once(const TensorView& input);

    backend::Backend* backend_;
    WeightStore* weights_;
    PictureGraph graph_;
    size_t max_arena_bytes_;
    bool has_told_tiles_ = false;
    std::map<std::string, Way> ways_;                              // by the shape of an input
    std::map<std::string, std::unique_ptr<GraphRunner>> runners_;  // by the shape of a run
};

}  // namespace lora::train

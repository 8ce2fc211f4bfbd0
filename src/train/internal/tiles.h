// A picture in overlapping tiles whose results fade into each other. Not the choice of a tile's
// size (picture_network.h). Shapes   [N, C, H, W] fp32, row-major; starts and sizes in elements of
// the input. Threads  one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "tensor/tensor.h"

namespace lora::train {

// First element of each tile along an axis: as few as overlap by at least `overlap`, the last one
// ending where the axis ends. One tile at 0 where the axis is no longer than a tile.
[[nodiscard]] std::vector<int64_t> tile_starts(int64_t length, int64_t tile, int64_t overlap);

struct TileLayout {
    int64_t tile = 0;     // side of a tile
    int64_t overlap = 0;  // of neighbours, at least
    // Elements of a result along an axis for one of the input: out_per / in_per.
    int64_t out_per = 1;
    int64_t in_per = 1;
};

using TileWork = std::function<std::vector<Tensor>(const Tensor& tile)>;

// What `work` makes of every tile, put together: where tiles overlap a result is their mean,
// weighted by the distance from the edge that lies inside the picture. Tile, overlap and the
// input's sides must be multiples of in_per.
[[nodiscard]] std::vector<Tensor> run_in_tiles(const TensorView& input,
                                               const TileLayout& layout,
                                               const TileWork& work);

}  // namespace lora::train

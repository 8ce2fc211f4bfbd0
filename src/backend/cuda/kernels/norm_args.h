// Arguments of group norm and layer norm, and the shape of a group norm block.
#pragma once

#include <cstdint>

namespace lora::cuda {

// Channels-last [images][pixels][channels]. A block covers a chunk of whole groups and a slab of
// pixels; its threads are `rows` x `columns`, a column being 16 bytes of neighbouring channels.
struct GroupNormArgs {
    const void* x = nullptr;
    const void* dy = nullptr;  // backward only
    const void* gamma = nullptr;
    const void* beta = nullptr;
    const void* addend = nullptr;  // backward only; may be absent
    void* dst = nullptr;
    float* stats = nullptr;    // [images][groups][2]: mean, 1 / sqrt(var + eps)
    float* partial = nullptr;  // [images][groups][slabs][2]
    int64_t pixels = 0;
    int64_t slab_pixels = 0;
    int slabs = 0;
    int channels = 0;
    int groups = 0;
    int group_size = 0;    // channels a group
    int chunk_groups = 0;  // groups a block
    int columns = 0;
    int rows = 0;
    int plane = 0;  // floats between the shared values of neighbouring channels of a column
    int aligned = 0;
    int silu = 0;
    float eps = 0;
};
inline constexpr int kGroupNormThreads = 256;

// Rows of `size` elements, one warp each.
struct LayerNormArgs {
    const void* x = nullptr;
    const void* dy = nullptr;  // backward only
    const void* gamma = nullptr;
    const void* beta = nullptr;    // forward only
    const void* addend = nullptr;  // backward only; may be absent
    void* dst = nullptr;
    float* stats = nullptr;  // [rows][2]
    int64_t rows = 0;
    int64_t size = 0;
    int vectors = 0;  // 16-byte vectors a row where it fits registers; 0: element by element
    float eps = 0;
};
inline constexpr int kLayerNormWarps = 4;
inline constexpr int kLayerNormLaneElements = 40;  // elements of a row that a lane can hold

// DoRA's scale of rows, a block each.
struct DoraScaleArgs {
    const void* v = nullptr;
    const float* m = nullptr;
    const float* dh = nullptr;  // backward only
    float* h = nullptr;         // forward only
    float* norms = nullptr;     // backward reads them
    void* dv = nullptr;         // backward only
    float* dm = nullptr;        // backward only
    int64_t length = 0;         // elements a row
    double eps = 0;
};

}  // namespace lora::cuda

#include "backend/cuda/internal/tensor_maps.h"

#include <array>

#include "backend/cuda/internal/driver.h"
#include "base/check.h"

namespace lora::cuda {
namespace {

// CUtensorMapDataType, CUtensorMapInterleave, CUtensorMapSwizzle, CUtensorMapL2promotion,
// CUtensorMapFloatOOBfill.
constexpr int kTypeF16 = 6;
constexpr int kTypeBF16 = 9;
constexpr int kNotInterleaved = 0;
constexpr int kSwizzle128Bytes = 3;
constexpr int kFetch256Bytes = 3;
constexpr int kZerosOutside = 0;

constexpr unsigned kDepth = 64;  // of k in a step: 128 bytes, the swizzle's width

const Driver& driver() {
    std::string reason;
    const Driver* found = find_driver(reason);
    LORA_CHECK(found != nullptr, "a product on a card without a driver: " + reason);
    return *found;
}

int type_of(DType dtype) { return dtype == DType::kBF16 ? kTypeBF16 : kTypeF16; }

// A tensor of 16-bit elements, innermost axis first; strides in elements, of all axes but the
// first.
struct Tiled {
    std::vector<uint64_t> sizes;
    std::vector<uint64_t> strides;
    std::vector<unsigned> box;
};

TensorMap encode(const void* address, DType dtype, Tiled tiled) {
    const std::vector<unsigned> steps(tiled.sizes.size(), 1);
    for (uint64_t& stride : tiled.strides) stride *= 2;  // bytes
    TensorMap map;
    driver().check(driver().encode_tiled(&map,
                                         type_of(dtype),
                                         static_cast<unsigned>(tiled.sizes.size()),
                                         const_cast<void*>(address),
                                         tiled.sizes.data(),
                                         tiled.strides.data(),
                                         tiled.box.data(),
                                         steps.data(),
                                         kNotInterleaved,
                                         kSwizzle128Bytes,
                                         kFetch256Bytes,
                                         kZerosOutside),
                   "describing a matrix to the card");
    return map;
}

TensorMap encode_matrix(
    const void* address, DType dtype, int64_t rows, int64_t columns, int64_t box_rows) {
    const auto width = static_cast<uint64_t>(columns);
    return encode(
        address,
        dtype,
        {{width, static_cast<uint64_t>(rows)}, {width}, {kDepth, static_cast<unsigned>(box_rows)}});
}

// The image as the windows of a convolution see it: one position for each pixel of the result.
TensorMap encode_windows(const ProductArgs& p, DType dtype, int box_rows) {
    const int64_t images = p.m / (int64_t{p.out_height} * p.out_width);
    const auto channels = static_cast<uint64_t>(p.channels);
    const auto width = static_cast<uint64_t>(p.width);
    const auto height = static_cast<uint64_t>(p.height);
    const std::array<uint64_t, 4> sizes = {channels, width, height, static_cast<uint64_t>(images)};
    const std::array<uint64_t, 3> strides = {
        channels * 2, width * channels * 2, height * width * channels * 2};
    const std::array<int, 2> first = {-p.pad_left, -p.pad_top};
    const std::array<int, 2> last = {(p.out_width - 1) * p.stride - p.pad_left - (p.width - 1),
                                     (p.out_height - 1) * p.stride - p.pad_top - (p.height - 1)};
    const auto step = static_cast<unsigned>(p.stride);
    const std::array<unsigned, 4> steps = {1, step, step, 1};
    TensorMap map;
    driver().check(driver().encode_im2col(&map,
                                          type_of(dtype),
                                          4,
                                          const_cast<void*>(p.a),
                                          sizes.data(),
                                          strides.data(),
                                          first.data(),
                                          last.data(),
                                          kDepth,
                                          static_cast<unsigned>(box_rows),
                                          steps.data(),
                                          kNotInterleaved,
                                          kSwizzle128Bytes,
                                          kFetch256Bytes,
                                          kZerosOutside),
                   "describing an image to the card");
    return map;
}

}  // namespace

HopperProductArgs with_tensor_maps(const ProductArgs& args,
                                   const ProductShape& shape,
                                   const ProductConfig& config) {
    const TileSize tile = product_tile_size(config);
    HopperProductArgs result;
    ProductArgs& p = result.product;
    p = args;
    const bool depth_contiguous = is_depth_contiguous(shape.kind);
    if (shape.kind == ProductKind::kBackwardKn) {
        p.pad_top = p.kernel_height - 1 - p.pad_top;
        p.pad_left = p.kernel_width - 1 - p.pad_left;
    }
    const bool gathered = shape.channels > 0;
    result.a = gathered ? encode_windows(p, shape.dtype, tile.rows)
                        : encode_matrix(p.a, shape.dtype, p.m, p.k, tile.rows);
    if (depth_contiguous) {
        result.b = encode_matrix(p.b, shape.dtype, p.n, p.k, tile.columns);
    } else if (!gathered) {
        result.b = encode_matrix(p.b, shape.dtype, p.k, p.n, kDepth);
    } else {
        const auto in = static_cast<uint64_t>(p.n);
        const uint64_t taps =
            static_cast<uint64_t>(p.kernel_height) * static_cast<uint64_t>(p.kernel_width);
        result.b = encode(
            p.b,
            shape.dtype,
            {{in, taps, static_cast<uint64_t>(p.channels)}, {in, taps * in}, {kDepth, 1, kDepth}});
    }
    if (p.mid != nullptr) {
        result.mid = depth_contiguous ? encode_matrix(p.a2, shape.dtype, p.k2, p.k, kMostMidColumns)
                                      : encode_matrix(p.a2, shape.dtype, p.k, p.k2, kDepth);
    } else if (p.k2 > 0) {
        result.a2 = encode_matrix(p.a2, shape.dtype, p.m, p.k2, tile.rows);
    }
    if (p.k2 > 0) {
        result.b2 = depth_contiguous ? encode_matrix(p.b2, shape.dtype, p.n, p.k2, tile.columns)
                                     : encode_matrix(p.b2, shape.dtype, p.k2, p.n, kDepth);
    }
    return result;
}

HopperGradientArgs with_tensor_maps(const WeightGradientArgs& args, const ProductShape& shape) {
    HopperGradientArgs result;
    result.gradient = args;
    result.dy = encode_matrix(args.dy, shape.dtype, args.points, args.out, kDepth);
    if (shape.channels == 0) {
        result.x = encode_matrix(args.x, shape.dtype, args.points, args.in, kDepth);
        return result;
    }
    ProductArgs windows;
    windows.a = args.x;
    windows.m = args.points;
    windows.channels = args.in;
    windows.height = args.height;
    windows.width = args.width;
    windows.out_height = args.out_height;
    windows.out_width = args.out_width;
    windows.stride = args.stride;
    windows.pad_top = args.pad_top;
    windows.pad_left = args.pad_left;
    result.x = encode_windows(windows, shape.dtype, kDepth);
    return result;
}

}  // namespace lora::cuda

// Which kernel computes a product: what there is to choose from, the first guess, and what
// measurements chose. Not the kernels (kernels/product_args.h), nor what a node is (product.cpp).
#pragma once

#include <compare>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backend/cuda/internal/device.h"

namespace lora::cuda {

enum class ProductKind : uint8_t {  // how operands lie: kernels/product_args.h
    kPlainNk,
    kPlainKn,
    kForwardNk,
    kBackwardKn,
    kGradientPlain,
    kGradientPatches,
    kLoraNk,  // plain, and the kernel makes the second product's left operand on the way
    kLoraKn,
    kParityKn,  // backward with stride 2, pixels by parity; m and k are those of the largest part
};
[[nodiscard]] constexpr bool is_depth_contiguous(ProductKind kind) {  // of B
    return kind == ProductKind::kPlainNk || kind == ProductKind::kForwardNk ||
           kind == ProductKind::kLoraNk;
}

// All that the speed of a product depends on: the key of choices.
struct ProductShape {
    ProductKind kind = ProductKind::kPlainNk;
    DType dtype = DType::kF32;
    int64_t m = 0;         // gradients: out
    int64_t n = 0;         // gradients: taps * in
    int64_t k = 0;         // gradients: points
    int64_t k2 = 0;        // of a second product that rides along; 0: none
    int64_t channels = 0;  // of a gathered image; 0 for a plain operand
    int64_t width = 0;
    int64_t stride = 1;
    bool vector = false;  // operands can be loaded 16 bytes at a time
    bool wide = false;    // the result can be stored 16 bytes at a time
    auto operator<=>(const ProductShape&) const = default;  // NOLINT(modernize-use-nullptr)
};

struct ProductConfig {
    int tile = 0;  // a row of the table in product_tiles.cpp
    int splits = 1;
    bool operator==(const ProductConfig&) const = default;
};

// A choice in words that outlive this run: on disk.
struct RememberedConfig {
    std::string tile;
    int splits = 1;
};

// Choices made by measuring, and those of earlier runs by the shape's text (tuner.h).
// Threads  one at a time.
class Products {
public:
    [[nodiscard]] std::optional<ProductConfig> lookup(const ProductShape& shape) const {
        const auto found = chosen_.find(shape);
        if (found == chosen_.end()) return std::nullopt;
        return found->second;
    }
    void set(const ProductShape& shape, const ProductConfig& config) { chosen_[shape] = config; }

    [[nodiscard]] std::optional<RememberedConfig> recall(const std::string& shape) const {
        const auto found = remembered_.find(shape);
        if (found == remembered_.end()) return std::nullopt;
        return found->second;
    }
    void remember(const std::string& shape, RememberedConfig config) {
        remembered_[shape] = std::move(config);
    }
    [[nodiscard]] const std::map<std::string, RememberedConfig>& remembered() const {
        return remembered_;
    }

private:
    std::map<std::string, RememberedConfig> remembered_;
    std::map<ProductShape, ProductConfig> chosen_;
};

// Names stay the same from version to version, numbers of tiles do not.
[[nodiscard]] std::string_view product_tile_name(int tile);  // "128x128"
[[nodiscard]] std::optional<int> find_product_tile(std::string_view name, ProductKind kind);

// The product that a node is: any operator of product.cpp.
[[nodiscard]] ProductShape product_shape(const DeviceInfo& d,
                                         const ir::Graph& g,
                                         const ir::Node& n);
// The node whose result is the left operand of n's second product, if n's kernel makes that on the
// way: a LoRA's first product, which then needs no launch of its own. Null: none.
[[nodiscard]] const ir::Node* mid_source(const DeviceInfo& d,
                                         const ir::Graph& g,
                                         const ir::Node& n);

// What can compute the shape on the device, the most promising first, at least one. product_scratch
// has room for each of them; a choice that is not among them is ignored.
[[nodiscard]] std::vector<ProductConfig> candidate_configs(const DeviceInfo& d,
                                                           const ProductShape& shape);
[[nodiscard]] ProductConfig choose_config(const DeviceInfo& d, const ProductShape& shape);

// The launch of a choice, without arguments, and what its arguments need: how far one split goes
// along k, and the memory of a sum that is split (kernels/split_sum.cuh).
[[nodiscard]] Launch product_launch(const ProductShape& shape, const ProductConfig& config);
[[nodiscard]] int depth_of_split(const ProductShape& shape, const ProductConfig& config);
[[nodiscard]] size_t split_bytes(const ProductShape& shape, const ProductConfig& config);
[[nodiscard]] int64_t num_product_tiles(const ProductShape& shape, const ProductConfig& config);
// The tiles of split sums are few: more would fill the card without splitting.
[[nodiscard]] constexpr int64_t most_split_tiles(const DeviceInfo& d) {
    return int64_t{4} * d.num_multiprocessors;
}
struct TileSize {
    int rows = 0;
    int columns = 0;
};
[[nodiscard]] TileSize product_tile_size(const ProductConfig& config);
// The kernel's arguments are HopperProductArgs (tensor_maps.h), not ProductArgs.
[[nodiscard]] bool needs_tensor_maps(const ProductConfig& config);
// As many columns of a second product's left operand can be made on the way.
inline constexpr int64_t kMostMidColumns = 32;
// The kernel can add a second, thin product to the first.
[[nodiscard]] bool takes_second_product(const ProductConfig& config);

}  // namespace lora::cuda

// Sizes of a tensor, outermost first (PyTorch's order). Rank 0 is a scalar with one element.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

namespace lora {

class Shape {
public:
    Shape() = default;
    Shape(std::initializer_list<int64_t> sizes) : sizes_(sizes) {}
    explicit Shape(std::vector<int64_t> sizes) : sizes_(std::move(sizes)) {}

    [[nodiscard]] int num_axes() const { return static_cast<int>(sizes_.size()); }
    // Negative axes count from the end. Throws kInternal when out of range.
    [[nodiscard]] int64_t operator[](int axis) const;
    [[nodiscard]] int64_t num_elements() const;
    [[nodiscard]] const std::vector<int64_t>& sizes() const { return sizes_; }
    // "[2, 320, 64, 64]"
    [[nodiscard]] std::string to_string() const;
    bool operator==(const Shape&) const = default;

private:
    std::vector<int64_t> sizes_;
};

}  // namespace lora

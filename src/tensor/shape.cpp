#include "tensor/shape.h"

#include "base/check.h"

namespace lora {

int64_t Shape::operator[](int axis) const {
    const int index = axis < 0 ? axis + num_axes() : axis;
    LORA_CHECK(index >= 0 && index < num_axes(), "axis out of range of " + to_string());
    return sizes_[static_cast<size_t>(index)];
}

int64_t Shape::num_elements() const {
    int64_t count = 1;
    for (const int64_t size : sizes_) count *= size;
    return count;
}

std::string Shape::to_string() const {
    std::string text = "[";
    for (size_t i = 0; i < sizes_.size(); ++i) {
        if (i > 0) text += ", ";
        text += std::to_string(sizes_[i]);
    }
    return text + "]";
}

}  // namespace lora

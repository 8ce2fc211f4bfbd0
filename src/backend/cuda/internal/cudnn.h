// cuDNN, as far as a bf16 convolution over channels-last images needs it. See vendor_library.h.
#pragma once

#include <functional>
#include <memory>

#include "backend/cuda/internal/card.h"
#include "backend/cuda/internal/vendor_library.h"
#include "ir/graph.h"

namespace lora::cuda {

class Cudnn {
public:
    Cudnn(std::unique_ptr<DynamicLibrary> library, DriverHandle stream);
    ~Cudnn();
    Cudnn(const Cudnn&) = delete;
    Cudnn& operator=(const Cudnn&) = delete;

    struct Convolution {
        Shape image;   // [N, I, H, W], of the forward pass
        Shape filter;  // [O, I, kh, kw], lying [O, kh, kw, I]
        Shape result;  // [N, O, h, w]
        int64_t stride = 1;
        int64_t pad = 0;         // the same on all sides
        bool is_forward = true;  // else the gradient of the image
        DevicePtr src = 0;       // image, or gradient of the result
        DevicePtr weights = 0;
        DevicePtr dst = 0;
        DevicePtr workspace = 0;
        size_t workspace_bytes = 0;
    };
    // Calls `time` with every algorithm that the library proposes; the least answer.
    using Timer = std::function<double(const std::function<void()>& launch)>;
    [[nodiscard]] double best_us(const Convolution& convolution, const Timer& time);

private:
    std::unique_ptr<DynamicLibrary> library_;
    LibraryHandle handle_ = nullptr;
};

}  // namespace lora::cuda

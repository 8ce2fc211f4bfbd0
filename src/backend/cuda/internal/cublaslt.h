// cuBLASLt, as far as a bf16 product needs it. See vendor_library.h.
#pragma once

#include <functional>
#include <memory>

#include "backend/cuda/internal/card.h"
#include "backend/cuda/internal/vendor_library.h"

namespace lora::cuda {

class CublasLt {
public:
    explicit CublasLt(std::unique_ptr<DynamicLibrary> library);
    ~CublasLt();
    CublasLt(const CublasLt&) = delete;
    CublasLt& operator=(const CublasLt&) = delete;

    struct Product {  // row-major dst [m, n] = a [m, k] b; b [n, k] or, not transposed, [k, n]
        int64_t m = 0;
        int64_t n = 0;
        int64_t k = 0;
        bool b_is_nk = true;
        DevicePtr a = 0;
        DevicePtr b = 0;
        DevicePtr dst = 0;
        DevicePtr workspace = 0;
        size_t workspace_bytes = 0;
    };
    // Calls `time` with every algorithm that the library proposes; the least answer.
    using Timer = std::function<double(const std::function<void()>& launch)>;
    [[nodiscard]] double best_us(const Product& product, DriverHandle stream, const Timer& time);

private:
    std::unique_ptr<DynamicLibrary> library_;
    LibraryHandle handle_ = nullptr;
};

}  // namespace lora::cuda

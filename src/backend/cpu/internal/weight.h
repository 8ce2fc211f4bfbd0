// A frozen tensor and the forms in which kernels want it: plain in the compute type, or packed.
// Each form is made once, when a program asks for it, and shared by all executables. The source
// (a mapped file) is read again for each new form; nothing plain is kept beside a packed form.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

#include "backend/backend.h"
#include "tensor/tensor.h"

namespace lora::cpu {

// 64-byte aligned memory, large pieces at 2 MiB and in large pages where the system has them.
// Not cleared; pages are touched when they are first written.
class Memory {
public:
    explicit Memory(size_t size_bytes);
    ~Memory();
    Memory(const Memory&) = delete;
    Memory& operator=(const Memory&) = delete;
    [[nodiscard]] std::byte* data() const { return data_; }
    [[nodiscard]] size_t size_bytes() const { return size_bytes_; }

private:
    size_t size_bytes_;
    size_t alignment_;
    std::byte* data_;
};

class CpuWeight : public backend::Weight {
public:
    CpuWeight(const TensorView& source, std::shared_ptr<const void> keep_alive, DType dtype)
        : source_(source), keep_alive_(std::move(keep_alive)), dtype_(dtype) {}

    [[nodiscard]] const TensorView& source() const { return source_; }
    [[nodiscard]] DType dtype() const { return dtype_; }
    // Row-major in dtype().
    [[nodiscard]] std::shared_ptr<Memory> plain();
    // The form of this name; `make` packs it on first use. It may use the weight's elements in
    // dtype(), row-major, only during the call.
    using Maker = std::function<std::shared_ptr<Memory>(const TensorView& elements)>;
    [[nodiscard]] std::shared_ptr<Memory> form(const std::string& name, const Maker& make);
    [[nodiscard]] size_t held_bytes() const;

private:
    TensorView source_;
    std::shared_ptr<const void> keep_alive_;
    DType dtype_;
    std::unordered_map<std::string, std::shared_ptr<Memory>> forms_;
};

}  // namespace lora::cpu

#include <string>

#include "fuzz_target.h"
#include "io/torch_checkpoint.h"

// Reads the input as a PyTorch file, whatever it starts with, and touches every byte of every
// tensor.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    lora::fuzz::run([&] {
        const auto bytes = lora::fuzz::as_bytes(data, size);
        size_t sum = 0;
        for (const lora::io::TensorInfo& info : lora::io::read_checkpoint(bytes)) {
            for (const std::byte b : bytes.subspan(info.offset, info.bytes)) {
                sum += std::to_integer<size_t>(b);
            }
        }
        if (sum == SIZE_MAX) std::abort();  // keeps the reads from being left out
    });
    return 0;
}

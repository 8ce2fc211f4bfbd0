#include <algorithm>
#include <cstdio>

#include "backend/cpu/cpu_backend.h"
#ifdef LORA_HAVE_CUDA_BACKEND
#include "backend/cuda/cuda_backend.h"
#endif
#include "backend/reference/reference_backend.h"
#include "base/error.h"
#include "bench.h"

namespace lora::bench {

std::unique_ptr<backend::Backend> open_backend(const Options& options) {
    backend::Registry registry;
    registry.add(reference::entry());
    registry.add(cpu::entry());
#ifdef LORA_HAVE_CUDA_BACKEND
    registry.add(cuda::entry());
#endif
    backend::BackendOptions backend_options;
    backend_options.num_threads = options.num_threads;
    return registry.open(options.backend, backend_options);
}

DType dtype_of(const Options& options, const backend::Backend& backend) {
    if (options.dtype.empty()) return backend.preferred_dtype();
    const DType dtype = options.dtype == "bf16" ? DType::kBF16 : DType::kF32;
    if (!backend.supports(dtype)) {
        throw Error(ErrorCode::kDevice, "this device does not compute in " + options.dtype);
    }
    return dtype;
}

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values.empty() ? 0 : values[values.size() / 2];
}

OrderedJson line_start(const backend::Backend& backend, DType dtype) {
    OrderedJson line;
    line["backend"] = backend.name();
    line["device"] = backend.device_description();
    line["dtype"] = dtype == DType::kBF16 ? "bf16" : "fp32";
    return line;
}

void print_line(const OrderedJson& line) {
    const std::string text = line.dump() + "\n";
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
}

}  // namespace lora::bench

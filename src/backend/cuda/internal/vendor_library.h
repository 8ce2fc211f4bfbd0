// NVIDIA's libraries of products, cuBLASLt and cuDNN, opened at run time where the machine has
// them: one wrapper each, with as much of them as a comparison needs. Training does not use them.
// Types    their constants are written down here, since no toolkit is needed to build the program.
// Threads  one thread at a time. Errors  kDevice naming the call that failed.
#pragma once

#include <memory>
#include <string>

#include "base/dynamic_library.h"

namespace lora::cuda {

using LibraryHandle = void*;  // any of their opaque types

[[nodiscard]] void* find_library_function(const DynamicLibrary& library, const char* name);
// A function of a library. Errors  kDevice when it is not there.
template <typename Function>
[[nodiscard]] Function* library_function(const DynamicLibrary& library, const char* name) {
    return reinterpret_cast<Function*>(find_library_function(library, name));
}
// Errors  kDevice unless status is 0.
void check_library(int status, const char* call);

// Null where the machine has none.
[[nodiscard]] std::unique_ptr<DynamicLibrary> open_cublaslt();
[[nodiscard]] std::unique_ptr<DynamicLibrary> open_cudnn();

}  // namespace lora::cuda

// The part of NVIDIA's driver interface that this backend uses, opened at run time, so that the
// program starts without a card and builds without the toolkit. Declarations are our own; names,
// numbers and layouts are those of CUDA 13's cuda.h (driver 580 and later).
// Threads  the driver is thread safe; a context is current per thread (Card::adopt).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "backend/cuda/internal/device.h"

namespace lora::cuda {

using DriverResult = int;  // 0: success
inline constexpr DriverResult kDriverOutOfMemory = 2;
using DriverHandle = void*;  // context, module, function, stream, event, graph, node

struct TensorMap;  // kernels/product_args.h: CUtensorMap

struct KernelNodeParams {  // CUDA_KERNEL_NODE_PARAMS_v2
    DriverHandle function;
    unsigned grid_x, grid_y, grid_z;
    unsigned block_x, block_y, block_z;
    unsigned shared_bytes;
    void** kernel_params;
    void** extra;
    DriverHandle kernel;
    DriverHandle context;
};

// X(member, symbol, arguments)
#define LORA_CUDA_DRIVER(X)                                                                   \
    X(init, "cuInit", (unsigned))                                                             \
    X(driver_version, "cuDriverGetVersion", (int*))                                           \
    X(error_name, "cuGetErrorName", (DriverResult, const char**))                             \
    X(error_string, "cuGetErrorString", (DriverResult, const char**))                         \
    X(device_count, "cuDeviceGetCount", (int*))                                               \
    X(device, "cuDeviceGet", (int*, int))                                                     \
    X(device_name, "cuDeviceGetName", (char*, int, int))                                      \
    X(device_attribute, "cuDeviceGetAttribute", (int*, int, int))                             \
    X(device_memory, "cuDeviceTotalMem_v2", (size_t*, int))                                   \
    X(retain_context, "cuDevicePrimaryCtxRetain", (DriverHandle*, int))                       \
    X(release_context, "cuDevicePrimaryCtxRelease_v2", (int))                                 \
    X(set_context, "cuCtxSetCurrent", (DriverHandle))                                         \
    X(memory_info, "cuMemGetInfo_v2", (size_t*, size_t*))                                     \
    X(allocate, "cuMemAlloc_v2", (DevicePtr*, size_t))                                        \
    X(free, "cuMemFree_v2", (DevicePtr))                                                      \
    X(copy_to_device, "cuMemcpyHtoDAsync_v2", (DevicePtr, const void*, size_t, DriverHandle)) \
    X(copy_to_host, "cuMemcpyDtoHAsync_v2", (void*, DevicePtr, size_t, DriverHandle))         \
    X(fill_bytes, "cuMemsetD8Async", (DevicePtr, unsigned char, size_t, DriverHandle))        \
    X(load_module, "cuModuleLoadData", (DriverHandle*, const void*))                          \
    X(unload_module, "cuModuleUnload", (DriverHandle))                                        \
    X(function, "cuModuleGetFunction", (DriverHandle*, DriverHandle, const char*))            \
    X(set_function_attribute, "cuFuncSetAttribute", (DriverHandle, int, int))                 \
    X(launch,                                                                                 \
      "cuLaunchKernel",                                                                       \
      (DriverHandle,                                                                          \
       unsigned,                                                                              \
       unsigned,                                                                              \
       unsigned,                                                                              \
       unsigned,                                                                              \
       unsigned,                                                                              \
       unsigned,                                                                              \
       unsigned,                                                                              \
       DriverHandle,                                                                          \
       void**,                                                                                \
       void**))                                                                               \
    X(create_stream, "cuStreamCreate", (DriverHandle*, unsigned))                             \
    X(destroy_stream, "cuStreamDestroy_v2", (DriverHandle))                                   \
    X(synchronize, "cuStreamSynchronize", (DriverHandle))                                     \
    X(create_event, "cuEventCreate", (DriverHandle*, unsigned))                               \
    X(destroy_event, "cuEventDestroy_v2", (DriverHandle))                                     \
    X(record_event, "cuEventRecord", (DriverHandle, DriverHandle))                            \
    X(elapsed_ms, "cuEventElapsedTime", (float*, DriverHandle, DriverHandle))                 \
    X(create_graph, "cuGraphCreate", (DriverHandle*, unsigned))                               \
    X(destroy_graph, "cuGraphDestroy", (DriverHandle))                                        \
    X(add_kernel_node,                                                                        \
      "cuGraphAddKernelNode_v2",                                                              \
      (DriverHandle*, DriverHandle, const DriverHandle*, size_t, const KernelNodeParams*))    \
    X(encode_tiled,                                                                           \
      "cuTensorMapEncodeTiled",                                                               \
      (TensorMap*,                                                                            \
       int,                                                                                   \
       unsigned,                                                                              \
       void*,                                                                                 \
       const uint64_t*,                                                                       \
       const uint64_t*,                                                                       \
       const unsigned*,                                                                       \
       const unsigned*,                                                                       \
       int,                                                                                   \
       int,                                                                                   \
       int,                                                                                   \
       int))                                                                                  \
    X(encode_im2col,                                                                          \
      "cuTensorMapEncodeIm2col",                                                              \
      (TensorMap*,                                                                            \
       int,                                                                                   \
       unsigned,                                                                              \
       void*,                                                                                 \
       const uint64_t*,                                                                       \
       const uint64_t*,                                                                       \
       const int*,                                                                            \
       const int*,                                                                            \
       unsigned,                                                                              \
       unsigned,                                                                              \
       const unsigned*,                                                                       \
       int,                                                                                   \
       int,                                                                                   \
       int,                                                                                   \
       int))                                                                                  \
    X(instantiate, "cuGraphInstantiateWithFlags", (DriverHandle*, DriverHandle, uint64_t))    \
    X(destroy_executable, "cuGraphExecDestroy", (DriverHandle))                               \
    X(upload_graph, "cuGraphUpload", (DriverHandle, DriverHandle))                            \
    X(launch_graph, "cuGraphLaunch", (DriverHandle, DriverHandle))

#if defined(_WIN32) && !defined(_WIN64)
#error "the driver's calling convention on 32-bit Windows is not supported"
#endif

struct Driver {
    // NOLINTNEXTLINE(bugprone-macro-parentheses): a declaration's parts
#define LORA_CUDA_MEMBER(member, symbol, arguments) DriverResult(*member) arguments = nullptr;
    LORA_CUDA_DRIVER(LORA_CUDA_MEMBER)
#undef LORA_CUDA_MEMBER

    // Throws kOutOfMemory or kDevice naming `what` and the driver's reason, unless result is 0.
    void check(DriverResult result, const char* what) const;
};

// The driver, initialised once; null when `reason` says why it cannot be used: no driver, one older
// than 580, no card.
[[nodiscard]] const Driver* find_driver(std::string& reason);

}  // namespace lora::cuda

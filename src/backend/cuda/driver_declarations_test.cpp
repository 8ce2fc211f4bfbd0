// Our own declarations of the driver's interface against the toolkit's, where one is installed:
// the same number of arguments, each of the same kind and size. Nothing is called.
#include <cuda.h>
#include <map>
#include <string>
#include <type_traits>

#include <gtest/gtest.h>

#include "backend/cuda/internal/driver.h"
#include "backend/cuda/kernels/product_args.h"

namespace lora::cuda {
namespace {

enum class Kind { kAddress, kNumber, kFraction, kOther };

template <typename T>
constexpr Kind kind_of() {
    if (std::is_pointer_v<T>) return Kind::kAddress;
    if (std::is_integral_v<T> || std::is_enum_v<T>) return Kind::kNumber;
    return std::is_floating_point_v<T> ? Kind::kFraction : Kind::kOther;
}

template <typename A, typename B>
constexpr bool alike = sizeof(A) == sizeof(B) && kind_of<A>() == kind_of<B>();

template <typename... Ours, typename... Theirs>
constexpr bool same_call(DriverResult (*)(Ours...), CUresult (*)(Theirs...)) {
    if constexpr (sizeof...(Ours) == sizeof...(Theirs)) {
        return (alike<Ours, Theirs> && ...);
    } else {
        return false;
    }
}

// Taken by name only: nothing here is linked with the driver.
#define LORA_SAME_CALL(member, function)                                                        \
    {                                                                                           \
#function,                                                                              \
            same_call(decltype(Driver::member){}, static_cast <decltype(&(function))>(nullptr)) \
    }
const std::map<std::string, bool> kSame = {
    LORA_SAME_CALL(init, cuInit),
    LORA_SAME_CALL(driver_version, cuDriverGetVersion),
    LORA_SAME_CALL(error_name, cuGetErrorName),
    LORA_SAME_CALL(error_string, cuGetErrorString),
    LORA_SAME_CALL(device_count, cuDeviceGetCount),
    LORA_SAME_CALL(device, cuDeviceGet),
    LORA_SAME_CALL(device_name, cuDeviceGetName),
    LORA_SAME_CALL(device_attribute, cuDeviceGetAttribute),
    LORA_SAME_CALL(device_memory, cuDeviceTotalMem_v2),
    LORA_SAME_CALL(retain_context, cuDevicePrimaryCtxRetain),
    LORA_SAME_CALL(release_context, cuDevicePrimaryCtxRelease_v2),
    LORA_SAME_CALL(set_context, cuCtxSetCurrent),
    LORA_SAME_CALL(memory_info, cuMemGetInfo_v2),
    LORA_SAME_CALL(allocate, cuMemAlloc_v2),
    LORA_SAME_CALL(free, cuMemFree_v2),
    LORA_SAME_CALL(copy_to_device, cuMemcpyHtoDAsync_v2),
    LORA_SAME_CALL(copy_to_host, cuMemcpyDtoHAsync_v2),
    LORA_SAME_CALL(fill_bytes, cuMemsetD8Async),
    LORA_SAME_CALL(load_module, cuModuleLoadData),
    LORA_SAME_CALL(unload_module, cuModuleUnload),
    LORA_SAME_CALL(function, cuModuleGetFunction),
    LORA_SAME_CALL(set_function_attribute, cuFuncSetAttribute),
    LORA_SAME_CALL(launch, cuLaunchKernel),
    LORA_SAME_CALL(create_stream, cuStreamCreate),
    LORA_SAME_CALL(destroy_stream, cuStreamDestroy_v2),
    LORA_SAME_CALL(synchronize, cuStreamSynchronize),
    LORA_SAME_CALL(create_event, cuEventCreate),
    LORA_SAME_CALL(destroy_event, cuEventDestroy_v2),
    LORA_SAME_CALL(record_event, cuEventRecord),
    // The header renames it to a second form, which takes the same.
    {"cuEventElapsedTime",
     same_call(decltype(Driver::elapsed_ms){},
               static_cast<decltype(&cuEventElapsedTime)>(nullptr))},
    LORA_SAME_CALL(create_graph, cuGraphCreate),
    LORA_SAME_CALL(destroy_graph, cuGraphDestroy),
    LORA_SAME_CALL(add_kernel_node, cuGraphAddKernelNode_v2),
    LORA_SAME_CALL(encode_tiled, cuTensorMapEncodeTiled),
    LORA_SAME_CALL(encode_im2col, cuTensorMapEncodeIm2col),
    LORA_SAME_CALL(instantiate, cuGraphInstantiateWithFlags),
    LORA_SAME_CALL(destroy_executable, cuGraphExecDestroy),
    LORA_SAME_CALL(upload_graph, cuGraphUpload),
    LORA_SAME_CALL(launch_graph, cuGraphLaunch),
};

TEST(DriverDeclarations, EveryFunctionIsDeclaredAsTheToolkitDeclaresIt){
#define LORA_CHECK_SYMBOL(member, symbol, arguments)                              \
    {                                                                             \
        const auto found = kSame.find(symbol);                                    \
        EXPECT_TRUE(found != kSame.end() && found->second) << #member " " symbol; \
    }
    LORA_CUDA_DRIVER(LORA_CHECK_SYMBOL)
#undef LORA_CHECK_SYMBOL
}

TEST(DriverDeclarations, StructuresLieAlike) {
    using Theirs = CUDA_KERNEL_NODE_PARAMS_v2;
    EXPECT_EQ(sizeof(KernelNodeParams), sizeof(Theirs));
    EXPECT_EQ(offsetof(KernelNodeParams, function), offsetof(Theirs, func));
    EXPECT_EQ(offsetof(KernelNodeParams, grid_x), offsetof(Theirs, gridDimX));
    EXPECT_EQ(offsetof(KernelNodeParams, block_z), offsetof(Theirs, blockDimZ));
    EXPECT_EQ(offsetof(KernelNodeParams, shared_bytes), offsetof(Theirs, sharedMemBytes));
    EXPECT_EQ(offsetof(KernelNodeParams, kernel_params), offsetof(Theirs, kernelParams));
    EXPECT_EQ(offsetof(KernelNodeParams, extra), offsetof(Theirs, extra));
    EXPECT_EQ(offsetof(KernelNodeParams, kernel), offsetof(Theirs, kern));
    EXPECT_EQ(offsetof(KernelNodeParams, context), offsetof(Theirs, ctx));
    EXPECT_EQ(sizeof(TensorMap), sizeof(CUtensorMap));
    EXPECT_EQ(alignof(TensorMap), 64U);  // what cuTensorMapEncode* ask for
    EXPECT_EQ(kDriverOutOfMemory, CUDA_ERROR_OUT_OF_MEMORY);
}

}  // namespace
}  // namespace lora::cuda

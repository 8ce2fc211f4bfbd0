// The part of ONNX Runtime's C interface that this layer uses, opened at run time. Declarations are
// our own; places in the table, argument types and numbers are those of onnxruntime_c_api.h, whose
// table only ever grows at its end: these entries stand there since level 1 of the interface.
// docs/decisions/0007 says why no header of it is needed.
// Threads  the library is thread safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace lora::infer {

// Handles that only the library looks into.
struct OrtEnv;
struct OrtStatus;
struct OrtMemoryInfo;
struct OrtSession;
struct OrtValue;
struct OrtRunOptions;
struct OrtTypeInfo;
struct OrtTensorInfo;
struct OrtSessionOptions;
struct OrtAllocator;

#ifdef _WIN32
using OrtPathChar = wchar_t;
#else
using OrtPathChar = char;
#endif

inline constexpr uint32_t kOrtApiLevel = 1;
inline constexpr int kOrtFloat = 1;      // ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT
inline constexpr int kOrtLogErrors = 3;  // ORT_LOGGING_LEVEL_ERROR
inline constexpr int kOrtArenaAllocator = 1;
inline constexpr int kOrtMemoryDefault = 0;  // OrtMemTypeDefault
inline constexpr int kOrtNoSuchFile = 3;     // ORT_NO_SUCHFILE
inline constexpr int kOrtTensor = 1;         // ONNX_TYPE_TENSOR

// What OrtGetApiBase() returns.
struct OrtApiBase {
    const void* const* (*get_api)(uint32_t level);  // null: the library lacks this level
    const char* (*version)();
};

// X(member, place in the table, type of the function)
// clang-format off
#define LORA_ORT_API(X)                                                                            \
    X(error_code, 1, int(const OrtStatus*))                                                        \
    X(error_message, 2, const char*(const OrtStatus*))                                             \
    X(create_env, 3, OrtStatus*(int log_level, const char* name, OrtEnv**))                        \
    X(disable_telemetry, 6, OrtStatus*(const OrtEnv*))                                             \
    X(create_session, 7, OrtStatus*(const OrtEnv*, const OrtPathChar*, const OrtSessionOptions*, OrtSession**)) \
    X(run, 9, OrtStatus*(OrtSession*, const OrtRunOptions*, const char* const* input_names,        \
                           const OrtValue* const* inputs, size_t num_inputs,                       \
                           const char* const* output_names, size_t num_outputs, OrtValue** outputs)) \
    X(create_session_options, 10, OrtStatus*(OrtSessionOptions**))                                 \
    X(set_threads, 24, OrtStatus*(OrtSessionOptions*, int))                                        \
    X(input_count, 30, OrtStatus*(const OrtSession*, size_t*))                                     \
    X(output_count, 31, OrtStatus*(const OrtSession*, size_t*))                                    \
    X(input_type, 33, OrtStatus*(const OrtSession*, size_t, OrtTypeInfo**))                        \
    X(output_type, 34, OrtStatus*(const OrtSession*, size_t, OrtTypeInfo**))                       \
    X(input_name, 36, OrtStatus*(const OrtSession*, size_t, OrtAllocator*, char**))                \
    X(output_name, 37, OrtStatus*(const OrtSession*, size_t, OrtAllocator*, char**))               \
    X(create_tensor, 49, OrtStatus*(const OrtMemoryInfo*, void* data, size_t bytes,                \
                                      const int64_t* shape, size_t rank, int type, OrtValue**))    \
    X(tensor_data, 51, OrtStatus*(OrtValue*, void**))                                              \
    X(tensor_info_of_type, 55, OrtStatus*(const OrtTypeInfo*, const OrtTensorInfo**))              \
    X(element_type, 60, OrtStatus*(const OrtTensorInfo*, int*))                                    \
    X(rank, 61, OrtStatus*(const OrtTensorInfo*, size_t*))                                         \
    X(dimensions, 62, OrtStatus*(const OrtTensorInfo*, int64_t*, size_t))                          \
    X(tensor_info_of_value, 65, OrtStatus*(const OrtValue*, OrtTensorInfo**))                      \
    X(value_type, 67, OrtStatus*(const OrtValue*, int*))                                           \
    X(create_cpu_memory, 69, OrtStatus*(int allocator, int memory, OrtMemoryInfo**))               \
    X(free, 76, OrtStatus*(OrtAllocator*, void*))                                                  \
    X(default_allocator, 78, OrtStatus*(OrtAllocator**))                                           \
    X(release_env, 92, void(OrtEnv*))                                                              \
    X(release_status, 93, void(OrtStatus*))                                                        \
    X(release_memory, 94, void(OrtMemoryInfo*))                                                    \
    X(release_session, 95, void(OrtSession*))                                                      \
    X(release_value, 96, void(OrtValue*))                                                          \
    X(release_type, 98, void(OrtTypeInfo*))                                                        \
    X(release_tensor_info, 99, void(OrtTensorInfo*))                                               \
    X(release_session_options, 100, void(OrtSessionOptions*))
// clang-format on

struct OrtApi {
#define LORA_ORT_MEMBER(member, place, type) std::add_pointer_t<type> member = nullptr;
    LORA_ORT_API(LORA_ORT_MEMBER)
#undef LORA_ORT_MEMBER
};

// `table` is what OrtApiBase::get_api returned.
[[nodiscard]] inline OrtApi read_ort_table(const void* const* table) {
    OrtApi api;
#define LORA_ORT_ENTRY(member, place, type) \
    api.member = reinterpret_cast<decltype(api.member)>(const_cast<void*>(table[place]));
    LORA_ORT_API(LORA_ORT_ENTRY)
#undef LORA_ORT_ENTRY
    return api;
}

}  // namespace lora::infer

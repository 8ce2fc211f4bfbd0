#include "backend/cuda/internal/cublaslt.h"

#include <algorithm>
#include <array>
#include <limits>

namespace lora::cuda {
namespace {

// Of library_types.h and cublasLt.h.
constexpr int kTypeF32 = 0;
constexpr int kTypeBf16 = 14;
constexpr int kComputeF32 = 68;
constexpr int kDescTransA = 3;
constexpr int kPreferenceWorkspace = 1;
constexpr int kMostAlgorithms = 16;

struct Algorithm {
    std::array<uint64_t, 8> data;
};
struct Heuristic {
    Algorithm algorithm;
    size_t workspace_bytes;
    int state;
    float waves;
    std::array<int, 4> reserved;
};

using Create = int(LibraryHandle*);
using Destroy = int(LibraryHandle);
using DescCreate = int(LibraryHandle*, int, int);
using SetAttribute = int(LibraryHandle, int, const void*, size_t);
using LayoutCreate = int(LibraryHandle*, int, uint64_t, uint64_t, int64_t);
using GetHeuristic = int(LibraryHandle,
                         LibraryHandle,
                         LibraryHandle,
                         LibraryHandle,
                         LibraryHandle,
                         LibraryHandle,
                         LibraryHandle,
                         int,
                         Heuristic*,
                         int*);
using Matmul = int(LibraryHandle,
                   LibraryHandle,
                   const void*,
                   DevicePtr,
                   LibraryHandle,
                   DevicePtr,
                   LibraryHandle,
                   const void*,
                   DevicePtr,
                   LibraryHandle,
                   DevicePtr,
                   LibraryHandle,
                   const Algorithm*,
                   DevicePtr,
                   size_t,
                   DriverHandle);

// One of the library's objects, given back by the function of that name.
class Object {
public:
    Object(const DynamicLibrary& library, const char* destroy)
        : destroy_(library_function<Destroy>(library, destroy)) {}
    ~Object() {
        if (handle != nullptr) destroy_(handle);
    }
    Object(const Object&) = delete;
    Object& operator=(const Object&) = delete;
    LibraryHandle handle = nullptr;

private:
    Destroy* destroy_;
};

}  // namespace

CublasLt::CublasLt(std::unique_ptr<DynamicLibrary> library) : library_(std::move(library)) {
    check_library(library_function<Create>(*library_, "cublasLtCreate")(&handle_),
                  "cublasLtCreate");
}

CublasLt::~CublasLt() {
    if (handle_ != nullptr) library_function<Destroy>(*library_, "cublasLtDestroy")(handle_);
}

// The library counts columns first, so it computes dst^T [n, m] = b^T a^T.
double CublasLt::best_us(const Product& p, DriverHandle stream, const Timer& time) {
    Object desc(*library_, "cublasLtMatmulDescDestroy");
    check_library(library_function<DescCreate>(*library_, "cublasLtMatmulDescCreate")(
                      &desc.handle, kComputeF32, kTypeF32),
                  "cublasLtMatmulDescCreate");
    const int transposed = p.b_is_nk ? 1 : 0;
    check_library(library_function<SetAttribute>(*library_, "cublasLtMatmulDescSetAttribute")(
                      desc.handle, kDescTransA, &transposed, sizeof(transposed)),
                  "cublasLtMatmulDescSetAttribute");
    auto* create = library_function<LayoutCreate>(*library_, "cublasLtMatrixLayoutCreate");
    const auto layout = [&](Object& object, int64_t rows, int64_t columns) {
        check_library(create(&object.handle,
                             kTypeBf16,
                             static_cast<uint64_t>(rows),
                             static_cast<uint64_t>(columns),
                             rows),
                      "cublasLtMatrixLayoutCreate");
    };
    constexpr const char* kDestroyLayout = "cublasLtMatrixLayoutDestroy";
    Object left(*library_, kDestroyLayout);
    Object right(*library_, kDestroyLayout);
    Object result(*library_, kDestroyLayout);
    layout(left, p.b_is_nk ? p.k : p.n, p.b_is_nk ? p.n : p.k);
    layout(right, p.k, p.m);
    layout(result, p.n, p.m);
    Object preference(*library_, "cublasLtMatmulPreferenceDestroy");
    check_library(
        library_function<Create>(*library_, "cublasLtMatmulPreferenceCreate")(&preference.handle),
        "cublasLtMatmulPreferenceCreate");
    check_library(
        library_function<SetAttribute>(*library_, "cublasLtMatmulPreferenceSetAttribute")(
            preference.handle, kPreferenceWorkspace, &p.workspace_bytes, sizeof(p.workspace_bytes)),
        "cublasLtMatmulPreferenceSetAttribute");
    std::array<Heuristic, kMostAlgorithms> found{};
    int count = 0;
    check_library(library_function<GetHeuristic>(*library_, "cublasLtMatmulAlgoGetHeuristic")(
                      handle_,
                      desc.handle,
                      left.handle,
                      right.handle,
                      result.handle,
                      result.handle,
                      preference.handle,
                      kMostAlgorithms,
                      found.data(),
                      &count),
                  "cublasLtMatmulAlgoGetHeuristic");
    auto* matmul = library_function<Matmul>(*library_, "cublasLtMatmul");
    const float one = 1;
    const float zero = 0;
    double best = std::numeric_limits<double>::infinity();
    for (int i = 0; i < count; ++i) {
        const Heuristic& choice = found[static_cast<size_t>(i)];
        if (choice.state != 0) continue;
        best = std::min(best, time([&] {
                            check_library(matmul(handle_,
                                                 desc.handle,
                                                 &one,
                                                 p.b,
                                                 left.handle,
                                                 p.a,
                                                 right.handle,
                                                 &zero,
                                                 p.dst,
                                                 result.handle,
                                                 p.dst,
                                                 result.handle,
                                                 &choice.algorithm,
                                                 p.workspace,
                                                 p.workspace_bytes,
                                                 stream),
                                          "cublasLtMatmul");
                        }));
    }
    return best;
}

}  // namespace lora::cuda

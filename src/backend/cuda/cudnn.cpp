#include "backend/cuda/internal/cudnn.h"

#include <algorithm>
#include <array>
#include <limits>

#include "base/check.h"

namespace lora::cuda {
namespace {

// Of cudnn_graph.h and cudnn_cnn.h.
constexpr int kFloat = 0;
constexpr int kBf16 = 9;
constexpr int kNhwc = 1;
constexpr int kCrossCorrelation = 1;
constexpr int kTensorCores = 1;
constexpr int kMostAlgorithms = 8;

struct Performance {
    int algorithm;
    int status;
    float ms;
    size_t workspace_bytes;
    int determinism;
    int math;
    std::array<int, 3> reserved;
};

using Create = int(LibraryHandle*);
using Destroy = int(LibraryHandle);
using SetStream = int(LibraryHandle, DriverHandle);
using SetImage = int(LibraryHandle, int, int, int, int, int, int);
using SetConvolution = int(LibraryHandle, int, int, int, int, int, int, int, int);
using SetMath = int(LibraryHandle, int);
using GetAlgorithms = int(LibraryHandle,
                          LibraryHandle,
                          LibraryHandle,
                          LibraryHandle,
                          LibraryHandle,
                          int,
                          int*,
                          Performance*);
using Run = int(LibraryHandle,
                const void*,
                LibraryHandle,
                DevicePtr,
                LibraryHandle,
                DevicePtr,
                LibraryHandle,
                int,
                DevicePtr,
                size_t,
                const void*,
                LibraryHandle,
                DevicePtr);

class Descriptor {
public:
    // `kind`: "Tensor", "Filter" or "Convolution".
    Descriptor(const DynamicLibrary& library, const std::string& kind)
        : destroy_(
              library_function<Destroy>(library, ("cudnnDestroy" + kind + "Descriptor").c_str())) {
        const std::string create = "cudnnCreate" + kind + "Descriptor";
        check_library(library_function<Create>(library, create.c_str())(&handle), create.c_str());
    }
    ~Descriptor() { destroy_(handle); }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    LibraryHandle handle = nullptr;

private:
    Destroy* destroy_;
};

int axis(const Shape& shape, int i) { return narrow<int>(shape[i]); }

}  // namespace

Cudnn::Cudnn(std::unique_ptr<DynamicLibrary> library, DriverHandle stream)
    : library_(std::move(library)) {
    check_library(library_function<Create>(*library_, "cudnnCreate")(&handle_), "cudnnCreate");
    check_library(library_function<SetStream>(*library_, "cudnnSetStream")(handle_, stream),
                  "cudnnSetStream");
}

Cudnn::~Cudnn() {
    if (handle_ != nullptr) library_function<Destroy>(*library_, "cudnnDestroy")(handle_);
}

double Cudnn::best_us(const Convolution& c, const Timer& time) {
    Descriptor image(*library_, "Tensor");
    Descriptor result(*library_, "Tensor");
    Descriptor filter(*library_, "Filter");
    Descriptor convolution(*library_, "Convolution");
    auto* set_image = library_function<SetImage>(*library_, "cudnnSetTensor4dDescriptor");
    const auto set = [&](Descriptor& d, const Shape& s) {
        check_library(
            set_image(d.handle, kNhwc, kBf16, axis(s, 0), axis(s, 1), axis(s, 2), axis(s, 3)),
            "cudnnSetTensor4dDescriptor");
    };
    set(image, c.image);
    set(result, c.result);
    check_library(
        library_function<SetImage>(*library_, "cudnnSetFilter4dDescriptor")(filter.handle,
                                                                            kBf16,
                                                                            kNhwc,
                                                                            axis(c.filter, 0),
                                                                            axis(c.filter, 1),
                                                                            axis(c.filter, 2),
                                                                            axis(c.filter, 3)),
        "cudnnSetFilter4dDescriptor");
    const auto pad = narrow<int>(c.pad);
    const auto stride = narrow<int>(c.stride);
    check_library(
        library_function<SetConvolution>(*library_, "cudnnSetConvolution2dDescriptor")(
            convolution.handle, pad, pad, stride, stride, 1, 1, kCrossCorrelation, kFloat),
        "cudnnSetConvolution2dDescriptor");
    check_library(library_function<SetMath>(*library_, "cudnnSetConvolutionMathType")(
                      convolution.handle, kTensorCores),
                  "cudnnSetConvolutionMathType");
    // Order of the forward pass, or of the backward one.
    const LibraryHandle first = c.is_forward ? image.handle : filter.handle;
    const LibraryHandle second = c.is_forward ? filter.handle : result.handle;
    const LibraryHandle last = c.is_forward ? result.handle : image.handle;
    const DevicePtr first_data = c.is_forward ? c.src : c.weights;
    const DevicePtr second_data = c.is_forward ? c.weights : c.src;
    const char* ask = c.is_forward ? "cudnnGetConvolutionForwardAlgorithm_v7"
                                   : "cudnnGetConvolutionBackwardDataAlgorithm_v7";
    const char* call = c.is_forward ? "cudnnConvolutionForward" : "cudnnConvolutionBackwardData";
    std::array<Performance, kMostAlgorithms> found{};
    int count = 0;
    check_library(library_function<GetAlgorithms>(*library_, ask)(handle_,
                                                                  first,
                                                                  second,
                                                                  convolution.handle,
                                                                  last,
                                                                  kMostAlgorithms,
                                                                  &count,
                                                                  found.data()),
                  ask);
    auto* run = library_function<Run>(*library_, call);
    const float one = 1;
    const float zero = 0;
    double best = std::numeric_limits<double>::infinity();
    for (int i = 0; i < count; ++i) {
        const Performance& choice = found[static_cast<size_t>(i)];
        if (choice.status != 0 || choice.workspace_bytes > c.workspace_bytes) continue;
        const auto launch = [&] {
            return run(handle_,
                       &one,
                       first,
                       first_data,
                       second,
                       second_data,
                       convolution.handle,
                       choice.algorithm,
                       c.workspace,
                       c.workspace_bytes,
                       &zero,
                       last,
                       c.dst);
        };
        if (launch() != 0) continue;  // proposed, but not for this type or machine
        best = std::min(best, time([&] { check_library(launch(), call); }));
    }
    return best;
}

}  // namespace lora::cuda

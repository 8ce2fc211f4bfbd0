#include "backend/cuda/vendor_products.h"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "backend/cuda/internal/cublaslt.h"
#include "backend/cuda/internal/cudnn.h"
#include "backend/cuda/internal/products.h"
#include "backend/cuda/internal/tuner.h"
#include "base/check.h"
#include "base/error.h"
#include "base/rng.h"
#include "tensor/tensor.h"

namespace lora::cuda {
namespace {

using ir::OpKind;

constexpr size_t kWorkspaceBytes = size_t{128} << 20;
constexpr int64_t kRandomElements = int64_t{1} << 20;

// bf16 numbers of a normal distribution, a piece of them over and over.
std::unique_ptr<DeviceMemory> random_memory(const std::shared_ptr<Card>& card, int64_t count) {
    Tensor values(DType::kF32, Shape{kRandomElements});
    Rng(1).fill_normal(values.data<float>());
    const Tensor piece = to_dtype(values.view(), DType::kBF16);
    const size_t bytes = static_cast<size_t>(count) * 2;
    auto memory = std::make_unique<DeviceMemory>(card, bytes);
    for (size_t at = 0; at < bytes; at += piece.bytes().size()) {
        memory->write(at, piece.bytes().first(std::min(piece.bytes().size(), bytes - at)));
    }
    return memory;
}

std::string version_text(size_t version, size_t thousand) {
    return fmt::format(
        "{}.{}.{}", version / thousand, version / 100 % (thousand / 100), version % 100);
}

}  // namespace

void* find_library_function(const DynamicLibrary& library, const char* name) {
    void* found = library.symbol(name);
    if (found == nullptr) {
        throw Error(ErrorCode::kDevice, fmt::format("{} has no {}", library.name(), name));
    }
    return found;
}

void check_library(int status, const char* call) {
    if (status == 0) return;
    throw Error(ErrorCode::kDevice, fmt::format("{} failed with status {}", call, status));
}

#ifdef _WIN32
std::unique_ptr<DynamicLibrary> open_cublaslt() {
    return DynamicLibrary::open({"cublasLt64_13.dll", "cublasLt64_12.dll"});
}
std::unique_ptr<DynamicLibrary> open_cudnn() { return DynamicLibrary::open({"cudnn64_9.dll"}); }
#else
std::unique_ptr<DynamicLibrary> open_cublaslt() {
    return DynamicLibrary::open({"libcublasLt.so.13", "libcublasLt.so.12"});
}
std::unique_ptr<DynamicLibrary> open_cudnn() { return DynamicLibrary::open({"libcudnn.so.9"}); }
#endif

std::vector<VendorLibrary> find_vendor_libraries() {
    std::vector<VendorLibrary> list{{"cuBLASLt", ""}, {"cuDNN", ""}};
    if (const auto library = open_cublaslt()) {
        list[0].version =
            version_text(library_function<size_t()>(*library, "cublasLtGetVersion")(), 10000);
    }
    if (const auto library = open_cudnn()) {
        list[1].version =
            version_text(library_function<size_t()>(*library, "cudnnGetVersion")(), 10000);
    }
    return list;
}

struct ProductRace::Impl {
    std::shared_ptr<Card> card;
    std::shared_ptr<Products> products = std::make_shared<Products>();
    std::unique_ptr<Tuner> tuner;
    std::unique_ptr<CublasLt> cublaslt;
    std::unique_ptr<Cudnn> cudnn;
    std::unique_ptr<DeviceMemory> workspace;
    std::unique_ptr<DeviceMemory> arrivals;

    double time_us(const std::function<void()>& launch) { return tuner->time_us(launch); }

    double vendor_us(const ir::Graph& graph, const ir::Node& node, const NodeContext& c) {
        const auto time = [this](const std::function<void()>& launch) { return time_us(launch); };
        const ir::Value& x = c.input(0);
        const ir::Value& w = c.input(1);
        const ir::Value& y = c.output();
        const Shape& filter = w.shape;
        const bool pointwise =
            filter.num_axes() == 4 && filter[2] == 1 && filter[3] == 1 && node.attrs.stride == 1;
        if (node.op == OpKind::kLinear || pointwise) {
            CublasLt::Product p;
            const ProductShape shape = product_shape(card->info(), graph, node);
            p.m = shape.m;
            p.n = shape.n;
            p.k = shape.k;
            p.b_is_nk = is_depth_contiguous(shape.kind);
            p.a = c.in[0];
            p.b = c.in[1];
            p.dst = c.out[0];
            p.workspace = workspace->address();
            p.workspace_bytes = workspace->size_bytes();
            return cublaslt->best_us(p, card->stream(), time);
        }
        const bool forward = node.op == OpKind::kConv2d;
        Cudnn::Convolution convolution;
        convolution.image = forward ? x.shape : y.shape;
        convolution.filter = filter;
        convolution.result = forward ? y.shape : x.shape;
        convolution.stride = node.attrs.stride;
        convolution.pad = node.attrs.pad[0];
        convolution.is_forward = forward;
        convolution.src = c.in[0];
        convolution.weights = c.in[1];
        convolution.dst = c.out[0];
        convolution.workspace = workspace->address();
        convolution.workspace_bytes = workspace->size_bytes();
        return cudnn->best_us(convolution, time);
    }
};

ProductRace::ProductRace(const backend::BackendOptions& options) : impl_(std::make_unique<Impl>()) {
    impl_->card = std::make_shared<Card>();
    impl_->tuner = std::make_unique<Tuner>(impl_->card, impl_->products, options.tuning_file);
    auto cublaslt = open_cublaslt();
    auto cudnn = open_cudnn();
    if (!cublaslt || !cudnn) {
        throw Error(ErrorCode::kDevice,
                    fmt::format("{} was not found", cublaslt ? "cuDNN 9" : "cuBLASLt"))
            .with_hint("put the folders of libcublasLt.so and libcudnn.so.9 into LD_LIBRARY_PATH");
    }
    impl_->cublaslt = std::make_unique<CublasLt>(std::move(cublaslt));
    impl_->cudnn = std::make_unique<Cudnn>(std::move(cudnn), impl_->card->stream());
    impl_->workspace = std::make_unique<DeviceMemory>(impl_->card, kWorkspaceBytes);
    impl_->arrivals = std::make_unique<DeviceMemory>(
        impl_->card, static_cast<size_t>(most_split_tiles(impl_->card->info())) * sizeof(unsigned));
    impl_->arrivals->fill_zero();
}

ProductRace::~ProductRace() = default;

std::optional<ProductRace::Times> ProductRace::race(const ir::Graph& graph, const ir::Node& node) {
    const bool is_known = node.op == OpKind::kLinear || node.op == OpKind::kConv2d ||
                          node.op == OpKind::kConv2dBackwardInput;
    if (!is_known || graph.value(node.inputs[0]).dtype != DType::kBF16) return std::nullopt;
    LORA_CHECK(
        std::none_of(
            node.inputs.begin() + 2, node.inputs.end(), [](ir::ValueId id) { return id.valid(); }),
        "a race is without bias and addend");
    const std::shared_ptr<Card>& card = impl_->card;
    const auto count = [&](ir::ValueId id) { return graph.value(id).shape.num_elements(); };
    const auto x = random_memory(card, count(node.inputs[0]));
    const auto w = random_memory(card, count(node.inputs[1]));
    const auto y = random_memory(card, count(node.outputs[0]));
    const DeviceMemory scratch(card, product_scratch(card->info(), graph, node));
    NodeContext context{.device = card->info(),
                        .graph = graph,
                        .node = node,
                        .in = {x->address(), w->address()},
                        .out = {y->address()},
                        .scratch = scratch.address(),
                        .arrivals = impl_->arrivals->address(),
                        .products = impl_->products.get()};
    context.in.resize(node.inputs.size(), 0);
    const ProductShape shape = product_shape(card->info(), graph, node);
    impl_->tuner->decide(shape, [&] { return product_launches(context); });
    const Launches launches = product_launches(context);
    Times times;
    times.own_us = impl_->time_us([&] {
        for (const Launch& launch : launches) card->launch(launch);
    });
    times.own = launches.back().kernel;
    times.vendor_us = impl_->vendor_us(graph, node, context);
    return times;
}

}  // namespace lora::cuda

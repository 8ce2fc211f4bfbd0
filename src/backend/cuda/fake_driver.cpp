// A driver without a card, for tests: a shared library of the driver's name (libcuda.so.1,
// nvcuda.dll) that computes nothing, but keeps memory, checks the arguments of every call as the
// driver would and writes the calls down, one a line. Addresses and handles are counted, so that
// two runs, or two systems, that do the same write the same lines.
// Variables  FAKE_CUDA_LOG       file of the calls; none: nothing is written
//            FAKE_CUDA_VERSION   what cuDriverGetVersion says (13000)
//            FAKE_CUDA_COMPUTE   compute capability (90)
//            FAKE_CUDA_BYTES     memory of the card (8 GiB)
//            FAKE_CUDA_CARDS     how many cards there are (1)
//            FAKE_CUDA_FAIL      name=code: that function fails with that code
// A call with wrong arguments is written down as WRONG and fails with 1 (CUDA_ERROR_INVALID_VALUE).
#include <algorithm>
#include <array>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backend/cuda/internal/driver.h"
#include "backend/cuda/kernels/attention_args.h"
#include "backend/cuda/kernels/cast_table_args.h"
#include "backend/cuda/kernels/elementwise_args.h"
#include "backend/cuda/kernels/hadamard_args.h"
#include "backend/cuda/kernels/loss_args.h"
#include "backend/cuda/kernels/movement_args.h"
#include "backend/cuda/kernels/norm_args.h"
#include "backend/cuda/kernels/product_args.h"
#include "backend/cuda/kernels/source_args.h"
#include "backend/cuda/kernels/update_args.h"
#include "backend/cuda/kernels/weight_args.h"
#include "backend/update_args.h"

#if defined(_WIN32)
#define LORA_EXPORT extern "C" __declspec(dllexport)
#else
#define LORA_EXPORT extern "C" __attribute__((visibility("default")))
#endif

namespace lora::cuda {
namespace {

constexpr DriverResult kInvalidValue = 1;
constexpr size_t kSharedBytes = 227 << 10;
constexpr uint32_t kFatBinaryMagic = 0xBA55ED50;

// What a kernel of this beginning of a name takes; the longest that fits counts.
struct KernelArguments {
    std::string_view name;
    size_t size_bytes;
};
constexpr KernelArguments kKernels[] = {
    {"activation_", sizeof(ActivationArgs)},
    {"add_", sizeof(AddArgs)},
    {"attention_", sizeof(AttentionArgs)},
    {"cast_", sizeof(CastArgs)},
    {"cast_table_", sizeof(CastTableArgs)},
    {"clip_coefficient", sizeof(ClipCoefficientArgs)},
    {"dequantize_", sizeof(DequantizeArgs)},
    {"dora_scale_", sizeof(DoraScaleArgs)},
    {"dropout_", sizeof(DropoutArgs)},
    {"embedding_", sizeof(EmbeddingArgs)},
    {"geglu_", sizeof(GegluArgs)},
    {"gemm_", sizeof(ProductArgs)},
    {"gemm_hopper_", sizeof(HopperProductArgs)},
    {"group_norm_", sizeof(GroupNormArgs)},
    {"hadamard_", sizeof(HadamardArgs)},
    {"hadamard_backward_", sizeof(HadamardBackwardGroup)},
    {"hadamard_backward_simt_", sizeof(HadamardBackwardArgs)},
    {"join_", sizeof(JoinArgs)},
    {"layer_norm_", sizeof(LayerNormArgs)},
    {"limit_norm", sizeof(LimitNormArgs)},
    {"mix_rows_", sizeof(MixRowsArgs)},
    {"multiply_", sizeof(AddArgs)},
    {"spread", sizeof(SpreadArgs)},
    {"sum_spatial_", sizeof(SumSpatialArgs)},
    {"sum_squares_", sizeof(SumSquaresArgs)},
    {"swap_axes_", sizeof(SwapArgs)},
    {"timestep_embedding_", sizeof(TimestepEmbeddingArgs)},
    {"transpose_", sizeof(TransposeArgs)},
    {"update_factored", sizeof(backend::UpdateFactoredArgs)},
    {"update_globals", sizeof(backend::UpdateGlobalsArgs)},
    {"update_step_", sizeof(backend::UpdateArgs)},
    {"update_step_8bit_", sizeof(backend::Update8bitArgs)},
    {"update_sums_", sizeof(backend::UpdateArgs)},
    {"upsample2x_", sizeof(UpsampleArgs)},
    {"weight_convert_", sizeof(WeightArgs)},
    {"weighted_loss_", sizeof(WeightedLossArgs)},
    {"weighted_loss_backward_", sizeof(WeightedLossBackwardArgs)},
    {"wgrad_", sizeof(WeightGradientArgs)},
    {"wgrad_group_", sizeof(WeightGradientGroup)},
    {"wgrad_hopper_", sizeof(HopperGradientArgs)},
};

uint64_t hash_bytes(const void* data, size_t size) {
    uint64_t hash = 0xcbf29ce484222325U;  // FNV-1a
    const auto* bytes = static_cast<const unsigned char*>(data);
    for (size_t i = 0; i < size; ++i) hash = (hash ^ bytes[i]) * 0x100000001b3U;
    return hash;
}

uint64_t setting(const char* name, uint64_t otherwise) {
    const char* text = std::getenv(name);
    return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

enum class Kind { kContext, kModule, kFunction, kStream, kEvent, kGraph, kNode, kExecutable };
constexpr const char* kKindNames[] = {
    "context", "module", "function", "stream", "event", "graph", "node", "executable"};

struct Object {
    Kind kind = Kind::kContext;
    uint64_t number = 0;
    uint64_t owner = 0;       // of a function its module, of a node its graph
    std::string name;         // of a function
    uint32_t shared = 48000;  // of a function: dynamic shared bytes it may be given
    double time = 0;          // of an event
    bool recorded = false;
};

class FakeDriver {
public:
    FakeDriver() {
        const char* path = std::getenv("FAKE_CUDA_LOG");
        if (path != nullptr) log_ = std::fopen(path, "wb");
        const char* fail = std::getenv("FAKE_CUDA_FAIL");
        if (fail == nullptr) return;
        const std::string_view text(fail);
        const size_t equals = text.find('=');
        if (equals == std::string_view::npos) return;
        fail_name_ = text.substr(0, equals);
        fail_code_ = std::atoi(fail + equals + 1);
    }
    ~FakeDriver() {
        if (log_ != nullptr) std::fclose(log_);
    }
    FakeDriver(const FakeDriver&) = delete;
    FakeDriver& operator=(const FakeDriver&) = delete;

    std::mutex mutex;
    bool started = false;
    uint64_t retained = 0;
    std::map<DevicePtr, std::vector<unsigned char>> memory;
    size_t used_bytes = 0;
    double clock_ms = 0;

    __attribute__((format(printf, 2, 3))) void write(const char* format, ...) {
        if (log_ == nullptr) return;
        va_list list;
        va_start(list, format);
        std::vfprintf(log_, format, list);
        va_end(list);
        std::fputc('\n', log_);
        std::fflush(log_);
    }

    // Writes the failure down; for `return driver.wrong(...)`.
    DriverResult wrong(const char* call, const char* why) {
        write("WRONG %s: %s", call, why);
        return kInvalidValue;
    }

    // 0, or what FAKE_CUDA_FAIL asks for.
    [[nodiscard]] DriverResult planned(std::string_view name) const {
        return name == fail_name_ ? fail_code_ : 0;
    }

    DriverHandle make(Kind kind, uint64_t owner = 0, std::string name = {}) {
        const uint64_t number = ++counts_[static_cast<size_t>(kind)];
        Object object;
        object.kind = kind;
        object.number = number;
        object.owner = owner;
        object.name = std::move(name);
        const uint64_t key = (static_cast<uint64_t>(kind) + 1) << 32 | number;
        objects_[key] = std::move(object);
        return reinterpret_cast<DriverHandle>(key);
    }

    Object* find(DriverHandle handle, Kind kind) {
        const auto found = objects_.find(reinterpret_cast<uint64_t>(handle));
        if (found == objects_.end() || found->second.kind != kind) return nullptr;
        return &found->second;
    }

    void remove(DriverHandle handle) { objects_.erase(reinterpret_cast<uint64_t>(handle)); }

    // Objects of that kind, and those that another one owned.
    void remove_owned(Kind kind, uint64_t owner) {
        std::erase_if(objects_, [&](const auto& entry) {
            return entry.second.kind == kind && entry.second.owner == owner;
        });
    }

    [[nodiscard]] std::string left_over() const {
        std::string text;
        for (const auto& [key, object] : objects_) {
            if (object.kind == Kind::kContext || object.kind == Kind::kFunction) continue;
            text += std::string(" ") + kKindNames[static_cast<size_t>(object.kind)] +
                    std::to_string(object.number);
        }
        if (!memory.empty()) text += " " + std::to_string(memory.size()) + " pieces of memory";
        return text;
    }

    // Host bytes behind a range of the card's memory; null when it is not all of one piece.
    unsigned char* bytes_of(DevicePtr address, size_t size) {
        auto piece = memory.upper_bound(address);
        if (piece == memory.begin()) return nullptr;
        --piece;
        const uint64_t offset = address - piece->first;
        if (offset > piece->second.size() || size > piece->second.size() - offset) return nullptr;
        return piece->second.data() + offset;
    }

    DevicePtr next_address = DevicePtr{0x7} << 44;

private:
    std::FILE* log_ = nullptr;
    std::string fail_name_;
    DriverResult fail_code_ = 0;
    std::map<uint64_t, Object> objects_;
    std::array<uint64_t, std::size(kKindNames)> counts_{};
};

FakeDriver& fake() {
    static FakeDriver one;
    return one;
}

// The context of a thread, as the driver keeps it.
// NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables)
thread_local DriverHandle current = nullptr;

// Locks the driver for one call, and answers for what all calls share.
class Call {
public:
    explicit Call(const char* name, bool needs_context = true) : name_(name), lock_(fake().mutex) {
        result_ = fake().planned(name);
        if (result_ != 0) {
            fake().write("%s fails with %d as asked", name, result_);
        } else if (!fake().started && std::strcmp(name, "cuInit") != 0) {
            result_ = fake().wrong(name, "cuInit was not called");
        } else if (needs_context && fake().find(current, Kind::kContext) == nullptr) {
            result_ = fake().wrong(name, "no context is current on this thread");
        }
    }
    [[nodiscard]] bool failed() const { return result_ != 0; }
    [[nodiscard]] DriverResult result() const { return result_; }
    [[nodiscard]] DriverResult wrong(const char* why) const { return fake().wrong(name_, why); }

private:
    const char* name_;
    std::lock_guard<std::mutex> lock_;
    DriverResult result_ = 0;
};

// Numbers that stand in the log for handles.
uint64_t number_of(DriverHandle handle) { return reinterpret_cast<uint64_t>(handle) & 0xffffffffU; }

struct Shape {
    std::array<unsigned, 3> grid;
    std::array<unsigned, 3> block;
    unsigned shared;
};

// Empty, or what a card would refuse.
const char* launch_problem(const Object* function, const Shape& shape, void** params) {
    if (function == nullptr) return "no such function";
    constexpr std::array<unsigned, 3> kMostBlocks{2147483647, 65535, 65535};
    constexpr std::array<unsigned, 3> kMostThreads{1024, 1024, 64};
    uint64_t threads = 1;
    for (size_t i = 0; i < 3; ++i) {
        if (shape.grid[i] == 0 || shape.grid[i] > kMostBlocks[i]) return "the grid";
        if (shape.block[i] == 0 || shape.block[i] > kMostThreads[i]) return "the block";
        threads *= shape.block[i];
    }
    if (threads > 1024) return "more than 1024 threads a block";
    if (shape.shared > function->shared) return "more shared memory than was asked for";
    if (params == nullptr || params[0] == nullptr) return "no arguments";
    return nullptr;
}

const KernelArguments* arguments_of(std::string_view kernel) {
    const KernelArguments* best = nullptr;
    for (const KernelArguments& entry : kKernels) {
        if (kernel.starts_with(entry.name) &&
            (best == nullptr || entry.name.size() > best->name.size())) {
            best = &entry;
        }
    }
    return best;
}

// "<kernel> grid x,y,z block x,y,z shared n args size:hash"; empty for a kernel of unknown name.
std::string launch_text(const Object& function, const Shape& s, void** params) {
    const KernelArguments* arguments = arguments_of(function.name);
    if (arguments == nullptr) return {};
    std::array<char, 512> text{};
    std::snprintf(text.data(),
                  text.size(),
                  "%s grid %u,%u,%u block %u,%u,%u shared %u args %u:%016llx",
                  function.name.c_str(),
                  s.grid[0],
                  s.grid[1],
                  s.grid[2],
                  s.block[0],
                  s.block[1],
                  s.block[2],
                  s.shared,
                  static_cast<unsigned>(arguments->size_bytes),
                  static_cast<unsigned long long>(hash_bytes(params[0], arguments->size_bytes)));
    return text.data();
}

// Fills a description with what it was made from, so that it counts among a kernel's arguments.
template <typename... Parts>
void describe(TensorMap* map, uint64_t rank, const Parts&... parts) {
    uint64_t hash = rank;
    const auto mix = [&hash](const auto& span) {
        hash = hash * 31 + hash_bytes(span.data(), span.size_bytes());
    };
    (mix(parts), ...);
    map->words[0] = hash;
}

}  // namespace

// The driver's own names and parameters.
// NOLINTBEGIN(readability-identifier-naming,readability-function-size)

LORA_EXPORT DriverResult cuInit(unsigned flags) {
    const Call call("cuInit", false);
    if (call.failed()) return call.result();
    if (flags != 0) return call.wrong("flags");
    fake().started = true;
    fake().write("cuInit");
    return 0;
}

LORA_EXPORT DriverResult cuDriverGetVersion(int* version) {
    *version = static_cast<int>(setting("FAKE_CUDA_VERSION", 13000));
    return 0;
}

LORA_EXPORT DriverResult cuGetErrorName(DriverResult error, const char** text) {
    *text = error == kDriverOutOfMemory ? "CUDA_ERROR_OUT_OF_MEMORY" : "CUDA_ERROR_FAKE";
    return 0;
}

LORA_EXPORT DriverResult cuGetErrorString(DriverResult error, const char** text) {
    *text = error == kDriverOutOfMemory ? "out of memory" : "as the test asked";
    return 0;
}

LORA_EXPORT DriverResult cuDeviceGetCount(int* count) {
    const Call call("cuDeviceGetCount", false);
    if (call.failed()) return call.result();
    *count = static_cast<int>(setting("FAKE_CUDA_CARDS", 1));
    return 0;
}

LORA_EXPORT DriverResult cuDeviceGet(int* device, int ordinal) {
    const Call call("cuDeviceGet", false);
    if (call.failed()) return call.result();
    if (ordinal != 0) return call.wrong("a card that is not there");
    *device = 0;
    return 0;
}

LORA_EXPORT DriverResult cuDeviceGetName(char* name, int size, int device) {
    const Call call("cuDeviceGetName", false);
    if (call.failed()) return call.result();
    if (size < 16 || device != 0) return call.wrong("size or device");
    std::snprintf(name, static_cast<size_t>(size), "Fake card");
    return 0;
}

LORA_EXPORT DriverResult cuDeviceGetAttribute(int* value, int attribute, int device) {
    const Call call("cuDeviceGetAttribute", false);
    if (call.failed()) return call.result();
    const auto compute = static_cast<int>(setting("FAKE_CUDA_COMPUTE", 90));
    if (device != 0) return call.wrong("device");
    switch (attribute) {
        case 16: *value = 132; return 0;
        case 75: *value = compute / 10; return 0;
        case 76: *value = compute % 10; return 0;
        case 97: *value = static_cast<int>(kSharedBytes); return 0;
        default: return call.wrong("an attribute that nothing should ask for");
    }
}

LORA_EXPORT DriverResult cuDeviceTotalMem_v2(size_t* bytes, int device) {
    const Call call("cuDeviceTotalMem_v2", false);
    if (call.failed()) return call.result();
    if (device != 0) return call.wrong("device");
    *bytes = setting("FAKE_CUDA_BYTES", uint64_t{8} << 30);
    return 0;
}

LORA_EXPORT DriverResult cuDevicePrimaryCtxRetain(DriverHandle* context, int device) {
    const Call call("cuDevicePrimaryCtxRetain", false);
    if (call.failed()) return call.result();
    if (device != 0) return call.wrong("device");
    ++fake().retained;
    *context = fake().make(Kind::kContext);
    fake().write("cuDevicePrimaryCtxRetain context%u", static_cast<unsigned>(number_of(*context)));
    return 0;
}

LORA_EXPORT DriverResult cuDevicePrimaryCtxRelease_v2(int device) {
    const Call call("cuDevicePrimaryCtxRelease_v2");
    if (call.failed()) return call.result();
    if (device != 0 || fake().retained == 0) return call.wrong("released more often than retained");
    --fake().retained;
    const std::string left = fake().left_over();
    if (!left.empty()) return call.wrong(("left over:" + left).c_str());
    fake().write("cuDevicePrimaryCtxRelease_v2");
    return 0;
}

LORA_EXPORT DriverResult cuCtxSetCurrent(DriverHandle context) {
    const Call call("cuCtxSetCurrent", false);
    if (call.failed()) return call.result();
    if (fake().find(context, Kind::kContext) == nullptr) return call.wrong("no such context");
    current = context;
    return 0;
}

LORA_EXPORT DriverResult cuMemGetInfo_v2(size_t* free, size_t* total) {
    const Call call("cuMemGetInfo_v2");
    if (call.failed()) return call.result();
    *total = setting("FAKE_CUDA_BYTES", uint64_t{8} << 30);
    *free = *total - fake().used_bytes;
    return 0;
}

LORA_EXPORT DriverResult cuMemAlloc_v2(DevicePtr* address, size_t bytes) {
    const Call call("cuMemAlloc_v2");
    if (call.failed()) return call.result();
    if (bytes == 0) return call.wrong("nothing");
    if (bytes > setting("FAKE_CUDA_BYTES", uint64_t{8} << 30) - fake().used_bytes) {
        fake().write("cuMemAlloc_v2 %llu: out of memory", static_cast<unsigned long long>(bytes));
        return kDriverOutOfMemory;
    }
    *address = fake().next_address;
    fake().next_address += (bytes + 511) / 512 * 512 + 4096;  // a gap that no range may reach into
    fake().used_bytes += bytes;
    fake().memory[*address].resize(bytes);
    fake().write("cuMemAlloc_v2 %llu at %llx",
                 static_cast<unsigned long long>(bytes),
                 static_cast<unsigned long long>(*address));
    return 0;
}

LORA_EXPORT DriverResult cuMemFree_v2(DevicePtr address) {
    const Call call("cuMemFree_v2");
    if (call.failed()) return call.result();
    const auto piece = fake().memory.find(address);
    if (piece == fake().memory.end()) return call.wrong("no piece begins there");
    fake().used_bytes -= piece->second.size();
    fake().memory.erase(piece);
    fake().write("cuMemFree_v2 %llx", static_cast<unsigned long long>(address));
    return 0;
}

LORA_EXPORT DriverResult cuMemcpyHtoDAsync_v2(DevicePtr dst,
                                              const void* src,
                                              size_t bytes,
                                              DriverHandle stream) {
    const Call call("cuMemcpyHtoDAsync_v2");
    if (call.failed()) return call.result();
    unsigned char* at = fake().bytes_of(dst, bytes);
    if (at == nullptr || src == nullptr) return call.wrong("a range that is not of one piece");
    if (fake().find(stream, Kind::kStream) == nullptr) return call.wrong("stream");
    std::memcpy(at, src, bytes);
    fake().write("cuMemcpyHtoDAsync_v2 %llx %llu:%016llx",
                 static_cast<unsigned long long>(dst),
                 static_cast<unsigned long long>(bytes),
                 static_cast<unsigned long long>(hash_bytes(src, bytes)));
    return 0;
}

LORA_EXPORT DriverResult cuMemcpyDtoHAsync_v2(void* dst,
                                              DevicePtr src,
                                              size_t bytes,
                                              DriverHandle stream) {
    const Call call("cuMemcpyDtoHAsync_v2");
    if (call.failed()) return call.result();
    const unsigned char* at = fake().bytes_of(src, bytes);
    if (at == nullptr || dst == nullptr) return call.wrong("a range that is not of one piece");
    if (fake().find(stream, Kind::kStream) == nullptr) return call.wrong("stream");
    std::memcpy(dst, at, bytes);
    fake().write("cuMemcpyDtoHAsync_v2 %llx %llu",
                 static_cast<unsigned long long>(src),
                 static_cast<unsigned long long>(bytes));
    return 0;
}

LORA_EXPORT DriverResult cuMemsetD8Async(DevicePtr dst,
                                         unsigned char value,
                                         size_t bytes,
                                         DriverHandle stream) {
    const Call call("cuMemsetD8Async");
    if (call.failed()) return call.result();
    unsigned char* at = fake().bytes_of(dst, bytes);
    if (at == nullptr) return call.wrong("a range that is not of one piece");
    if (fake().find(stream, Kind::kStream) == nullptr) return call.wrong("stream");
    std::memset(at, value, bytes);
    fake().write("cuMemsetD8Async %llx %u %llu",
                 static_cast<unsigned long long>(dst),
                 static_cast<unsigned>(value),
                 static_cast<unsigned long long>(bytes));
    return 0;
}

LORA_EXPORT DriverResult cuModuleLoadData(DriverHandle* module, const void* image) {
    const Call call("cuModuleLoadData");
    if (call.failed()) return call.result();
    uint32_t magic = 0;
    std::memcpy(&magic, image, sizeof magic);
    if (magic != kFatBinaryMagic) return call.wrong("no fat binary");
    if (reinterpret_cast<uintptr_t>(image) % 8 != 0) return call.wrong("not aligned to 8 bytes");
    uint64_t size = 0;  // header: magic, version, size of the header, size of what follows
    std::memcpy(&size, static_cast<const char*>(image) + 8, sizeof size);
    *module = fake().make(Kind::kModule);
    fake().write("cuModuleLoadData module%u %llu:%016llx",
                 static_cast<unsigned>(number_of(*module)),
                 static_cast<unsigned long long>(size),
                 static_cast<unsigned long long>(hash_bytes(image, size + 16)));
    return 0;
}

LORA_EXPORT DriverResult cuModuleUnload(DriverHandle module) {
    const Call call("cuModuleUnload");
    if (call.failed()) return call.result();
    if (fake().find(module, Kind::kModule) == nullptr) return call.wrong("no such module");
    fake().remove_owned(Kind::kFunction, reinterpret_cast<uint64_t>(module));
    fake().remove(module);
    return 0;
}

LORA_EXPORT DriverResult cuModuleGetFunction(DriverHandle* function,
                                             DriverHandle module,
                                             const char* name) {
    const Call call("cuModuleGetFunction");
    if (call.failed()) return call.result();
    if (fake().find(module, Kind::kModule) == nullptr) return call.wrong("no such module");
    *function = fake().make(Kind::kFunction, reinterpret_cast<uint64_t>(module), name);
    fake().write("cuModuleGetFunction module%u %s", static_cast<unsigned>(number_of(module)), name);
    return 0;
}

LORA_EXPORT DriverResult cuFuncSetAttribute(DriverHandle function, int attribute, int value) {
    const Call call("cuFuncSetAttribute");
    if (call.failed()) return call.result();
    Object* found = fake().find(function, Kind::kFunction);
    if (found == nullptr) return call.wrong("no such function");
    if (attribute != 8 || value <= 0 || value > static_cast<int>(kSharedBytes)) {
        return call.wrong("attribute or value");
    }
    found->shared = static_cast<uint32_t>(value);
    fake().write("cuFuncSetAttribute %s shared %d", found->name.c_str(), value);
    return 0;
}

LORA_EXPORT DriverResult cuLaunchKernel(DriverHandle function,
                                        unsigned grid_x,
                                        unsigned grid_y,
                                        unsigned grid_z,
                                        unsigned block_x,
                                        unsigned block_y,
                                        unsigned block_z,
                                        unsigned shared,
                                        DriverHandle stream,
                                        void** params,
                                        void** extra) {
    const Call call("cuLaunchKernel");
    if (call.failed()) return call.result();
    const Object* found = fake().find(function, Kind::kFunction);
    const Shape shape{{grid_x, grid_y, grid_z}, {block_x, block_y, block_z}, shared};
    const char* problem = launch_problem(found, shape, params);
    if (problem != nullptr) return call.wrong(problem);
    if (extra != nullptr) return call.wrong("arguments in two ways");
    if (fake().find(stream, Kind::kStream) == nullptr) return call.wrong("stream");
    const std::string text = launch_text(*found, shape, params);
    if (text.empty()) return call.wrong(("a kernel of unknown name: " + found->name).c_str());
    fake().clock_ms +=
        0.001 + static_cast<double>(hash_bytes(text.data(), text.size()) % 997) / 1e5;
    fake().write("cuLaunchKernel %s", text.c_str());
    return 0;
}

LORA_EXPORT DriverResult cuStreamCreate(DriverHandle* stream, unsigned flags) {
    const Call call("cuStreamCreate");
    if (call.failed()) return call.result();
    if (flags > 1) return call.wrong("flags");
    *stream = fake().make(Kind::kStream);
    fake().write(
        "cuStreamCreate stream%u flags %u", static_cast<unsigned>(number_of(*stream)), flags);
    return 0;
}

LORA_EXPORT DriverResult cuStreamDestroy_v2(DriverHandle stream) {
    const Call call("cuStreamDestroy_v2");
    if (call.failed()) return call.result();
    if (fake().find(stream, Kind::kStream) == nullptr) return call.wrong("no such stream");
    fake().remove(stream);
    return 0;
}

LORA_EXPORT DriverResult cuStreamSynchronize(DriverHandle stream) {
    const Call call("cuStreamSynchronize");
    if (call.failed()) return call.result();
    if (fake().find(stream, Kind::kStream) == nullptr) return call.wrong("no such stream");
    fake().write("cuStreamSynchronize");
    return 0;
}

LORA_EXPORT DriverResult cuEventCreate(DriverHandle* event, unsigned flags) {
    const Call call("cuEventCreate");
    if (call.failed()) return call.result();
    if (flags != 0) return call.wrong("flags");
    *event = fake().make(Kind::kEvent);
    return 0;
}

LORA_EXPORT DriverResult cuEventDestroy_v2(DriverHandle event) {
    const Call call("cuEventDestroy_v2");
    if (call.failed()) return call.result();
    if (fake().find(event, Kind::kEvent) == nullptr) return call.wrong("no such event");
    fake().remove(event);
    return 0;
}

LORA_EXPORT DriverResult cuEventRecord(DriverHandle event, DriverHandle stream) {
    const Call call("cuEventRecord");
    if (call.failed()) return call.result();
    Object* found = fake().find(event, Kind::kEvent);
    if (found == nullptr) return call.wrong("no such event");
    if (fake().find(stream, Kind::kStream) == nullptr) return call.wrong("stream");
    found->recorded = true;
    found->time = fake().clock_ms;
    return 0;
}

LORA_EXPORT DriverResult cuEventElapsedTime(float* ms, DriverHandle begin, DriverHandle end) {
    const Call call("cuEventElapsedTime");
    if (call.failed()) return call.result();
    const Object* first = fake().find(begin, Kind::kEvent);
    const Object* last = fake().find(end, Kind::kEvent);
    if (first == nullptr || last == nullptr || !first->recorded || !last->recorded) {
        return call.wrong("an event that was not recorded");
    }
    *ms = static_cast<float>(last->time - first->time);
    return 0;
}

LORA_EXPORT DriverResult cuGraphCreate(DriverHandle* graph, unsigned flags) {
    const Call call("cuGraphCreate");
    if (call.failed()) return call.result();
    if (flags != 0) return call.wrong("flags");
    *graph = fake().make(Kind::kGraph);
    fake().write("cuGraphCreate graph%u", static_cast<unsigned>(number_of(*graph)));
    return 0;
}

LORA_EXPORT DriverResult cuGraphDestroy(DriverHandle graph) {
    const Call call("cuGraphDestroy");
    if (call.failed()) return call.result();
    if (fake().find(graph, Kind::kGraph) == nullptr) return call.wrong("no such graph");
    fake().remove_owned(Kind::kNode, reinterpret_cast<uint64_t>(graph));
    fake().remove(graph);
    return 0;
}

LORA_EXPORT DriverResult cuGraphAddKernelNode_v2(DriverHandle* node,
                                                 DriverHandle graph,
                                                 const DriverHandle* waits,
                                                 size_t num_waits,
                                                 const KernelNodeParams* p) {
    const Call call("cuGraphAddKernelNode_v2");
    if (call.failed()) return call.result();
    if (fake().find(graph, Kind::kGraph) == nullptr) return call.wrong("no such graph");
    const Object* found = fake().find(p->function, Kind::kFunction);
    const Shape shape{
        {p->grid_x, p->grid_y, p->grid_z}, {p->block_x, p->block_y, p->block_z}, p->shared_bytes};
    const char* problem = launch_problem(found, shape, p->kernel_params);
    if (problem != nullptr) return call.wrong(problem);
    if (p->extra != nullptr || p->kernel != nullptr || p->context != nullptr) {
        return call.wrong("arguments, kernel or context in two ways");
    }
    std::string after;
    std::set<DriverHandle> seen;
    for (size_t i = 0; i < num_waits; ++i) {
        const Object* before = fake().find(waits[i], Kind::kNode);
        if (before == nullptr || before->owner != reinterpret_cast<uint64_t>(graph) ||
            !seen.insert(waits[i]).second) {
            return call.wrong("waits for what is no node of this graph, or twice");
        }
        after += " " + std::to_string(before->number);
    }
    const std::string text = launch_text(*found, shape, p->kernel_params);
    if (text.empty()) return call.wrong(("a kernel of unknown name: " + found->name).c_str());
    *node = fake().make(Kind::kNode, reinterpret_cast<uint64_t>(graph));
    fake().write("cuGraphAddKernelNode_v2 node%u %s after%s",
                 static_cast<unsigned>(number_of(*node)),
                 text.c_str(),
                 after.c_str());
    return 0;
}

LORA_EXPORT DriverResult cuTensorMapEncodeTiled(TensorMap* map,
                                                int type,
                                                unsigned rank,
                                                void* address,
                                                const uint64_t* sizes,
                                                const uint64_t* strides,
                                                const unsigned* box,
                                                const unsigned* steps,
                                                int interleave,
                                                int swizzle,
                                                int prefetch,
                                                int outside) {
    const Call call("cuTensorMapEncodeTiled");
    if (call.failed()) return call.result();
    if (rank < 1 || rank > 5) return call.wrong("rank");
    if (reinterpret_cast<uintptr_t>(map) % 64 != 0) return call.wrong("not aligned to 64 bytes");
    if (reinterpret_cast<uintptr_t>(address) % 16 != 0) return call.wrong("address");
    if (fake().bytes_of(reinterpret_cast<DevicePtr>(address), 1) == nullptr) {
        return call.wrong("an address that is not the card's");
    }
    for (unsigned i = 0; i < rank; ++i) {
        if (sizes[i] == 0 || box[i] == 0 || box[i] > 256 || steps[i] == 0) return call.wrong("box");
        if (i + 1 < rank && strides[i] % 16 != 0) return call.wrong("stride");
    }
    const std::array<uint64_t, 6> rest{reinterpret_cast<uint64_t>(address),
                                       static_cast<uint64_t>(type),
                                       static_cast<uint64_t>(interleave),
                                       static_cast<uint64_t>(swizzle),
                                       static_cast<uint64_t>(prefetch),
                                       static_cast<uint64_t>(outside)};
    describe(map,
             rank,
             std::span(sizes, rank),
             std::span(strides, rank - 1),
             std::span(box, rank),
             std::span(steps, rank),
             std::span(rest));
    return 0;
}

LORA_EXPORT DriverResult cuTensorMapEncodeIm2col(TensorMap* map,
                                                 int type,
                                                 unsigned rank,
                                                 void* address,
                                                 const uint64_t* sizes,
                                                 const uint64_t* strides,
                                                 const int* lower,
                                                 const int* upper,
                                                 unsigned channels,
                                                 unsigned pixels,
                                                 const unsigned* steps,
                                                 int interleave,
                                                 int swizzle,
                                                 int prefetch,
                                                 int outside) {
    const Call call("cuTensorMapEncodeIm2col");
    if (call.failed()) return call.result();
    if (rank < 3 || rank > 5) return call.wrong("rank");
    if (reinterpret_cast<uintptr_t>(map) % 64 != 0) return call.wrong("not aligned to 64 bytes");
    if (fake().bytes_of(reinterpret_cast<DevicePtr>(address), 1) == nullptr) {
        return call.wrong("an address that is not the card's");
    }
    if (channels == 0 || channels > 256 || pixels == 0 || pixels > 1024) return call.wrong("box");
    const std::array<uint64_t, 8> rest{reinterpret_cast<uint64_t>(address),
                                       static_cast<uint64_t>(type),
                                       channels,
                                       pixels,
                                       static_cast<uint64_t>(interleave),
                                       static_cast<uint64_t>(swizzle),
                                       static_cast<uint64_t>(prefetch),
                                       static_cast<uint64_t>(outside)};
    describe(map,
             rank,
             std::span(sizes, rank),
             std::span(strides, rank - 1),
             std::span(lower, rank - 2),
             std::span(upper, rank - 2),
             std::span(steps, rank),
             std::span(rest));
    return 0;
}

LORA_EXPORT DriverResult cuGraphInstantiateWithFlags(DriverHandle* executable,
                                                     DriverHandle graph,
                                                     uint64_t flags) {
    const Call call("cuGraphInstantiateWithFlags");
    if (call.failed()) return call.result();
    if (fake().find(graph, Kind::kGraph) == nullptr) return call.wrong("no such graph");
    if (flags != 0) return call.wrong("flags");
    *executable = fake().make(Kind::kExecutable);
    fake().write("cuGraphInstantiateWithFlags executable%u of graph%u",
                 static_cast<unsigned>(number_of(*executable)),
                 static_cast<unsigned>(number_of(graph)));
    return 0;
}

LORA_EXPORT DriverResult cuGraphExecDestroy(DriverHandle executable) {
    const Call call("cuGraphExecDestroy");
    if (call.failed()) return call.result();
    if (fake().find(executable, Kind::kExecutable) == nullptr) return call.wrong("no such graph");
    fake().remove(executable);
    return 0;
}

LORA_EXPORT DriverResult cuGraphUpload(DriverHandle executable, DriverHandle stream) {
    const Call call("cuGraphUpload");
    if (call.failed()) return call.result();
    if (fake().find(executable, Kind::kExecutable) == nullptr) return call.wrong("no such graph");
    if (fake().find(stream, Kind::kStream) == nullptr) return call.wrong("stream");
    return 0;
}

LORA_EXPORT DriverResult cuGraphLaunch(DriverHandle executable, DriverHandle stream) {
    const Call call("cuGraphLaunch");
    if (call.failed()) return call.result();
    if (fake().find(executable, Kind::kExecutable) == nullptr) return call.wrong("no such graph");
    if (fake().find(stream, Kind::kStream) == nullptr) return call.wrong("stream");
    fake().write("cuGraphLaunch executable%u", static_cast<unsigned>(number_of(executable)));
    return 0;
}

// NOLINTEND(readability-identifier-naming,readability-function-size)

}  // namespace lora::cuda

#include "backend/cuda/internal/weight.h"

#include <algorithm>

#include "backend/cuda/kernels/weight_args.h"
#include "base/check.h"
#include "base/error.h"

namespace lora::cuda {
namespace {

constexpr size_t kPieceBytes = size_t{16} << 20;
constexpr uint32_t kThreads = 256;
constexpr int64_t kMostBlocks = 4096;

int type_number(DType dtype) {
    switch (dtype) {
        case DType::kF32: return 0;
        case DType::kBF16: return 1;
        case DType::kF16: return 2;
        default:
            throw Error(ErrorCode::kDevice,
                        "the cuda backend has no kernels for " + std::string(dtype_name(dtype)) +
                            " values");
    }
}

}  // namespace

const char* suffix_of(DType dtype) {
    static constexpr const char* kSuffixes[] = {"f32", "bf16", "f16"};
    return kSuffixes[type_number(dtype)];
}

bool is_unpacked_filter(const ir::Graph& graph, const ir::Value& value) {
    return value.producer >= 0 && value.shape.num_axes() == 4 && !value.is_output &&
           graph.nodes()[static_cast<size_t>(value.producer)].op == ir::OpKind::kDequantize;
}

DeviceMemory& Staging::memory(size_t size_bytes) {
    if (!memory_ || memory_->size_bytes() < size_bytes) {
        memory_.reset();
        memory_ = std::make_unique<DeviceMemory>(card_, size_bytes);
    }
    return *memory_;
}

CudaWeight::CudaWeight(std::shared_ptr<Card> card,
                       std::shared_ptr<Pool> pool,
                       std::shared_ptr<Staging> staging,
                       const TensorView& source,
                       std::shared_ptr<const void> keep_alive,
                       DType dtype)
    : card_(std::move(card)),
      pool_(std::move(pool)),
      staging_(std::move(staging)),
      source_(source),
      keep_alive_(std::move(keep_alive)),
      dtype_(dtype) {
    if (dtype != DType::kU8) static_cast<void>(type_number(dtype));
}

DevicePtr CudaWeight::form(WeightForm form) {
    const bool image = source_.shape.sizes().size() == 4;
    const int64_t taps = image ? source_.shape[2] * source_.shape[3] : 1;
    const bool last = form == WeightForm::kChannelsLast && taps > 1;
    std::unique_ptr<PooledMemory>& slot = last ? channels_last_ : plain_;
    if (!slot) slot = make(last ? taps : 1);
    return slot->address();
}

// Bytes stay as they are; a filter [O, I, taps] becomes [O, taps, I] on the way.
std::unique_ptr<PooledMemory> CudaWeight::make_bytes(int64_t taps) {
    card_->adopt();
    LORA_CHECK(source_.dtype == DType::kU8, "only U8 is kept in 8 bits");
    auto memory = std::make_unique<PooledMemory>(pool_, source_.bytes.size());
    std::vector<std::byte> reordered;
    std::span<const std::byte> bytes = source_.bytes;
    if (taps > 1) {
        reordered.resize(bytes.size());
        const auto count = static_cast<size_t>(taps);
        const auto channels = static_cast<size_t>(source_.shape[1]);
        const size_t per_row = count * channels;
        for (size_t row = 0; row < bytes.size(); row += per_row) {
            for (size_t channel = 0; channel < channels; ++channel) {
                for (size_t tap = 0; tap < count; ++tap) {
                    reordered[row + tap * channels + channel] = bytes[row + channel * count + tap];
                }
            }
        }
        bytes = reordered;
    }
    card_->driver().check(card_->driver().copy_to_device(
                              memory->address(), bytes.data(), bytes.size(), card_->stream()),
                          "copying to the card");
    card_->synchronize();
    return memory;
}

// Rows (the outermost axis) travel in pieces that fit the staging memory.
std::unique_ptr<PooledMemory> CudaWeight::make(int64_t taps) {
    if (dtype_ == DType::kU8) return make_bytes(taps);
    card_->adopt();
    TensorView source = source_;
    Tensor converted;
    if (source.dtype != DType::kF32 && source.dtype != DType::kBF16 &&
        source.dtype != DType::kF16) {
        converted = to_dtype(source, DType::kF32);
        source = converted.view();
    }
    const int64_t count = source.shape.num_elements();
    const int64_t rows = source.shape.sizes().empty() ? 1 : source.shape[0];
    const int64_t per_row = rows == 0 ? 0 : count / rows;
    const size_t src_bytes = dtype_bytes(source.dtype);
    const size_t dst_bytes = dtype_bytes(dtype_);
    auto memory = std::make_unique<PooledMemory>(pool_, static_cast<size_t>(count) * dst_bytes);
    if (count == 0) return memory;
    if (source.dtype == dtype_ && taps == 1) {
        const Driver& driver = card_->driver();
        driver.check(
            driver.copy_to_device(
                memory->address(), source.bytes.data(), source.bytes.size(), card_->stream()),
            "copying to the card");
        return memory;
    }
    const size_t row_bytes = static_cast<size_t>(per_row) * src_bytes;
    const auto rows_a_piece =
        static_cast<int64_t>(std::max<size_t>(1, kPieceBytes / std::max<size_t>(1, row_bytes)));
    for (int64_t row = 0; row < rows; row += rows_a_piece) {
        const int64_t taken = std::min(rows_a_piece, rows - row);
        const size_t piece_bytes = static_cast<size_t>(taken) * row_bytes;
        DeviceMemory& staging = staging_->memory(std::max(piece_bytes, kPieceBytes));
        staging.write(0, source.bytes.subspan(static_cast<size_t>(row) * row_bytes, piece_bytes));
        WeightArgs args;
        args.src = reinterpret_cast<const void*>(staging.address());
        args.dst = reinterpret_cast<void*>(memory->address() +
                                           static_cast<size_t>(row * per_row) * dst_bytes);
        args.count = taken * per_row;
        args.taps = static_cast<int>(taps);
        args.channels = static_cast<int>(per_row / taps);
        args.dst_type = type_number(dtype_);
        Launch launch;
        launch.file = "weight";
        launch.kernel = std::string("weight_convert_") + suffix_of(source.dtype);
        launch.grid.x =
            static_cast<uint32_t>(std::min(kMostBlocks, ceil_div(args.count, kThreads)));
        launch.block.x = kThreads;
        launch.set_args(args);
        card_->launch(launch);
        card_->synchronize();
    }
    return memory;
}

}  // namespace lora::cuda

#include "backend/cuda/internal/card.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/check.h"
#include "base/error.h"

namespace lora::cuda {
namespace {

// CUdevice_attribute and CUfunction_attribute.
constexpr int kMultiprocessors = 16;
constexpr int kComputeMajor = 75;
constexpr int kComputeMinor = 76;
constexpr int kSharedBytesOptIn = 97;
constexpr int kMaxDynamicSharedBytes = 8;
constexpr unsigned kNonBlockingStream = 1;
constexpr uint32_t kSharedBytesWithoutOptIn = 47 << 10;  // of 48; some is static
constexpr int kNeededCompute = 75;

int attribute(const Driver& driver, int device, int which) {
    int value = 0;
    driver.check(driver.device_attribute(&value, which, device), "asking what the card is");
    return value;
}

DeviceInfo look_at(const Driver& driver, int device) {
    DeviceInfo info;
    std::array<char, 256> name{};
    driver.check(driver.device_name(name.data(), name.size() - 1, device),
                 "asking the card's name");
    info.name = name.data();
    info.compute_major = attribute(driver, device, kComputeMajor);
    info.compute_minor = attribute(driver, device, kComputeMinor);
    info.num_multiprocessors = attribute(driver, device, kMultiprocessors);
    info.shared_bytes_per_block = static_cast<size_t>(attribute(driver, device, kSharedBytesOptIn));
    driver.check(driver.device_memory(&info.total_bytes, device), "asking the card's memory");
    driver.check(driver.driver_version(&info.driver_version), "asking the driver's version");
    return info;
}

}  // namespace

std::string why_card_unusable() {
    std::string reason;
    const Driver* driver = find_driver(reason);
    if (driver == nullptr) return reason;
    int device = 0;
    driver->check(driver->device(&device, 0), "opening the card");
    const DeviceInfo info = look_at(*driver, device);
    if (info.compute() >= kNeededCompute) return {};
    return fmt::format("{} has compute capability {}.{}; 7.5 (RTX 20, GTX 16) or later is needed",
                       info.name,
                       info.compute_major,
                       info.compute_minor);
}

Card::Card() {
    std::string reason = why_card_unusable();
    if (!reason.empty()) throw Error(ErrorCode::kDevice, reason);
    driver_ = find_driver(reason);
    driver_->check(driver_->device(&device_, 0), "opening the card");
    info_ = look_at(*driver_, device_);
    driver_->check(driver_->retain_context(&context_, device_), "opening the card");
    adopt();
    driver_->check(driver_->create_stream(&stream_, kNonBlockingStream), "opening a stream");
}

Card::~Card() {
    if (context_ == nullptr) return;
    driver_->set_context(context_);
    if (stream_ != nullptr) driver_->destroy_stream(stream_);
    for (const auto& [file, handle] : modules_) driver_->unload_module(handle);
    driver_->release_context(device_);
}

void Card::adopt() const { driver_->check(driver_->set_context(context_), "using the card"); }

void Card::synchronize() const {
    driver_->check(driver_->synchronize(stream_), "waiting for the card");
}

size_t Card::free_bytes() const {
    size_t free = 0;
    size_t total = 0;
    driver_->check(driver_->memory_info(&free, &total), "asking for free memory");
    return free;
}

DriverHandle Card::module(const std::string& file) {
    DriverHandle& handle = modules_[file];
    if (handle != nullptr) return handle;
    const auto all = embedded_kernels();
    const auto found = std::find_if(
        all.begin(), all.end(), [&](const EmbeddedKernels& k) { return k.file == file; });
    LORA_CHECK(found != all.end(), "no kernels named " + file);
    const DriverResult result = driver_->load_module(&handle, found->image);
    if (result != 0) {
        modules_.erase(file);
        driver_->check(result, "loading kernels onto the card");
    }
    return handle;
}

DriverHandle Card::function(const std::string& file,
                            const std::string& kernel,
                            uint32_t shared_bytes) {
    Function& function = functions_[file + "/" + kernel];
    if (function.handle == nullptr) {
        const DriverResult result =
            driver_->function(&function.handle, module(file), kernel.c_str());
        if (result != 0) function.handle = nullptr;
        LORA_CHECK(result == 0, "no kernel " + file + "/" + kernel);
    }
    if (shared_bytes > std::max(function.shared_bytes, kSharedBytesWithoutOptIn)) {
        driver_->check(driver_->set_function_attribute(
                           function.handle, kMaxDynamicSharedBytes, static_cast<int>(shared_bytes)),
                       "asking for shared memory");
        function.shared_bytes = shared_bytes;
    }
    return function.handle;
}

void Card::launch(const Launch& l) {
    std::array<void*, 1> params{const_cast<std::byte*>(l.args.data())};
    driver_->check(driver_->launch(function(l.file, l.kernel, l.shared_bytes),
                                   l.grid.x,
                                   l.grid.y,
                                   l.grid.z,
                                   l.block.x,
                                   l.block.y,
                                   l.block.z,
                                   l.shared_bytes,
                                   stream_,
                                   params.data(),
                                   nullptr),
                   l.kernel.c_str());
}

DeviceMemory::DeviceMemory(std::shared_ptr<Card> card, size_t size_bytes)
    : card_(std::move(card)), size_bytes_(size_bytes) {
    card_->adopt();
    const Driver& driver = card_->driver();
    driver.check(driver.allocate(&address_, std::max<size_t>(size_bytes, 256)),
                 fmt::format("allocating {:.1f} MiB on the card",
                             static_cast<double>(size_bytes) / (1 << 20))
                     .c_str());
}

DeviceMemory::~DeviceMemory() { card_->driver().free(address_); }

void DeviceMemory::write(size_t offset_bytes, std::span<const std::byte> src) {
    LORA_CHECK(offset_bytes + src.size() <= size_bytes_, "write beyond the buffer");
    if (src.empty()) return;
    const Driver& driver = card_->driver();
    driver.check(
        driver.copy_to_device(address_ + offset_bytes, src.data(), src.size(), card_->stream()),
        "copying to the card");
}

void DeviceMemory::read(size_t offset_bytes, std::span<std::byte> dst) const {
    LORA_CHECK(offset_bytes + dst.size() <= size_bytes_, "read beyond the buffer");
    if (dst.empty()) return;
    const Driver& driver = card_->driver();
    driver.check(
        driver.copy_to_host(dst.data(), address_ + offset_bytes, dst.size(), card_->stream()),
        "copying from the card");
    card_->synchronize();
}

void DeviceMemory::fill_zero() {
    const Driver& driver = card_->driver();
    driver.check(driver.fill_bytes(address_, 0, size_bytes_, card_->stream()),
                 "clearing the card's memory");
    card_->synchronize();
}

}  // namespace lora::cuda

#include "backend/cuda/internal/driver.h"

#include <memory>

#include <fmt/format.h>

#include "base/dynamic_library.h"
#include "base/error.h"

namespace lora::cuda {
namespace {

constexpr int kNeededVersion = 13000;  // the driver's own scale; 580 is the first that speaks it

struct Opened {
    std::unique_ptr<DynamicLibrary> library;
    Driver driver;
    std::string reason;
};

std::string fill(const DynamicLibrary& library, Driver& driver) {
    // NOLINTBEGIN(bugprone-macro-parentheses): a type's parts
#define LORA_CUDA_RESOLVE(member, name, arguments)                                              \
    driver.member = reinterpret_cast<DriverResult(*) arguments>(library.symbol(name));          \
    if (driver.member == nullptr) {                                                             \
        return fmt::format("the NVIDIA driver is too old (it has no {}); install 580 or later", \
                           name);                                                               \
    }
    LORA_CUDA_DRIVER(LORA_CUDA_RESOLVE)
#undef LORA_CUDA_RESOLVE
    // NOLINTEND(bugprone-macro-parentheses)
    return {};
}

std::string start(Driver& driver) {
    int version = 0;
    if (driver.driver_version(&version) == 0 && version < kNeededVersion) {
        return fmt::format(
            "the NVIDIA driver speaks CUDA {}.{}; version 580 or later (CUDA 13) is needed",
            version / 1000,
            version % 1000 / 10);
    }
    const DriverResult result = driver.init(0);
    if (result != 0) {
        const char* text = nullptr;
        driver.error_string(result, &text);
        return fmt::format("the NVIDIA driver does not start: {}",
                           text == nullptr ? "unknown error" : text);
    }
    int count = 0;
    if (driver.device_count(&count) != 0 || count == 0) return "there is no NVIDIA card";
    return {};
}

Opened open_driver() {
    Opened opened;
#if defined(_WIN32)
    opened.library = DynamicLibrary::open({"nvcuda.dll"});
#else
    opened.library = DynamicLibrary::open({"libcuda.so.1"});
#endif
    if (!opened.library) {
        opened.reason = "there is no NVIDIA driver";
        return opened;
    }
    opened.reason = fill(*opened.library, opened.driver);
    if (opened.reason.empty()) opened.reason = start(opened.driver);
    return opened;
}

}  // namespace

void Driver::check(DriverResult result, const char* what) const {
    if (result == 0) return;
    const char* text = nullptr;
    const char* name = nullptr;
    error_string(result, &text);
    error_name(result, &name);
    const std::string message = fmt::format("{}: {} ({})",
                                            what,
                                            text == nullptr ? "unknown error" : text,
                                            name == nullptr ? std::to_string(result) : name);
    if (result == kDriverOutOfMemory) {
        throw Error(ErrorCode::kOutOfMemory, message)
            .with_hint(
                "close other programs that use the card, lower the batch size or the "
                "resolution, or use --gradient_checkpointing");
    }
    throw Error(ErrorCode::kDevice, message)
        .with_hint("start again; if it happens again, try --backend cpu and report it");
}

const Driver* find_driver(std::string& reason) {
    static const Opened kOpened = open_driver();
    reason = kOpened.reason;
    return reason.empty() ? &kOpened.driver : nullptr;
}

}  // namespace lora::cuda

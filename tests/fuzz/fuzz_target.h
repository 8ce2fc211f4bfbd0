// What every fuzz target shares: of hostile input only an Error may come out, and no kInternal,
// since input never reaches a LORA_CHECK.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string_view>

#include "base/attempt.h"
#include "base/error.h"

// The entry point that libFuzzer and replay_main.cpp call.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace lora::fuzz {

inline std::span<const std::byte> as_bytes(const uint8_t* data, size_t size) {
    return {reinterpret_cast<const std::byte*>(data), size};
}

inline std::string_view as_text(const uint8_t* data, size_t size) {
    return {reinterpret_cast<const char*>(data), size};
}

// Runs fn. An Error that is a bug of ours ends the program, as any other exception does.
template <typename Fn>
void run(Fn&& fn) {
    const auto error = attempt(fn);
    if (error.has_value() && error->code() == ErrorCode::kInternal) std::abort();
}

}  // namespace lora::fuzz

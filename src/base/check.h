// Checks for our own mistakes. They stay on in release and throw Error{kInternal}.
// Not for input: what comes from disk, network or the user gets a real error instead.
#pragma once

#include <string>
#include <type_traits>
#include <utility>

#include "base/error.h"

namespace lora::detail {

[[noreturn]] void check_failed(const char* expression,
                               const std::string& message,
                               SourceLocation where = SourceLocation::current());

}  // namespace lora::detail

// LORA_CHECK(condition) or LORA_CHECK(condition, "text"): throws kInternal when it does not hold.
#define LORA_CHECK(condition, ...)                                                            \
    do {                                                                                      \
        if (!(condition)) ::lora::detail::check_failed(#condition, std::string{__VA_ARGS__}); \
    } while (false)

#ifdef NDEBUG
#define LORA_DCHECK(condition, ...) static_cast<void>(0)
#else
#define LORA_DCHECK(condition, ...) LORA_CHECK(condition, __VA_ARGS__)
#endif

namespace lora {

// Converts between arithmetic types and throws kInternal when the value does not survive.
template <typename To, typename From>
[[nodiscard]] constexpr To narrow(From value) {
    const To result = static_cast<To>(value);
    if (static_cast<From>(result) != value ||
        (std::is_signed_v<From> != std::is_signed_v<To> && (result < To{}) != (value < From{}))) {
        detail::check_failed("narrow", "value does not fit");
    }
    return result;
}

}  // namespace lora

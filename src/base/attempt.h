// Runs something that may fail and hands back the Error instead of letting it fly. Only for judging
// many inputs of the user one by one (one broken picture among good ones); elsewhere errors travel.
#pragma once

#include <optional>
#include <utility>

#include "base/error.h"

namespace lora {

// The Error that left fn, or nothing. Other exceptions pass through.
template <typename Fn>
[[nodiscard]] std::optional<Error> attempt(Fn&& fn) {
    try {
        std::forward<Fn>(fn)();
    } catch (Error& error) {
        return std::move(error);
    }
    return std::nullopt;
}

}  // namespace lora

// oneDNN's header and the one way to call it: its exceptions become lora::Error{kDevice}.
// Included only by library_onednn.cpp and floor.cpp.
#pragma once

#include <string_view>
#include <utility>

#include <dnnl.hpp>
#include <fmt/format.h>

#include "base/error.h"

namespace lora::cpu {

template <typename Fn>
decltype(auto) checked(std::string_view what, Fn&& fn) {
    try {
        return std::forward<Fn>(fn)();
    } catch (const dnnl::error& error) {
        throw Error(ErrorCode::kDevice,
                    fmt::format("oneDNN failed while {}: {}", what, error.what()));
    }
}

}  // namespace lora::cpu

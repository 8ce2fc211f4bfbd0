// oneDNN's header and the one way to call it: its exceptions become lora::Error{kDevice}.
// Included only by library_onednn.cpp and floor_onednn.cpp.
#pragma once

#include <string>
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

// oneDNN 2.6's "brgconv:avx512_core_amx_bf16" reads, while it makes its code, one entry beyond its
// table of masked rows, and does not use it: harmless behind an allocation of the C library, an
// error for AddressSanitizer, which then takes the next kernel (docs/decisions/0006).
#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool kLeavesOverreading = true;
#else
inline constexpr bool kLeavesOverreading = false;
#endif

// Moves a description that may be empty to its first implementation that keeps to its own memory;
// false where none is left. The operation's description (convolution_forward::desc) must still be
// alive: the library goes back to it for the next implementation.
template <typename PrimitiveDesc>
bool leave_overreading(PrimitiveDesc& pd) {
    while (kLeavesOverreading && pd &&
           std::string(pd.impl_info_str()).rfind("brgconv:avx512_core_amx", 0) == 0) {
        if (!pd.next_impl()) return false;
    }
    return static_cast<bool>(pd);
}

}  // namespace lora::cpu

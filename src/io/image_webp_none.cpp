// For machines without libwebp.
#include "base/error.h"
#include "io/internal/pixels.h"

namespace lora::io {

Pixels decode_webp(std::span<const std::byte>) {
    throw Error(ErrorCode::kData, "this build of lora.cpp does not read WebP pictures")
        .with_hint("convert the picture to PNG, or build with libwebp installed");
}

}  // namespace lora::io

#include <webp/decode.h>

#include "base/error.h"
#include "io/internal/pixels.h"

namespace lora::io {

Pixels decode_webp(std::span<const std::byte> bytes) {
    const auto* data = reinterpret_cast<const uint8_t*>(bytes.data());
    WebPBitstreamFeatures features;
    if (WebPGetFeatures(data, bytes.size(), &features) != VP8_STATUS_OK) {
        throw Error(ErrorCode::kData, "the WebP picture is damaged or cut short");
    }
    if (features.has_animation != 0) {
        throw Error(ErrorCode::kData, "the WebP file is an animation")
            .with_hint("save one picture of it as PNG");
    }
    Pixels pixels{features.height, features.width, features.has_alpha != 0 ? 4 : 3, {}};
    const int stride = features.width * pixels.num_channels;
    pixels.data.resize(static_cast<size_t>(stride) * static_cast<size_t>(features.height));
    const auto decode = features.has_alpha != 0 ? WebPDecodeRGBAInto : WebPDecodeRGBInto;
    if (decode(data, bytes.size(), pixels.data.data(), pixels.data.size(), stride) == nullptr) {
        throw Error(ErrorCode::kData, "the WebP picture is damaged or cut short")
            .with_hint("open it in a picture editor and save it again");
    }
    return pixels;
}

}  // namespace lora::io

#include <limits>
#include <memory>

#include <fmt/format.h>

#include "base/error.h"
#include "io/internal/pixels.h"
#include "io/internal/stb_image.h"

namespace lora::io {

Pixels decode_with_stb(std::span<const std::byte> bytes) {
    if (bytes.size() > static_cast<size_t>(std::numeric_limits<int>::max())) {
        throw Error(ErrorCode::kData, "the picture's file is over 2 GiB");
    }
    int width = 0;
    int height = 0;
    int channels = 0;
    const std::unique_ptr<stbi_uc, void (*)(void*)> data(
        stbi_load_from_memory(reinterpret_cast<const stbi_uc*>(bytes.data()),
                              static_cast<int>(bytes.size()),
                              &width,
                              &height,
                              &channels,
                              0),
        stbi_image_free);
    if (data == nullptr) {
        throw Error(ErrorCode::kData,
                    fmt::format("the picture cannot be decoded: {}", stbi_failure_reason()))
            .with_hint("open it in a picture editor and save it again");
    }
    Pixels pixels{height, width, channels, {}};
    const size_t size =
        static_cast<size_t>(height) * static_cast<size_t>(width) * static_cast<size_t>(channels);
    pixels.data.assign(data.get(), data.get() + size);
    return pixels;
}

std::vector<std::byte> inflate_zlib(std::span<const std::byte> bytes, size_t max_bytes) {
    constexpr auto kMaxInt = static_cast<size_t>(std::numeric_limits<int>::max());
    if (bytes.size() > kMaxInt || max_bytes > kMaxInt) return {};
    std::vector<std::byte> result(max_bytes);
    const int size = stbi_zlib_decode_buffer(reinterpret_cast<char*>(result.data()),
                                             static_cast<int>(max_bytes),
                                             reinterpret_cast<const char*>(bytes.data()),
                                             static_cast<int>(bytes.size()));
    result.resize(size < 0 ? 0 : static_cast<size_t>(size));
    return result;
}

}  // namespace lora::io

#include "fuzz_target.h"
#include "io/image_codec.h"
#include "io/png.h"

// Decodes the input as a picture in both ways, reads its size alone and its text.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace lora::io;
    const auto bytes = lora::fuzz::as_bytes(data, size);
    // Small, so that time goes into formats and not into pixels.
    constexpr int64_t kMaxPixels = 1 << 18;
    const DecodeOptions plain{
        .apply_exif = false, .composite_alpha = false, .max_pixels = kMaxPixels};
    const DecodeOptions full{.max_pixels = kMaxPixels};
    for (const DecodeOptions& options : {plain, full}) {
        lora::fuzz::run([&] {
            const Image image = decode_image(bytes, "input", options);
            const ImageSize stated = read_image_size(bytes, "input", options);
            if (stated.height_px != image.height_px || stated.width_px != image.width_px)
                std::abort();
        });
    }
    lora::fuzz::run([&] { static_cast<void>(read_png_text(bytes)); });
    return 0;
}

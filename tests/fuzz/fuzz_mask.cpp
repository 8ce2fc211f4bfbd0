// Fuzz target: a picture given as mask, and the cut and the fill that follow. Only lora::Error may
// come out; results have the picture's size.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "fuzz_target.h"
#include "tools/cutout.h"
#include "tools/fill.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    lora::fuzz::run([&] {
        const lora::io::Image image = lora::io::decode_image(
            lora::fuzz::as_bytes(data, size), "fuzz", {.max_pixels = 64 * 64});
        const lora::io::ImageSize picture{image.height_px, image.width_px};
        const lora::tools::Mask mask = lora::tools::mask_of_picture(image, picture, "fuzz");
        const lora::tools::GrabCut grab_cut(24);
        for (const bool with_mask : {false, true}) {
            lora::tools::FigureHint hint;
            if (with_mask) hint.mask = mask;
            const auto figure = grab_cut.figure_of(image, hint);
            if (figure && figure->value.size() != mask.value.size()) std::abort();
        }
        const lora::tools::Mask wide = lora::tools::grown(mask, 2);
        (void)lora::tools::roughness_around(image, wide);
        if (lora::tools::filled(image, wide).rgb.size() != image.rgb.size()) std::abort();
    });
    return 0;
}

#include "models/family.h"

namespace lora::models {

std::string_view family_name(Family family) { return family == Family::kSD1 ? "sd1" : "sd2"; }

ModelInfo sd15_info() { return {}; }

ModelInfo sd21_info() {
    ModelInfo info;
    info.family = Family::kSD2;
    info.unet.context_size = 1024;
    info.unet.heads = 0;
    info.unet.head_size = 64;
    info.unet.linear_projection = true;
    info.text = {.prefix = "cond_stage_model.model.",
                 .width = 1024,
                 .layers = 23,
                 .heads = 16,
                 .hidden = 4096,
                 .layout = TextLayout::kOpenClip,
                 .exact_gelu = true};
    info.v_prediction = true;
    info.native_resolution_px = 768;
    return info;
}

ModelInfo sd21_mini_info() {
    ModelInfo info = sd21_info();
    info.unet.channels = {64, 64, 128, 128};
    info.unet.context_size = 128;
    info.text.width = 128;
    info.text.layers = 3;
    info.text.heads = 2;
    info.text.hidden = 512;
    info.vae.channels = {32, 32, 64, 64};
    info.native_resolution_px = 128;
    return info;
}

}  // namespace lora::models

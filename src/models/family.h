// What a model file is: its family, the sizes of its networks, and what the file's metadata adds.
// Recognised from the names and shapes of its tensors; a file that lacks a tensor, or has one of
// another shape, is refused by name. Not the weights themselves (train/weight_binding.h).
// Used by train/, tools/ and `lora inspect`.
#pragma once

#include <string>
#include <string_view>

#include "io/safetensors.h"
#include "models/clip_text.h"
#include "models/unet.h"
#include "models/vae.h"

namespace lora::models {

enum class Family {
    kSD1,
    kSD2,
};
// "sd1", "sd2"
[[nodiscard]] std::string_view family_name(Family family);

struct ModelInfo {
    Family family = Family::kSD1;
    UNetConfig unet;
    ClipTextConfig text;
    VaeConfig vae;
    bool v_prediction = false;
    bool tells_prediction = false;  // whether the file says so; else it is taken for noise
    int64_t native_resolution_px = 512;
    int64_t clip_skip = 1;  // that the model was trained with
};

// Stable Diffusion 1.5 as published.
[[nodiscard]] ModelInfo sd15_info();
// Stable Diffusion 2.1 as published for 768 x 768 pixels, predicting v.
[[nodiscard]] ModelInfo sd21_info();
// Its shape at a size for tests: two heads at the widest, four text layers of which three run.
[[nodiscard]] ModelInfo sd21_mini_info();

struct DetectOptions {
    bool needs_vae = true;  // false: the VAE comes from another file
};

// Errors   kFormat: a LoRA, a VAE, another layout or family given as model (said so), a tensor
//          missing or of another shape, metadata that contradicts the shapes.
[[nodiscard]] ModelInfo detect_model(const io::SafetensorsFile& file,
                                     const DetectOptions& options = {});
// A VAE in its own file (with or without the prefix `first_stage_model.`) or inside a model.
// Errors   kFormat.
[[nodiscard]] VaeConfig detect_vae(const io::SafetensorsFile& file);

}  // namespace lora::models

// Presets beside the guide's and sd-scripts': what differs from the guide's values, with the
// reason. Source  the guide (requirements M27, M30, M33, M35, M61 to M64, M140 to M144).
#include "config/internal/rows.h"

namespace lora::config {
namespace {

// For cards of 6 GB and less: one picture a step, the text encoder left alone, states in 8 bits,
// the base model in 8 bits, nothing kept that can be computed again.
constexpr PresetValue kLowMemory[] = {{"train_batch_size", "1"},
                                      {"network_train_unet_only", "true"},
                                      {"network_dim", "16"},
                                      {"network_alpha", "8"},
                                      {"optimizer_type", "AdamW8bit"},
                                      {"gradient_checkpointing", "true"},
                                      {"base_quant", "int8"}};

// A figure that a name stands for: the guide's own sizes, the name first in every caption.
constexpr PresetValue kCharacter[] = {{"network_dim", "32"},
                                      {"network_alpha", "16"},
                                      {"keep_tokens", "1"},
                                      {"concept_trigger", "prepend"}};

// A style lies in textures too: LoCon with small dims, mirrored pictures, no kept tag.
constexpr PresetValue kStyle[] = {{"network_module", "lycoris.kohya"},
                                  {"network_args", "algo=locon conv_dim=4 conv_alpha=1"},
                                  {"network_dim", "16"},
                                  {"network_alpha", "8"},
                                  {"flip_aug", "true"}};

}  // namespace

std::span<const PresetValue> preset_values(std::string_view preset) {
    if (preset == "low_memory") return kLowMemory;
    if (preset == "character") return kCharacter;
    if (preset == "style") return kStyle;
    return {};
}

}  // namespace lora::config

#include <cstdlib>
#include <memory>

#include "fuzz_target.h"
#include "tools/lora_keys.h"
#include "tools/lora_layers.h"

namespace {

// Weights that hostile shapes ask for beyond this would only cost time.
constexpr int64_t kMaxElements = 1 << 16;

}  // namespace

// Opens the input as a LoRA file, whatever its names and shapes are, and computes the change of
// every layer, as merging does.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    lora::fuzz::run([&] {
        const auto file = std::make_shared<const lora::io::SafetensorsFile>(
            lora::io::SafetensorsFile::from_bytes(lora::fuzz::as_bytes(data, size), "input"));
        const lora::tools::LoraFile lora = lora::tools::read_lora(file);
        for (const lora::tools::LoraLayer& layer : lora.layers) {
            const auto key = lora::tools::diffusers_key({layer.name, "lora_down.weight"});
            if (key.empty() || lora::tools::block_of_layer(layer.name) > 24) std::abort();
            if (layer.weight_shape.num_elements() > kMaxElements) continue;
            if (layer.kind == lora::nn::LoraKind::kIa3) continue;
            const auto change = lora::tools::weight_change(layer);
            if (change.rows * change.cols != layer.weight_shape.num_elements()) std::abort();
        }
    });
    return 0;
}

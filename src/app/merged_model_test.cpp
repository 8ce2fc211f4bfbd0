// A model with a LoRA merged into it predicts as the model with the LoRA beside it, on every
// backend that runs here.
#include <deque>
#include <filesystem>

#include <gtest/gtest.h>

#include "app/backends.h"
#include "app/picture_maker.h"
#include "base/rng.h"
#include "io/safetensors.h"
#include "models/keymap/kohya.h"
#include "models/lora_module.h"
#include "tools/merge.h"

namespace lora::app {
namespace {

std::string mini() { return std::string(LORA_SOURCE_DIR) + "/assets/mini/mini-sd.safetensors"; }

std::string temporary(const std::string& name) {
    return from_path(std::filesystem::temp_directory_path() / ("lora_merged_" + name));
}

// A network for every layer, large enough to change the prediction by a good part.
void write_network(const std::string& path, uint64_t seed, nn::LoraKind kind) {
    const auto model = io::SafetensorsFile::open(mini());
    Rng rng(seed);
    std::deque<Tensor> storage;
    std::vector<io::NamedTensor> tensors;
    const auto add = [&](const std::string& name, const Shape& shape, float deviation) {
        std::vector<float> values(static_cast<size_t>(shape.num_elements()));
        for (float& value : values) value = deviation * rng.normal();
        storage.push_back(Tensor::from_floats(shape, values));
        tensors.push_back({name, storage.back().view()});
    };
    for (const auto& target :
         models::list_lora_targets(models::detect_model(model), {.conv = true})) {
        const bool on_input = target.lora_name.ends_with("_k");
        const auto module = models::make_lora_module(
            target, 4, 2, {.kind = kind, .tucker = true, .on_input = on_input});
        for (const nn::LoraFactor& factor : module.factors) {
            const bool lora = kind == nn::LoraKind::kLora;
            add(module.key(factor.suffix), factor.shape, lora ? 0.1F : 0.5F);
        }
        if (kind == nn::LoraKind::kIa3) {
            add(module.key("on_input"), Shape{}, 0);
            if (on_input) storage.back().data<float>()[0] = 1;
        } else {
            add(module.key("alpha"), Shape{}, 0);
            storage.back().data<float>()[0] = 2;
        }
    }
    io::write_safetensors(path, tensors, {});
}

// One guided step from fixed noise: text encoder and UNet both take part.
Tensor denoise(PictureMaker& maker, const std::vector<double>& weights) {
    const auto sampler = maker.sampler(weights);
    Tensor noise(DType::kF32, Shape{1, 4, 8, 8});
    Rng(3).fill_normal(noise.data<float>());
    Tensor ids(DType::kI32, Shape{1, 1, 77});
    Tensor negative(DType::kI32, Shape{1, 1, 77});
    for (int32_t i = 0; i < 77; ++i) {
        ids.data<int32_t>()[static_cast<size_t>(i)] = i == 0 ? 49406 : (i < 9 ? 320 + i : 49407);
        negative.data<int32_t>()[static_cast<size_t>(i)] = i == 0 ? 49406 : 49407;
    }
    train::DenoiseSettings settings;
    settings.sampler = diffusion::SamplerKind::kDdim;
    settings.num_steps = 1;
    settings.cfg_scale = 2;
    return sampler->denoise(noise, ids, negative, settings);
}

TEST(MergedModel, PredictsAsBaseAndLorasOnEveryBackend) {
    const std::string first = temporary("a.safetensors");
    const std::string second = temporary("b.safetensors");
    const std::string merged = temporary("model.safetensors");
    write_network(second, 2, nn::LoraKind::kLora);
    for (const nn::LoraKind kind :
         {nn::LoraKind::kLora, nn::LoraKind::kLoha, nn::LoraKind::kLokr, nn::LoraKind::kIa3}) {
        write_network(first, 1, kind);
        tools::MergeOptions options;
        options.inputs = {{first, 0.8}, {second, -0.5}};
        options.save_to = merged;
        tools::merge_into_model(mini(), options);
        for (const backend::BackendEntry& entry : all_backends().entries()) {
            if (!entry.unavailable_reason().empty()) continue;
            // The slow one needs no kind twice: its own tests compare it with the others.
            if (entry.name == "reference" && kind != nn::LoraKind::kLora) continue;
            const auto backend = all_backends().open(entry.name);
            PictureMaker beside(*backend, {.path = mini()}, DType::kF32);
            beside.add_lora(first);
            beside.add_lora(second);
            PictureMaker inside(*backend, {.path = merged}, DType::kF32);
            const Tensor wanted = denoise(beside, {0.8, -0.5});
            const Tensor got = denoise(inside, {});
            const auto what = entry.name + " " + std::to_string(static_cast<int>(kind));
            const double error = relative_error(got.view(), wanted.view());
            EXPECT_LT(error, 1e-4) << what;
            if (entry.name == "reference") continue;  // seconds a prediction
            const Tensor half = denoise(beside, {0, -0.5});
            EXPECT_GT(relative_error(half.view(), wanted.view()), 100 * error + 1e-3) << what;
        }
    }
    for (const std::string& path : {first, second, merged}) remove_file_if_exists(path);
}

}  // namespace
}  // namespace lora::app

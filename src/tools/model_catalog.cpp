#include "tools/model_catalog.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "base/error.h"
#include "base/file.h"

namespace lora::tools {
namespace {

constexpr CatalogFile kTagger[] = {{"model.onnx", ""}, {"selected_tags.csv", ""}};
constexpr CatalogFile kSd15[] = {{"v1-5-pruned-emaonly.safetensors", ""}};
constexpr CatalogFile kSd15Fp16[] = {{"v1-5-pruned-emaonly-fp16.safetensors", ""}};
constexpr CatalogFile kAom3[] = {{"Models/AbyssOrangeMix3/AOM3.safetensors", ""}};
constexpr CatalogFile kVaeMse[] = {{"vae-ft-mse-840000-ema-pruned.safetensors", ""}};

// clang-format off
constexpr CatalogModel kModels[] = {
    {"wd14-swinv2-v2", "SmilingWolf/wd-v1-4-swinv2-tagger-v2", kTagger, "the guide's tagger", true},
    {"wd14-moat-v2", "SmilingWolf/wd-v1-4-moat-tagger-v2", kTagger, "tagger", true},
    {"wd14-convnext-v2", "SmilingWolf/wd-v1-4-convnext-tagger-v2", kTagger, "tagger, sd-scripts' default", true},
    {"wd14-convnextv2-v2", "SmilingWolf/wd-v1-4-convnextv2-tagger-v2", kTagger, "tagger", true},
    {"wd14-vit-v2", "SmilingWolf/wd-v1-4-vit-tagger-v2", kTagger, "tagger", true},
    {"wd14-convnext", "SmilingWolf/wd-v1-4-convnext-tagger", kTagger, "tagger, first version", true},
    {"wd14-vit", "SmilingWolf/wd-v1-4-vit-tagger", kTagger, "tagger, first version", true},
    {"wd-swinv2-v3", "SmilingWolf/wd-swinv2-tagger-v3", kTagger, "tagger", true},
    {"wd-convnext-v3", "SmilingWolf/wd-convnext-tagger-v3", kTagger, "tagger", true},
    {"wd-vit-v3", "SmilingWolf/wd-vit-tagger-v3", kTagger, "tagger", true},
    {"wd-vit-large-v3", "SmilingWolf/wd-vit-large-tagger-v3", kTagger, "tagger, slower", true},
    {"wd-eva02-large-v3", "SmilingWolf/wd-eva02-large-tagger-v3", kTagger, "tagger, slowest", true},
    {"sd15", "Comfy-Org/stable-diffusion-v1-5-archive", kSd15, "Stable Diffusion 1.5, 4.3 GB", false},
    {"sd15-fp16", "Comfy-Org/stable-diffusion-v1-5-archive", kSd15Fp16, "Stable Diffusion 1.5, 2.1 GB", false},
    {"aom3", "WarriorMama777/OrangeMixs", kAom3, "AbyssOrangeMix3, a drawn style, 2.1 GB", false},
    {"vae-ft-mse", "stabilityai/sd-vae-ft-mse-original", kVaeMse, "VAE for Stable Diffusion 1.x, 0.3 GB", false},
};
// clang-format on

constexpr std::string_view kMirrors[] = {"https://huggingface.co", "https://hf-mirror.com"};

bool is_tagger_at(const std::string& path) {
    return is_directory(path) || (extension(path) == ".onnx" && path_exists(path));
}

}  // namespace

std::span<const CatalogModel> catalog() { return kModels; }

const CatalogModel* find_model(std::string_view name_or_repository) {
    for (const CatalogModel& model : kModels) {
        if (model.name == name_or_repository || model.repository == name_or_repository) {
            return &model;
        }
    }
    return nullptr;
}

std::span<const std::string_view> mirrors() { return kMirrors; }

std::string file_url(std::string_view mirror, const CatalogModel& model, const CatalogFile& file) {
    while (mirror.ends_with('/')) mirror.remove_suffix(1);
    return fmt::format("{}/{}/resolve/main/{}", mirror, model.repository, file.path);
}

std::string default_model_folder() { return join_path(program_folder(), "models"); }

std::string find_tagger(const std::string& model, const std::string& model_folder) {
    if (is_tagger_at(model)) return model;
    std::string flat = model;
    std::replace(flat.begin(), flat.end(), '/', '_');
    std::vector<std::string> names = {flat};
    const CatalogModel* known = find_model(model);
    if (known != nullptr) names.emplace_back(known->name);
    for (const std::string& name : names) {
        std::string path = join_path(model_folder, name);
        if (is_tagger_at(path)) return path;
    }
    throw Error(ErrorCode::kIo,
                fmt::format("the tagger {} is not here, nor in {}", model, model_folder))
        .with_hint(known != nullptr
                       ? fmt::format("lora fetch {}", known->name)
                       : "give a folder with model.onnx and selected_tags.csv; lora fetch --list "
                         "names those that can be fetched");
}

}  // namespace lora::tools

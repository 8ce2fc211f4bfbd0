#include "app/picture_maker.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/log.h"
#include "models/lora_file_weights.h"

namespace lora::app {
namespace {

using FilePointer = std::shared_ptr<const io::SafetensorsFile>;

FilePointer open_file(const std::string& path) {
    return std::make_shared<const io::SafetensorsFile>(io::SafetensorsFile::open(path));
}

std::string prefix_of(size_t index) { return fmt::format("lora{}/", index); }

}  // namespace

PictureMaker::PictureMaker(backend::Backend& backend, const ModelUse& model, DType dtype)
    : backend_(&backend), dtype_(dtype), weights_(backend) {
    const FilePointer file = open_file(model.path);
    with_context(fmt::format("while reading model file {}", model.path),
                 [&] { info_ = models::detect_model(*file, {.needs_vae = model.vae.empty()}); });
    if (model.v_prediction) {
        info_.v_prediction = *model.v_prediction;
    } else if (info_.family == models::Family::kSD2 && !info_.tells_prediction) {
        log::warning(
            "{} does not say what it predicts; taken for noise (--v_parameterization for a 768-v "
            "model)",
            model.path);
    }
    if (!model.vae.empty()) {
        const FilePointer vae = open_file(model.vae);
        with_context(fmt::format("while reading VAE {}", model.vae),
                     [&] { info_.vae = models::detect_vae(*vae); });
        weights_.add_source(train::vae_source(vae, info_.vae.prefix));
    }
    weights_.add_source(train::file_source(file));
}

size_t PictureMaker::add_lora(const std::string& path) {
    const FilePointer file = open_file(path);
    with_context(fmt::format("while reading LoRA file {}", path),
                 [&] { loras_.push_back(models::read_lora_file(*file, info_)); });
    const models::LoraFileContent& content = loras_.back();
    if (!content.unknown.empty()) {
        log::warning("{}: {} modules do not belong to this model, first {}",
                     path,
                     content.unknown.size(),
                     content.unknown.front());
    }
    const size_t index = loras_.size() - 1;
    weights_.add_source(train::file_source(file, prefix_of(index)));
    return index;
}

nn::LoraAttachments PictureMaker::attachments(const std::vector<double>& weights) const {
    nn::LoraAttachments branches;
    for (size_t i = 0; i < weights.size() && i < loras_.size(); ++i) {
        if (weights[i] != 0) {
            models::attach_frozen(loras_[i], weights[i], prefix_of(i), branches);
        }
    }
    return branches;
}

std::unique_ptr<train::ImageSampler> PictureMaker::sampler(const std::vector<double>& weights,
                                                           std::optional<int64_t> clip_skip) {
    train::ImageSamplerOptions options;
    options.dtype = dtype_;
    options.clip_skip = clip_skip.value_or(info_.clip_skip);
    options.lora = attachments(weights);
    return std::make_unique<train::ImageSampler>(*backend_, weights_, info_, std::move(options));
}

}  // namespace lora::app

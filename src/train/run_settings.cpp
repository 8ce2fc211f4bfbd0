#include "train/run_settings.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/python_text.h"

namespace lora::train {
namespace {

std::string joined(const std::vector<std::pair<std::string, std::string>>& args) {
    std::string text;
    for (const auto& [key, value] : args) text += fmt::format("{}={} ", key, value);
    return text;
}

std::string step_rules(const OptimizerOptions& o) {
    std::string rules;
    for (const auto& [key, value] : o.lr_scheduler_args) {
        if (key != "step_rules") {
            throw Error(ErrorCode::kConfig,
                        fmt::format("lr_scheduler_args {}: there is no such setting", key))
                .with_hint("known is step_rules, of piecewise_constant");
        }
        rules = value;
    }
    return rules;
}

// Names, captions, repeats and sizes of all pictures; folders by name, so that moving the whole
// folder changes nothing.
std::string dataset_identity(const data::BucketedDataset& data) {
    Sha256 hash;
    for (size_t i = 0; i < data.dataset.images.size(); ++i) {
        const data::ImageEntry& image = data.dataset.images[i];
        const auto& folder = data.dataset.folders[static_cast<size_t>(image.folder_idx)];
        hash.update(fmt::format("{}\n{}\n{}\n{} {} {} {}\n",
                                folder.name,
                                base_name(image.path),
                                image.caption,
                                image.repeats,
                                data::to_string(image.size),
                                image.loss_weight,
                                data::to_string(data.choices[i].bucket)));
    }
    return fmt::format(
        "{} pictures, {}", data.dataset.images.size(), hash.hex_digest().substr(0, 16));
}

std::string caption_settings(const data::CaptionOptions& c) {
    return fmt::format(
        "shuffle_caption={} keep_tokens={} keep_tokens_separator={} caption_separator={} "
        "secondary_separator={} dropout={}/{}/{} warmup={}/{} wildcard={} prefix={} suffix={} "
        "max={}",
        c.shuffle_caption,
        c.keep_tokens,
        c.keep_tokens_separator,
        c.caption_separator,
        c.secondary_separator,
        c.caption_dropout_rate,
        c.caption_dropout_every_n_epochs,
        c.caption_tag_dropout_rate,
        c.token_warmup_min,
        c.token_warmup_step,
        c.enable_wildcard,
        c.caption_prefix,
        c.caption_suffix,
        c.max_shuffled_tags);
}

std::string augment_settings(const data::AugmentOptions& a) {
    const data::FaceCropRange face = a.face_crop_aug_range.value_or(data::FaceCropRange{0, 0});
    return fmt::format("flip_aug={} color_aug={} random_crop={} face_crop_aug_range={},{}",
                       a.flip_aug,
                       a.color_aug,
                       a.random_crop,
                       face.low,
                       face.high);
}

// What a described data set says of its folders; nothing otherwise.
void add_folder_settings(const data::BucketedDataset& data, Settings& s) {
    for (size_t i = 0; i < data.dataset.folders.size(); ++i) {
        const data::ConceptFolder& folder = data.dataset.folders[i];
        if (!folder.options) continue;
        const data::DatasetGroup& group =
            data.dataset.groups[static_cast<size_t>(folder.dataset_idx)];
        s[fmt::format("dataset_config {} {}", i + 1, folder.name)] =
            fmt::format("batch_size={} {} {}{}",
                        group.batch_size,
                        augment_settings(folder.options->augment),
                        caption_settings(folder.options->caption),
                        folder.options->mask.alpha ? " alpha_mask=true" : "");
    }
}

// Contents of the mask pictures.
std::string masks_identity(const data::BucketedDataset& data) {
    Sha256 hash;
    int64_t count = 0;
    for (const data::ImageEntry& image : data.dataset.images) {
        hash.update(image.mask_path.empty() ? "-" : sha256_file_hex(image.mask_path));
        count += image.mask_path.empty() ? 0 : 1;
    }
    return fmt::format("{} pictures {}", count, hash.hex_digest().substr(0, 16));
}

std::string base_weights_identity(const NetworkOptions& n) {
    std::string text;
    for (size_t i = 0; i < n.base_weights.size(); ++i) {
        text += fmt::format(
            "{} times {} ", sha256_file_hex(n.base_weights[i]).substr(0, 16), n.base_multiplier(i));
    }
    return text;
}

}  // namespace

Settings fixed_settings(const TrainOptions& o,
                        const data::BucketedDataset& data,
                        const std::string& model_identity,
                        DType dtype) {
    Settings s;
    s["pretrained_model_name_or_path"] = model_identity;
    s["train_data_dir"] = dataset_identity(data);
    s["v_parameterization"] = python_bool(o.model.v_parameterization.value_or(false));
    s["clip_skip"] = fmt::format("{}", std::max<int64_t>(o.model.clip_skip, 1));
    s["max_token_length"] = fmt::format("{}", o.model.max_token_length);
    s["train_batch_size"] = fmt::format("{}", o.latents.train_batch_size);
    s["flip_aug"] = python_bool(o.latents.flip_aug);
    s["cache_latents"] = python_bool(o.latents.cache_latents);
    s["gradient_accumulation_steps"] = fmt::format("{}", o.length.gradient_accumulation_steps);
    s["network_module"] = o.network.network_module;
    s["network_dim"] = fmt::format("{}", o.network.network_dim);
    s["network_alpha"] = python_float(o.network.network_alpha);
    s["network_args"] = joined(o.network.network_args);
    s["network_train_unet_only"] = python_bool(o.network.network_train_unet_only);
    s["network_train_text_encoder_only"] = python_bool(o.network.network_train_text_encoder_only);
    if (o.network.stop_text_encoder_training > 0 || o.network.stop_unet_training > 0) {
        s["stop training"] = fmt::format("text encoder {} unet {}",
                                         o.network.stop_text_encoder_training,
                                         o.network.stop_unet_training);
    }
    s["optimizer_type"] = optimizer_spec(o.optimizer.optimizer_type, {}).name;
    s["optimizer_args"] = joined(o.optimizer.optimizer_args);
    s["max_grad_norm"] = python_float(o.optimizer.max_grad_norm);
    s["min_snr_gamma"] = python_float(o.loss.weight.min_snr_gamma);
    s["noise_offset"] = python_float(o.loss.noise.noise_offset);
    s["multires_noise"] =
        fmt::format("{} {}", o.loss.noise.multires_iterations, o.loss.noise.multires_discount);
    if (const auto& w = o.loss.weight; w.scale_v_pred_loss_like_noise_pred ||
                                       w.v_pred_like_loss != 0 || w.debiased_estimation_loss) {
        s["loss weights"] = fmt::format("scale_v {} v_like {} debiased {}",
                                        w.scale_v_pred_loss_like_noise_pred,
                                        w.v_pred_like_loss,
                                        w.debiased_estimation_loss);
    }
    if (const auto& n = o.loss.noise; n.noise_offset_random_strength ||
                                      n.adaptive_noise_scale != 0 || n.ip_noise_gamma != 0 ||
                                      o.loss.zero_terminal_snr) {
        s["noise"] = fmt::format("random offset {} adaptive {} perturbed {} {} zero terminal {}",
                                 n.noise_offset_random_strength,
                                 n.adaptive_noise_scale,
                                 n.ip_noise_gamma,
                                 n.ip_noise_gamma_random_strength,
                                 o.loss.zero_terminal_snr);
    }
    if (o.loss.loss_type != "l2") {
        s["loss_type"] = fmt::format("{} {} c {} scale {}",
                                     o.loss.loss_type,
                                     o.loss.huber_schedule,
                                     o.loss.huber_c,
                                     o.loss.huber_scale);
    }
    if (o.loss.has_mask()) {
        s["loss mask"] = fmt::format("{} alpha {}", masks_identity(data), o.loss.alpha_mask);
    }
    if (o.model.weighted_captions) s["weighted_captions"] = "True";
    if (o.network.network_dropout != 0) {
        s["network_dropout"] = python_float(o.network.network_dropout);
    }
    if (o.network.scale_weight_norms != 0) {
        s["scale_weight_norms"] = python_float(o.network.scale_weight_norms);
    }
    if (!o.network.base_weights.empty()) s["base_weights"] = base_weights_identity(o.network);
    if (o.optimizer.ema != "off") s["ema_decay"] = python_float(o.optimizer.ema_decay);
    s["timesteps"] = fmt::format("{} {}", o.loss.min_timestep, o.loss.max_timestep);
    s["compute type"] = std::string(dtype_name(dtype));
    s["base_quant"] = o.device.base_quant;
    s["caption"] = caption_settings(o.caption);
    if (const data::AugmentOptions a = o.latents.augment(); a.changes_pixels()) {
        s["augmentation"] = augment_settings(a);
    }
    add_folder_settings(data, s);
    if (o.monitor.validation_split > 0) {
        s["validation_split"] = python_float(o.monitor.validation_split);
    }
    return s;
}

Settings free_settings(const TrainOptions& o) {
    Settings s;
    s["learning_rate"] = python_float(o.optimizer.learning_rate);
    s["unet_lr"] = python_optional(o.optimizer.unet_lr);
    s["text_encoder_lr"] = python_optional(o.optimizer.text_encoder_lr);
    s["lr_scheduler"] = fmt::format("{} cycles {} power {}",
                                    o.optimizer.lr_scheduler,
                                    o.optimizer.lr_scheduler_num_cycles,
                                    o.optimizer.lr_scheduler_power);
    s["lr_scheduler_timescale"] = python_optional(o.optimizer.lr_scheduler_timescale);
    s["lr_scheduler_min_lr_ratio"] = python_optional(o.optimizer.lr_scheduler_min_lr_ratio);
    s["lr_decay_steps"] = python_float(o.optimizer.lr_decay_steps);
    s["lr_scheduler_args"] = joined(o.optimizer.lr_scheduler_args);
    s["lr_warmup_steps"] = python_float(o.optimizer.lr_warmup_steps);
    s["max_train_epochs"] = fmt::format("{}", o.length.max_train_epochs);
    if (o.length.max_train_epochs == 0) {
        s["max_train_steps"] = fmt::format("{}", o.length.max_train_steps);
    }
    return s;
}

DType compute_dtype(const DeviceOptions& options,
                    const backend::Backend& backend,
                    Diagnostics& warnings) {
    const std::string& wanted = options.mixed_precision;
    if (wanted == "no") return DType::kF32;
    const bool likes_fp16 = wanted == "auto" && backend.preferred_dtype() == DType::kF16;
    if ((wanted == "fp16" || likes_fp16) && backend.supports(DType::kF16)) return DType::kF16;
    if (backend.supports(DType::kBF16) && backend.preferred_dtype() == DType::kBF16) {
        if (wanted == "fp16") {
            warnings.push_back({Severity::kNote,
                                "mixed_precision",
                                "this device has no fp16; computed in bf16, which needs no loss "
                                "scaling",
                                ""});
        }
        return DType::kBF16;
    }
    if (wanted == "auto") return DType::kF32;
    warnings.push_back(
        {Severity::kNote,
         "mixed_precision",
         fmt::format("this device is faster in fp32 than in {}; computed in fp32", wanted),
         ""});
    return DType::kF32;
}

data::DatasetOptions dataset_options(const TrainOptions& options, uint64_t seed) {
    data::DatasetOptions wanted = options.dataset;
    wanted.validation_split = options.monitor.validation_split;
    wanted.validation_seed = options.monitor.validation_seed.value_or(seed);
    wanted.mask.alpha = options.loss.alpha_mask;
    return wanted;
}

data::StepOptions step_options(const LengthOptions& options) {
    return {.gradient_accumulation_steps = options.gradient_accumulation_steps,
            .max_train_steps = options.max_train_steps,
            .max_train_epochs = options.max_train_epochs};
}

ir::LossKind loss_kind(const LossOptions& options) {
    for (const ir::LossKind kind :
         {ir::LossKind::kL2, ir::LossKind::kL1, ir::LossKind::kHuber, ir::LossKind::kSmoothL1}) {
        if (ir::loss_name(kind) == options.loss_type) return kind;
    }
    throw Error(ErrorCode::kConfig, fmt::format("loss_type {} is not known", options.loss_type))
        .with_hint("l2, l1, huber or smooth_l1");
}

diffusion::HuberOptions huber_options(const LossOptions& options) {
    const auto schedule = diffusion::huber_schedule_from_name(options.huber_schedule);
    if (!schedule) {
        throw Error(ErrorCode::kConfig,
                    fmt::format("huber_schedule {} is not known", options.huber_schedule))
            .with_hint("constant, exponential or snr");
    }
    return {.schedule = *schedule, .c = options.huber_c, .scale = options.huber_scale};
}

LrScheduleOptions lr_schedule_options(const OptimizerOptions& o, int64_t max_train_steps) {
    return {.name = o.lr_scheduler,
            .num_warmup_steps = steps_from_share(o.lr_warmup_steps, max_train_steps),
            .num_training_steps = max_train_steps,
            .num_cycles = o.lr_scheduler_num_cycles,
            .power = o.lr_scheduler_power,
            .base_lr = o.learning_rate,
            .timescale = o.lr_scheduler_timescale,
            .min_lr_ratio = o.lr_scheduler_min_lr_ratio.value_or(0),
            .num_decay_steps = steps_from_share(o.lr_decay_steps, max_train_steps),
            .step_rules = step_rules(o)};
}

FrozenParts frozen_parts(const NetworkOptions& o, int64_t epoch) {
    const auto ended = [epoch](int64_t last) { return last > 0 && epoch > last; };
    return {.text_encoder = ended(o.stop_text_encoder_training),
            .unet = ended(o.stop_unet_training)};
}

Rates base_rates(const OptimizerOptions& o, const NetworkOptions& network) {
    Rates rates;
    if (!network.network_train_unet_only) {
        rates.text_encoder = o.text_encoder_lr.value_or(o.learning_rate);
    }
    if (!network.network_train_text_encoder_only) rates.unet = o.unet_lr.value_or(o.learning_rate);
    return rates;
}

}  // namespace lora::train

// Settings to train::TrainOptions: names are the same, so this is a list of assignments.
#include <algorithm>

#include "base/words.h"
#include "config/internal/derive.h"
#include "config/validate.h"

namespace lora::config {
namespace {

std::optional<double> optional_number(const Settings& s, std::string_view name) {
    if (!s.has(name)) return std::nullopt;
    return s.number(name);
}

// Words that are no numbers were found by validate().
std::vector<double> numbers(const std::vector<std::string>& words) {
    std::vector<double> result;
    result.reserve(words.size());
    for (const std::string& word : words) result.push_back(parse_number<double>(word).value_or(1));
    return result;
}

void fill_data(const Settings& s, train::TrainOptions& out) {
    auto& dataset = out.dataset;
    dataset.train_data_dir = s.text("train_data_dir");
    dataset.reg_data_dir = s.text("reg_data_dir");
    dataset.caption_extension = s.text("caption_extension");
    dataset.enable_wildcard = s.flag("enable_wildcard");
    dataset.apply_exif = s.flag("exif_rotation");
    dataset.prior_loss_weight = s.number("prior_loss_weight");
    dataset.dataset_config = s.text("dataset_config");
    const std::string names = s.text("folder_names");
    dataset.folder_names = names == "guide"          ? data::FolderScheme::kGuide
                           : names == "class_suffix" ? data::FolderScheme::kClassSuffix
                                                     : data::FolderScheme::kLiteral;
    const std::string trigger = s.text("concept_trigger");
    dataset.concept_trigger = trigger == "auto"      ? data::ConceptTrigger::kAuto
                              : trigger == "prepend" ? data::ConceptTrigger::kPrepend
                                                     : data::ConceptTrigger::kFallback;
    dataset.caption_separator = s.has("caption_separator") ? s.text("caption_separator") : ",";
    if (s.flag("masked_loss")) {
        dataset.mask.conditioning_data_dir = s.text("conditioning_data_dir");
    }

    auto& bucket = out.bucket;
    bucket.resolution = parse_resolution(s.text("resolution")).value_or(data::ImageSize{512, 512});
    bucket.enable_bucket = s.flag("enable_bucket");
    bucket.min_bucket_reso_px = s.integer("min_bucket_reso");
    bucket.max_bucket_reso_px = s.integer("max_bucket_reso");
    bucket.bucket_reso_steps_px = s.integer("bucket_reso_steps");
    bucket.no_upscale = s.flag("bucket_no_upscale");

    auto& caption = out.caption;
    caption.shuffle_caption = s.flag("shuffle_caption");
    caption.keep_tokens = s.integer("keep_tokens");
    caption.keep_tokens_separator = s.text("keep_tokens_separator");
    caption.caption_separator = s.has("caption_separator") ? s.text("caption_separator") : ",";
    caption.secondary_separator = s.text("secondary_separator");
    caption.caption_dropout_rate = s.number("caption_dropout_rate");
    caption.caption_dropout_every_n_epochs = s.integer("caption_dropout_every_n_epochs");
    caption.caption_tag_dropout_rate = s.number("caption_tag_dropout_rate");
    caption.max_shuffled_tags = s.integer("max_shuffled_tags");
    caption.token_warmup_min = s.integer("token_warmup_min");
    caption.token_warmup_step = s.number("token_warmup_step");
    caption.enable_wildcard = s.flag("enable_wildcard");
    caption.caption_prefix = s.text("caption_prefix");
    caption.caption_suffix = s.text("caption_suffix");

    auto& latents = out.latents;
    latents.train_batch_size = s.integer("train_batch_size");
    latents.flip_aug = s.flag("flip_aug");
    latents.color_aug = s.flag("color_aug");
    latents.random_crop = s.flag("random_crop");
    latents.face_crop_aug_range = parse_face_range(s.text("face_crop_aug_range"));
    latents.cache_latents = s.flag("cache_latents") || s.flag("cache_latents_to_disk");
    latents.cache_latents_to_disk = s.flag("cache_latents_to_disk");
    latents.vae_batch_size = s.integer("vae_batch_size");
    latents.apply_exif = s.flag("exif_rotation");
    latents.alpha_on_white = s.text("alpha_background") == "white";
    latents.max_data_loader_n_workers = s.integer("max_data_loader_n_workers");
}

void fill_network(const Settings& s, train::TrainOptions& out) {
    auto& model = out.model;
    model.pretrained_model_name_or_path = s.text("pretrained_model_name_or_path");
    model.vae = s.text("vae");
    model.v2 = s.flag("v2");
    if (s.given("v_parameterization")) model.v_parameterization = s.flag("v_parameterization");
    model.clip_skip = s.integer("clip_skip");
    model.clip_skip_given = s.given("clip_skip");
    model.max_token_length = s.integer("max_token_length");
    model.weighted_captions = s.flag("weighted_captions");

    auto& network = out.network;
    network.network_module = s.text("network_module");
    network.network_dim = s.integer("network_dim");
    network.network_alpha = s.number("network_alpha");
    const bool guide = s.text("preset") != "sd-scripts";
    network.network_dim_given = guide || s.given("network_dim");
    network.network_alpha_given = guide || s.given("network_alpha");
    network.network_args = name_value_pairs(s.list("network_args"));
    network.network_weights = s.text("network_weights");
    network.dim_from_weights = s.flag("dim_from_weights");
    network.network_train_unet_only = s.flag("network_train_unet_only");
    network.network_train_text_encoder_only = s.flag("network_train_text_encoder_only");
    network.stop_text_encoder_training = s.integer("stop_text_encoder_training");
    network.stop_unet_training = s.integer("stop_unet_training");
    network.network_dropout = s.number("network_dropout");
    network.scale_weight_norms = s.number("scale_weight_norms");
    network.base_weights = s.list("base_weights");
    network.base_weights_multiplier = numbers(s.list("base_weights_multiplier"));
}

void fill_optimizer(const Settings& s, train::TrainOptions& out) {
    auto& optimizer = out.optimizer;
    optimizer.optimizer_type = s.text("optimizer_type");
    optimizer.optimizer_args = name_value_pairs(s.list("optimizer_args"));
    optimizer.lr_scheduler_timescale = optional_number(s, "lr_scheduler_timescale");
    optimizer.lr_scheduler_min_lr_ratio = optional_number(s, "lr_scheduler_min_lr_ratio");
    optimizer.lr_decay_steps = s.number("lr_decay_steps");
    optimizer.lr_scheduler_args = name_value_pairs(s.list("lr_scheduler_args"));
    optimizer.learning_rate = s.number("learning_rate");
    optimizer.unet_lr = optional_number(s, "unet_lr");
    optimizer.text_encoder_lr = optional_number(s, "text_encoder_lr");
    optimizer.max_grad_norm = s.number("max_grad_norm");
    optimizer.ema = s.text("ema");
    optimizer.ema_decay = s.number("ema_decay");
    optimizer.lr_scheduler = s.text("lr_scheduler");
    optimizer.lr_warmup_steps = s.number("lr_warmup_steps");
    optimizer.lr_scheduler_num_cycles = s.integer("lr_scheduler_num_cycles");
    optimizer.lr_scheduler_power = s.number("lr_scheduler_power");

    auto& loss = out.loss;
    loss.weight.min_snr_gamma = s.number("min_snr_gamma");
    loss.noise.noise_offset = s.number("noise_offset");
    loss.noise.multires_iterations = s.integer("multires_noise_iterations");
    loss.noise.multires_discount = s.number("multires_noise_discount");
    loss.noise.noise_offset_random_strength = s.flag("noise_offset_random_strength");
    loss.noise.adaptive_noise_scale = s.number("adaptive_noise_scale");
    loss.noise.ip_noise_gamma = s.number("ip_noise_gamma");
    loss.noise.ip_noise_gamma_random_strength = s.flag("ip_noise_gamma_random_strength");
    loss.zero_terminal_snr = s.flag("zero_terminal_snr");
    loss.weight.scale_v_pred_loss_like_noise_pred = s.flag("scale_v_pred_loss_like_noise_pred");
    loss.weight.v_pred_like_loss = s.number("v_pred_like_loss");
    loss.weight.debiased_estimation_loss = s.flag("debiased_estimation_loss");
    loss.min_timestep = s.integer("min_timestep");
    loss.max_timestep = s.integer("max_timestep");
    loss.loss_type = s.text("loss_type");
    loss.huber_schedule = s.text("huber_schedule");
    loss.huber_c = s.number("huber_c");
    loss.huber_scale = s.number("huber_scale");
    loss.masked_loss = s.flag("masked_loss");
    loss.alpha_mask = s.flag("alpha_mask");

    auto& length = out.length;
    if (s.has("max_train_steps")) length.max_train_steps = s.integer("max_train_steps");
    length.max_train_epochs = s.integer("max_train_epochs");
    length.gradient_accumulation_steps = s.integer("gradient_accumulation_steps");

    auto& device = out.device;
    device.mixed_precision = s.text("mixed_precision");
    device.base_quant = s.text("base_quant");
    device.gradient_checkpointing = s.flag("gradient_checkpointing");
    device.max_memory_bytes = parse_bytes(s.text("max_memory")).value_or(0);
    device.num_threads = static_cast<int>(s.integer("threads"));
}

void fill_previews(const Settings& s, train::TrainOptions& out) {
    auto& sample = out.sample;
    // Steps that somebody asked for win over the preset's epochs.
    const bool steps = s.given("sample_every_n_steps") && !s.given("sample_every_n_epochs");
    sample.every_n_epochs = steps ? 0 : s.integer("sample_every_n_epochs");
    sample.every_n_steps = s.integer("sample_every_n_steps");
    sample.at_first = s.flag("sample_at_first");
    sample.sampler = diffusion::sampler_from_name(s.text("sample_sampler"))
                         .value_or(diffusion::SamplerKind::kDdim);
}

void fill_saving(const Settings& s, train::TrainOptions& out) {
    auto& save = out.save;
    save.output_dir = s.text("output_dir");
    save.output_name = s.text("output_name");
    save.save_precision = s.text("save_precision");
    save.save_model_as = s.text("save_model_as");
    save.save_every_n_epochs = s.integer("save_every_n_epochs");
    save.save_every_n_steps = s.integer("save_every_n_steps");
    save.save_n_epoch_ratio = s.integer("save_n_epoch_ratio");
    save.save_last_n_epochs = s.integer("save_last_n_epochs");
    save.save_last_n_steps = s.integer("save_last_n_steps");
    save.save_state = s.flag("save_state");
    save.save_state_on_train_end = s.flag("save_state_on_train_end");
    save.save_last_n_epochs_state = s.integer("save_last_n_epochs_state");
    save.save_last_n_steps_state = s.integer("save_last_n_steps_state");
    save.save_state_every_n_steps = s.integer("save_state_every_n_steps");
    save.resume = s.text("resume");
    save.no_metadata = s.flag("no_metadata");
    save.training_comment = s.text("training_comment");
    save.metadata_title = s.text("metadata_title");
    save.metadata_author = s.text("metadata_author");
    save.metadata_description = s.text("metadata_description");
    save.metadata_license = s.text("metadata_license");
    save.metadata_tags = s.text("metadata_tags");

    auto& monitor = out.monitor;
    if (s.has("probe_every_n_steps"))
        monitor.probe_every_n_steps = s.integer("probe_every_n_steps");
    monitor.validation_split = s.number("validation_split");
    if (s.has("validation_seed")) {
        monitor.validation_seed = static_cast<uint64_t>(s.integer("validation_seed"));
    }
    monitor.validate_every_n_epochs = s.integer("validate_every_n_epochs");
    monitor.validate_every_n_steps = s.integer("validate_every_n_steps");
    monitor.max_validation_steps = s.integer("max_validation_steps");

    out.log.logging_dir = s.text("logging_dir");
    out.log.log_prefix = s.text("log_prefix");
}

}  // namespace

std::optional<data::FaceCropRange> parse_face_range(std::string_view text) {
    const std::vector<std::string_view> words = split_words(text, ',');
    if (words.size() != 2) return std::nullopt;
    const auto low = parse_float(words[0]);
    const auto high = parse_float(words[1]);
    if (!low || !high) return std::nullopt;
    return data::FaceCropRange{*low, *high};
}

std::vector<std::pair<std::string, std::string>> name_value_pairs(
    const std::vector<std::string>& words) {
    std::vector<std::pair<std::string, std::string>> out;
    for (const std::string& word : words) {
        const size_t equals = word.find('=');
        if (equals == std::string::npos) continue;
        out.emplace_back(word.substr(0, equals), word.substr(equals + 1));
    }
    return out;
}

train::TrainOptions train_options(const Settings& settings) {
    train::TrainOptions out;
    fill_data(settings, out);
    fill_network(settings, out);
    fill_optimizer(settings, out);
    fill_previews(settings, out);
    fill_saving(settings, out);
    if (settings.has("seed")) out.seed = static_cast<uint64_t>(settings.integer("seed"));
    return out;
}

}  // namespace lora::config

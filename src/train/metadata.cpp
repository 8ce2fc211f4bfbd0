#include "train/metadata.h"

#include <random>

#include <fmt/format.h>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/python_text.h"
#include "base/rng.h"
#include "base/wall_clock.h"
#include "train/optimizer_spec.h"

namespace lora::train {
namespace {

constexpr size_t kLegacyBegin = 0x100000;
constexpr size_t kLegacyBytes = 0x10000;
constexpr std::string_view kNone = "None";

std::string text_or_none(const std::string& text) {
    return text.empty() ? std::string(kNone) : text;
}

std::string nonzero(double value) { return value == 0 ? std::string(kNone) : python_float(value); }

std::string nonzero_int(int64_t value) {
    return value == 0 ? std::string(kNone) : fmt::format("{}", value);
}

OrderedJson counts_json(const data::ConceptFolder& folder) {
    return {{"n_repeats", folder.repeats}, {"img_count", folder.num_images}};
}

// "10_Graf": {"n_repeats": 10, "img_count": 24}
OrderedJson dirs_json(const data::Dataset& dataset, bool reg) {
    OrderedJson result = OrderedJson::object();
    for (const data::ConceptFolder& folder : dataset.folders) {
        if (folder.is_reg != reg) continue;
        result[folder.name] = counts_json(folder);
    }
    return result;
}

// Of one data set; folders that are not described are all of data set 0.
OrderedJson tags_json(const data::Dataset& dataset, int64_t dataset_idx) {
    OrderedJson result = OrderedJson::object();
    for (const data::ConceptFolder& folder : dataset.folders) {
        if (folder.dataset_idx != dataset_idx) continue;
        OrderedJson& tags = result[folder.name];
        if (tags.is_null()) tags = OrderedJson::object();
        for (const auto& [tag, count] : folder.tag_counts) {
            tags[tag] = tags.value(tag, int64_t{0}) + count;
        }
    }
    return result;
}

OrderedJson buckets_json(const data::BucketedDataset& data, int64_t dataset_idx) {
    OrderedJson buckets = OrderedJson::object();
    for (const data::BucketUse& use : data.buckets) {
        if (use.dataset_idx != dataset_idx) continue;
        buckets[fmt::format("{}", buckets.size())] = {
            {"resolution", OrderedJson::array({use.size.width_px, use.size.height_px})},
            {"count", use.count}};
    }
    return {{"buckets", buckets}, {"mean_img_ar_error", data.mean_ar_error}};
}

OrderedJson text_or_null(const std::string& text) {
    return text.empty() ? OrderedJson(nullptr) : OrderedJson(text);
}

OrderedJson subset_json(const data::ConceptFolder& folder) {
    const data::SubsetOptions options = folder.options.value_or(data::SubsetOptions{});
    return {{"img_count", folder.num_images},
            {"num_repeats", folder.repeats},
            {"color_aug", options.augment.color_aug},
            {"flip_aug", options.augment.flip_aug},
            {"random_crop", options.augment.random_crop},
            {"shuffle_caption", options.caption.shuffle_caption},
            {"keep_tokens", options.caption.keep_tokens},
            {"keep_tokens_separator", text_or_null(options.caption.keep_tokens_separator)},
            {"secondary_separator", text_or_null(options.caption.secondary_separator)},
            {"enable_wildcard", options.caption.enable_wildcard},
            {"caption_prefix", text_or_null(options.caption.caption_prefix)},
            {"caption_suffix", text_or_null(options.caption.caption_suffix)},
            {"image_dir", folder.name},
            {"class_tokens",
             folder.class_tokens ? OrderedJson(*folder.class_tokens) : OrderedJson(nullptr)},
            {"is_reg", folder.is_reg}};
}

// One data set of a description; the rest of the file is about all of them together.
OrderedJson dataset_json(const data::BucketedDataset& data, int64_t idx) {
    const data::DatasetGroup& group = data.dataset.groups[static_cast<size_t>(idx)];
    OrderedJson subsets = OrderedJson::array();
    int64_t counts[2] = {0, 0};
    for (const data::ConceptFolder& folder : data.dataset.folders) {
        if (folder.dataset_idx != idx) continue;
        subsets.push_back(subset_json(folder));
        counts[folder.is_reg ? 1 : 0] += folder.num_images * folder.repeats;
    }
    return {
        {"is_dreambooth", true},
        {"batch_size_per_device", group.batch_size},
        {"num_train_images", counts[0]},
        {"num_reg_images", counts[1]},
        {"resolution",
         OrderedJson::array({group.bucket.resolution.width_px, group.bucket.resolution.height_px})},
        {"enable_bucket", group.bucket.enable_bucket},
        {"min_bucket_reso", group.bucket.min_bucket_reso_px},
        {"max_bucket_reso", group.bucket.max_bucket_reso_px},
        {"tag_frequency", tags_json(data.dataset, idx)},
        {"bucket_info",
         group.bucket.enable_bucket ? buckets_json(data, idx) : OrderedJson(nullptr)},
        {"subsets", subsets}};
}

// Folders of one name get " (2)", " (3)" behind it.
std::string free_name(const OrderedJson& taken, const std::string& name) {
    std::string out = name;
    for (int i = 2; taken.contains(out); ++i) out = fmt::format("{} ({})", name, i);
    return out;
}

void add_described_data(const data::BucketedDataset& data, io::Metadata& m) {
    OrderedJson sets = OrderedJson::array();
    for (int64_t i = 0; i < std::ssize(data.dataset.groups); ++i) {
        sets.push_back(dataset_json(data, i));
    }
    OrderedJson dirs[2] = {OrderedJson::object(), OrderedJson::object()};
    OrderedJson tags = OrderedJson::object();
    for (const data::ConceptFolder& folder : data.dataset.folders) {
        OrderedJson& place = dirs[folder.is_reg ? 1 : 0];
        place[free_name(place, folder.name)] = counts_json(folder);
        OrderedJson counts = OrderedJson::object();
        for (const auto& [tag, count] : folder.tag_counts) counts[tag] = count;
        tags[free_name(tags, folder.name)] = counts;
    }
    m["ss_datasets"] = python_json(sets);
    m["ss_dataset_dirs"] = python_json(dirs[0]);
    m["ss_reg_dataset_dirs"] = python_json(dirs[1]);
    m["ss_tag_frequency"] = python_json(tags);
}

// "torch.optim.adamw.AdamW(weight_decay=0.1,betas=(0.9, 0.99))"
std::string optimizer_text(const OptimizerOptions& options) {
    std::string args;
    for (const auto& [key, value] : options.optimizer_args) {
        if (!args.empty()) args += ',';
        std::string text = value;
        if (text.find(',') != std::string::npos && text.front() != '(') {
            std::string spaced;
            for (const char c : text) {
                if (c == ' ') continue;
                spaced += c;
                if (c == ',') spaced += ' ';
            }
            text = "(" + spaced + ")";
        }
        args += fmt::format("{}={}", key, text);
    }
    const std::string name = optimizer_spec(options.optimizer_type, {}).python_name;
    return args.empty() ? name : name + "(" + args + ")";
}

bool is_sd2(const MetadataInputs& in) { return in.family == models::Family::kSD2; }

bool predicts_v(const MetadataInputs& in) {
    return in.options->model.v_parameterization.value_or(false);
}

void add_network(const MetadataInputs& in, io::Metadata& m) {
    const TrainOptions& o = *in.options;
    m["ss_network_module"] = o.network.network_module;
    m["ss_network_dim"] =
        o.network.network_dim_given ? fmt::format("{}", o.network.network_dim) : std::string(kNone);
    m["ss_network_alpha"] =
        o.network.network_alpha_given ? python_float(o.network.network_alpha) : "1";
    if (!o.network.network_args.empty()) {
        OrderedJson args = OrderedJson::object();
        for (const auto& [key, value] : o.network.network_args) args[key] = value;
        if (!args.contains("dropout")) {
            const double dropout = o.network.network_dropout;
            args["dropout"] = dropout == 0 ? OrderedJson(nullptr) : OrderedJson(dropout);
        }
        m["ss_network_args"] = python_json(args);
    }
    m["ss_base_model_version"] =
        fmt::format("{}{}", is_sd2(in) ? "sd_v2" : "sd_v1", predicts_v(in) ? "_v" : "");
    m["ss_v2"] = python_bool(is_sd2(in));
}

void add_schedule(const MetadataInputs& in, const SavePlace& place, io::Metadata& m) {
    const TrainOptions& o = *in.options;
    m["ss_session_id"] = fmt::format("{}", in.identity.session_id);
    m["ss_training_started_at"] = python_float(in.identity.started_at);
    m["ss_training_finished_at"] = python_float(place.finished_at);
    m["ss_output_name"] = text_or_none(o.save.output_name);
    m["ss_learning_rate"] = python_float(o.optimizer.learning_rate);
    m["ss_text_encoder_lr"] = python_optional(o.optimizer.text_encoder_lr);
    m["ss_unet_lr"] = python_optional(o.optimizer.unet_lr);
    m["ss_num_batches_per_epoch"] = fmt::format("{}", in.steps.num_batches);
    m["ss_num_epochs"] = fmt::format("{}", in.steps.num_epochs);
    m["ss_max_train_steps"] = fmt::format("{}", in.steps.max_train_steps);
    m["ss_steps"] = fmt::format("{}", place.step);
    m["ss_epoch"] = fmt::format("{}", place.epoch);
    m["ss_gradient_checkpointing"] = python_bool(o.device.gradient_checkpointing);
    m["ss_gradient_accumulation_steps"] = fmt::format("{}", o.length.gradient_accumulation_steps);
    const double warmup = o.optimizer.lr_warmup_steps;
    m["ss_lr_warmup_steps"] = warmup > 0 && warmup < 1
                                  ? python_float(warmup)
                                  : fmt::format("{}", static_cast<int64_t>(warmup));
    m["ss_lr_scheduler"] = o.optimizer.lr_scheduler;
    m["ss_optimizer"] = optimizer_text(o.optimizer);
    m["ss_max_grad_norm"] = python_float(o.optimizer.max_grad_norm);
    m["ss_seed"] = fmt::format("{}", in.identity.seed);
}

void add_training(const MetadataInputs& in, io::Metadata& m) {
    const TrainOptions& o = *in.options;
    m["ss_lowram"] = "False";
    m["ss_cache_latents"] = python_bool(o.latents.cache_latents || o.latents.cache_latents_to_disk);
    m["ss_full_fp16"] = "False";
    m["ss_network_dropout"] = nonzero(o.network.network_dropout);
    m["ss_mixed_precision"] = o.device.mixed_precision;
    m["ss_clip_skip"] = nonzero_int(o.model.clip_skip);
    m["ss_max_token_length"] = o.model.max_token_length == 75
                                   ? std::string(kNone)
                                   : fmt::format("{}", o.model.max_token_length);
    m["ss_noise_offset"] = nonzero(o.loss.noise.noise_offset);
    m["ss_multires_noise_iterations"] = nonzero_int(o.loss.noise.multires_iterations);
    m["ss_multires_noise_discount"] = python_float(o.loss.noise.multires_discount);
    m["ss_adaptive_noise_scale"] = nonzero(o.loss.noise.adaptive_noise_scale);
    m["ss_caption_dropout_rate"] = python_float(o.caption.caption_dropout_rate);
    m["ss_caption_dropout_every_n_epochs"] =
        fmt::format("{}", o.caption.caption_dropout_every_n_epochs);
    m["ss_caption_tag_dropout_rate"] = python_float(o.caption.caption_tag_dropout_rate);
    const auto& face = o.latents.face_crop_aug_range;
    m["ss_face_crop_aug_range"] =
        face ? fmt::format("({}, {})", python_float(face->low), python_float(face->high))
             : std::string(kNone);
    m["ss_prior_loss_weight"] = python_float(o.dataset.prior_loss_weight);
    m["ss_min_snr_gamma"] = nonzero(o.loss.weight.min_snr_gamma);
    m["ss_scale_weight_norms"] = nonzero(o.network.scale_weight_norms);
    m["ss_training_comment"] = text_or_none(o.save.training_comment);
    m["ss_sd_scripts_commit_hash"] = "(unknown)";
    m["ss_sd_model_name"] = in.model.name;
    m["ss_sd_model_hash"] = in.model.legacy_hash;
    m["ss_new_sd_model_hash"] = in.model.sha256;
    if (in.vae) {
        m["ss_vae_name"] = in.vae->name;
        m["ss_vae_hash"] = in.vae->legacy_hash;
        m["ss_new_vae_hash"] = in.vae->sha256;
    }
    m["ss_zero_terminal_snr"] = python_bool(o.loss.zero_terminal_snr);
    m["ss_ip_noise_gamma"] = nonzero(o.loss.noise.ip_noise_gamma);
    m["ss_debiased_estimation"] = python_bool(o.loss.weight.debiased_estimation_loss);
    m["ss_noise_offset_random_strength"] = python_bool(o.loss.noise.noise_offset_random_strength);
    m["ss_ip_noise_gamma_random_strength"] =
        python_bool(o.loss.noise.ip_noise_gamma_random_strength);
    m["ss_loss_type"] = o.loss.loss_type;
    m["ss_huber_schedule"] = o.loss.huber_schedule;
    m["ss_huber_scale"] = python_float(o.loss.huber_scale);
    m["ss_huber_c"] = python_float(o.loss.huber_c);
    m["ss_fp8_base"] = "False";
    m["ss_fp8_base_unet"] = "False";
}

void add_validation(io::Metadata& m) {
    m["ss_num_validation_images"] = "0";
    m["ss_validation_seed"] = kNone;
    m["ss_validation_split"] = "0.0";
    m["ss_max_validation_steps"] = kNone;
    m["ss_validate_every_n_epochs"] = kNone;
    m["ss_validate_every_n_steps"] = kNone;
    m["ss_resize_interpolation"] = kNone;
}

// The trigger and class of each folder that is trained, for whoever uses the file.
void add_concepts(const data::Dataset& dataset, io::Metadata& m) {
    OrderedJson concepts = OrderedJson::object();
    for (const data::ConceptFolder& folder : dataset.folders) {
        if (folder.is_reg || folder.trigger.empty()) continue;
        concepts[folder.name] = {{"trigger", folder.trigger}};
        if (!folder.class_name.empty()) concepts[folder.name]["class"] = folder.class_name;
    }
    if (!concepts.empty()) m["lora_cpp.concepts"] = concepts.dump();
}

void add_data(const MetadataInputs& in, io::Metadata& m) {
    const TrainOptions& o = *in.options;
    const data::Dataset& dataset = in.data->dataset;
    add_concepts(dataset, m);
    m["ss_num_train_images"] = fmt::format("{}", dataset.num_train_images);
    m["ss_num_reg_images"] = fmt::format("{}", dataset.num_reg_images);
    if (!dataset.groups.empty()) {
        add_described_data(*in.data, m);
        return;
    }
    m["ss_batch_size_per_device"] = fmt::format("{}", o.latents.train_batch_size);
    m["ss_total_batch_size"] =
        fmt::format("{}", o.latents.train_batch_size * o.length.gradient_accumulation_steps);
    m["ss_resolution"] =
        fmt::format("({}, {})", o.bucket.resolution.width_px, o.bucket.resolution.height_px);
    m["ss_color_aug"] = python_bool(o.latents.color_aug);
    m["ss_flip_aug"] = python_bool(o.latents.flip_aug);
    m["ss_random_crop"] = python_bool(o.latents.random_crop);
    m["ss_shuffle_caption"] = python_bool(o.caption.shuffle_caption);
    m["ss_enable_bucket"] = python_bool(o.bucket.enable_bucket);
    m["ss_bucket_no_upscale"] = python_bool(o.bucket.no_upscale);
    m["ss_min_bucket_reso"] = fmt::format("{}", o.bucket.min_bucket_reso_px);
    m["ss_max_bucket_reso"] = fmt::format("{}", o.bucket.max_bucket_reso_px);
    m["ss_keep_tokens"] = fmt::format("{}", o.caption.keep_tokens);
    m["ss_dataset_dirs"] = python_json(dirs_json(dataset, false));
    m["ss_reg_dataset_dirs"] = python_json(dirs_json(dataset, true));
    m["ss_tag_frequency"] = python_json(tags_json(dataset, 0));
    m["ss_bucket_info"] =
        o.bucket.enable_bucket ? python_json(buckets_json(*in.data, 0)) : std::string("null");
}

void add_modelspec(const MetadataInputs& in, const SavePlace& place, io::Metadata& m) {
    const TrainOptions& o = *in.options;
    const std::string date = iso_time(place.finished_at);
    std::string title = o.save.metadata_title;
    if (title.empty()) title = o.save.output_name;
    if (title.empty()) title = "LoRA@" + date;
    m["modelspec.sai_model_spec"] = "1.0.1";
    const char* sd2_architecture = predicts_v(in) ? "v2-768-v" : "v2-512";
    m["modelspec.architecture"] =
        fmt::format("stable-diffusion-{}/lora", is_sd2(in) ? sd2_architecture : "v1");
    m["modelspec.implementation"] = "diffusers";
    m["modelspec.implementation_version"] = "lora.cpp";
    m["modelspec.title"] = title;
    m["modelspec.resolution"] =
        fmt::format("{}x{}", o.bucket.resolution.width_px, o.bucket.resolution.height_px);
    m["modelspec.date"] = date;
    m["modelspec.prediction_type"] = predicts_v(in) ? "v" : "epsilon";
    const std::pair<const char*, const std::string*> optional[] = {
        {"modelspec.author", &o.save.metadata_author},
        {"modelspec.description", &o.save.metadata_description},
        {"modelspec.license", &o.save.metadata_license},
        {"modelspec.tags", &o.save.metadata_tags}};
    for (const auto& [key, value] : optional) {
        if (!value->empty()) m[key] = *value;
    }
    if (o.loss.min_timestep != 0 || o.loss.max_timestep != 1000) {
        m["modelspec.timestep_range"] =
            fmt::format("{},{}", o.loss.min_timestep, o.loss.max_timestep);
    }
    if (o.model.clip_skip != 0) m["modelspec.encoder_layer"] = fmt::format("{}", o.model.clip_skip);
}

}  // namespace

RunIdentity new_identity(std::optional<uint64_t> seed) {
    std::random_device device;
    RunIdentity identity;
    identity.seed = seed ? *seed : device();
    identity.session_id =
        source_date_epoch() ? Rng(identity.seed, RngStream::kSession).next_u32() : device();
    identity.started_at = file_time();
    return identity;
}

FileHashes hash_model_file(const std::string& path) {
    FileHashes hashes;
    hashes.name = base_name(path);
    hashes.legacy_hash = legacy_model_hash(path);
    hashes.sha256 = sha256_file_hex(path);  // lets pages go as it reads: models are large
    return hashes;
}

std::string legacy_model_hash(const std::string& path) {
    const MappedFile file(path);
    const std::span<const std::byte> bytes = file.bytes();
    const size_t begin = std::min(kLegacyBegin, bytes.size());
    const size_t count = std::min(kLegacyBytes, bytes.size() - begin);
    return sha256_hex(bytes.subspan(begin, count)).substr(0, 8);
}

io::Metadata make_metadata(const MetadataInputs& inputs, const SavePlace& place) {
    io::Metadata metadata;
    add_network(inputs, metadata);
    add_modelspec(inputs, place, metadata);
    if (inputs.options->save.no_metadata) return metadata;
    add_schedule(inputs, place, metadata);
    add_training(inputs, metadata);
    add_validation(metadata);
    add_data(inputs, metadata);
    return metadata;
}

}  // namespace lora::train

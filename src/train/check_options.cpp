// What can be told wrong about options before anything is opened; see training_run.h.
#include <fmt/format.h>

#include "base/attempt.h"
#include "base/error.h"
#include "data/augment.h"
#include "train/lora_file.h"
#include "train/network_args.h"
#include "train/run_settings.h"
#include "train/training_run.h"

namespace lora::train {
namespace {

class Checker {
public:
    explicit Checker(const TrainOptions& options) : o_(options) {}

    Diagnostics run() {
        check_model();
        check_data();
        check_network();
        check_optimizer();
        check_length();
        check_saving();
        return std::move(found_);
    }

private:
    void refuse(const char* option, std::string text, std::string hint = {}) {
        found_.push_back({Severity::kError, option, std::move(text), std::move(hint)});
    }
    void at_least(const char* option, int64_t value, int64_t least) {
        if (value < least) refuse(option, fmt::format("{} is {}, below {}", option, value, least));
    }
    // Turns what fn throws into a finding.
    template <typename Fn>
    void judge(const char* option, Fn&& fn) {
        if (const auto error = attempt(fn)) refuse(option, error->message(), error->hint());
    }

    void check_model() {
        if (o_.model.pretrained_model_name_or_path.empty()) {
            refuse("pretrained_model_name_or_path",
                   "no model file is given",
                   "--pretrained_model_name_or_path FILE.safetensors");
        }
        const int64_t tokens = o_.model.max_token_length;
        if (tokens != 75 && tokens != 150 && tokens != 225) {
            refuse("max_token_length",
                   fmt::format("max_token_length is {}", tokens),
                   "75, 150 or 225");
        }
        at_least("clip_skip", o_.model.clip_skip, 0);
    }

    void check_data() {
        if (o_.dataset.train_data_dir.empty() && o_.dataset.dataset_config.empty()) {
            refuse("train_data_dir",
                   "no folder of pictures is given",
                   "--train_data_dir names the parent of folders like 10_cat");
        }
        at_least("train_batch_size", o_.latents.train_batch_size, 1);
        at_least("vae_batch_size", o_.latents.vae_batch_size, 1);
        check_augmentation();
        for (const Diagnostic& item : data::check_bucket_options(o_.bucket)) found_.push_back(item);
    }

    void check_augmentation() {
        const LatentOptions& l = o_.latents;
        const std::pair<const char*, bool> changing[] = {
            {"random_crop", l.random_crop},
            {"color_aug", l.color_aug},
            {"face_crop_aug_range", l.face_crop_aug_range.has_value()}};
        for (const auto& [name, on] : changing) {
            if (!on || !l.cache_latents) continue;
            refuse(name,
                   fmt::format("{} makes another picture of every draw, so latents cannot be kept",
                               name),
                   "set cache_latents to false, or leave it out");
        }
        if ((o_.loss.masked_loss || o_.loss.alpha_mask) &&
            (l.random_crop || l.face_crop_aug_range)) {
            refuse(l.random_crop ? "random_crop" : "face_crop_aug_range",
                   "masks of the loss do not follow crops that differ from draw to draw",
                   "leave random_crop and face_crop_aug_range out, or masked_loss and alpha_mask");
        }
        if (!l.face_crop_aug_range) return;
        for (Diagnostic& item :
             data::check_face_crop(*l.face_crop_aug_range, o_.bucket.enable_bucket)) {
            found_.push_back(std::move(item));
        }
    }

    void check_network() {
        const NetworkOptions& n = o_.network;
        at_least("network_dim", n.network_dim, 1);
        at_least("stop_text_encoder_training", n.stop_text_encoder_training, 0);
        at_least("stop_unet_training", n.stop_unet_training, 0);
        if (n.network_alpha < 0) refuse("network_alpha", "network_alpha is negative");
        if (n.network_train_unet_only && n.network_train_text_encoder_only) {
            refuse(
                "network_train_unet_only",
                "network_train_unet_only and network_train_text_encoder_only exclude each other");
        }
        if (n.dim_from_weights && n.network_weights.empty()) {
            refuse("dim_from_weights", "dim_from_weights needs network_weights");
        }
        judge("network_args", [&] {
            const bool is_ia3 = read_network_args(n).module.kind == nn::LoraKind::kIa3;
            if (is_ia3 && n.scale_weight_norms > 0) {
                refuse("scale_weight_norms", "scale_weight_norms does not go with IA3");
            }
        });
        if (!(n.network_dropout >= 0 && n.network_dropout < 1)) {
            refuse("network_dropout", "network_dropout is no chance from 0 to below 1");
        }
        if (!(n.scale_weight_norms >= 0)) {
            refuse("scale_weight_norms", "scale_weight_norms is negative");
        }
        if (n.base_weights_multiplier.size() > n.base_weights.size()) {
            refuse("base_weights_multiplier",
                   fmt::format("{} multipliers for {} base_weights",
                               n.base_weights_multiplier.size(),
                               n.base_weights.size()));
        }
    }

    void check_optimizer() {
        const OptimizerOptions& p = o_.optimizer;
        judge("optimizer_type", [&] {
            const OptimizerSpec spec = optimizer_spec(p.optimizer_type, p.optimizer_args);
            if (spec.adapts_rate()) check_one_rate(spec);
            check_schedule_of(spec);
        });
        const Rates rates = base_rates(p, o_.network);
        for (const double rate : {rates.unet, rates.text_encoder, p.learning_rate}) {
            if (!(rate >= 0)) refuse("learning_rate", "a learning rate is negative");
        }
        if (p.max_grad_norm < 0) refuse("max_grad_norm", "max_grad_norm is negative");
        // The number of steps is not known yet; names and combinations are.
        judge("lr_scheduler", [&] {
            LrScheduleOptions schedule = lr_schedule_options(p, 1000000);
            check_lr_schedule(schedule);
        });
        if (p.ema != "off" && p.ema != "extra" && p.ema != "instead") {
            refuse("ema", fmt::format("ema is \"{}\"", p.ema), "off, extra or instead");
        }
        if (!(p.ema_decay >= 0 && p.ema_decay < 1)) {
            refuse("ema_decay", "ema_decay is not from 0 to below 1");
        }
        check_loss();
        if (o_.loss.weight.min_snr_gamma < 0) refuse("min_snr_gamma", "min_snr_gamma is negative");
        if (o_.loss.noise.adaptive_noise_scale != 0 && o_.loss.noise.noise_offset == 0) {
            refuse("adaptive_noise_scale", "adaptive_noise_scale needs noise_offset");
        }
        if (o_.model.v_parameterization) {
            for (const Diagnostic& item :
                 check_prediction_options(o_.loss, *o_.model.v_parameterization)) {
                found_.push_back(item);
            }
        }
        const bool in_table = o_.loss.min_timestep >= 0 && o_.loss.max_timestep <= 1000 &&
                              o_.loss.min_timestep <= o_.loss.max_timestep;
        if (!in_table) refuse("min_timestep", "timesteps lie within 0 and 1000");
    }

    void check_loss() {
        judge("loss_type", [&] { (void)loss_kind(o_.loss); });
        judge("huber_schedule", [&] { (void)huber_options(o_.loss); });
        if (!(o_.loss.huber_c > 0)) refuse("huber_c", "huber_c is not above 0");
        if (!(o_.loss.huber_scale > 0)) refuse("huber_scale", "huber_scale is not above 0");
        if (o_.loss.masked_loss && !o_.loss.alpha_mask && !o_.loss.folder_masks &&
            o_.dataset.mask.conditioning_data_dir.empty()) {
            refuse("masked_loss",
                   "masked_loss has no masks",
                   "--conditioning_data_dir names the folder of mask pictures; or take "
                   "--alpha_mask, the transparency of the pictures");
        }
    }

    void check_schedule_of(const OptimizerSpec& spec) {
        const OptimizerOptions& p = o_.optimizer;
        if (p.lr_scheduler == "adafactor" && !spec.relative_step) {
            refuse("lr_scheduler",
                   "lr_scheduler adafactor belongs to optimizer_type Adafactor with relative_step",
                   "take constant, or --optimizer_type Adafactor");
        }
        if (spec.relative_step && p.lr_warmup_steps != 0) {
            refuse("lr_warmup_steps",
                   "Adafactor with relative_step chooses its step size itself; it has no warm-up",
                   "lr_warmup_steps 0, or optimizer_args warmup_init=True");
        }
    }

    // One d serves all parts: their rates must be the same.
    void check_one_rate(const OptimizerSpec& spec) {
        const Rates rates = base_rates(o_.optimizer, o_.network);
        const GroupOptions groups = read_network_args(o_.network).blocks.groups;
        const bool by_part =
            rates.unet > 0 && rates.text_encoder > 0 && rates.unet != rates.text_encoder;
        if (!by_part && !groups.block_weights && groups.loraplus_unet_lr_ratio == 0 &&
            groups.loraplus_text_encoder_lr_ratio == 0) {
            return;
        }
        throw Error(ErrorCode::kConfig,
                    fmt::format("{} finds one learning rate for everything; unet_lr {} and "
                                "text_encoder_lr {} (and weights of blocks or of lora_up) must not "
                                "differ",
                                spec.name,
                                rates.unet,
                                rates.text_encoder))
            .with_hint("set learning_rate, unet_lr and text_encoder_lr to 1");
    }

    void check_length() {
        at_least("gradient_accumulation_steps", o_.length.gradient_accumulation_steps, 1);
        at_least("max_train_epochs", o_.length.max_train_epochs, 0);
        if (o_.length.max_train_epochs == 0) {
            at_least("max_train_steps", o_.length.max_train_steps, 1);
        }
        const std::string& precision = o_.device.mixed_precision;
        if (precision != "auto" && precision != "no" && precision != "bf16" &&
            precision != "fp16") {
            refuse("mixed_precision",
                   fmt::format("mixed_precision is \"{}\"", precision),
                   "auto, no, bf16 or fp16");
        }
    }

    void check_saving() {
        const SaveOptions& s = o_.save;
        judge("save_precision", [&] { (void)save_dtype(s.save_precision); });
        if (s.save_model_as != "safetensors" && s.save_model_as != "ckpt" &&
            s.save_model_as != "pt") {
            refuse("save_model_as",
                   fmt::format("save_model_as is \"{}\"", s.save_model_as),
                   "safetensors, ckpt or pt");
        }
        if (s.output_dir.empty()) refuse("output_dir", "no output folder is given");
        if (s.output_name.find_first_of("/\\") != std::string::npos) {
            refuse("output_name",
                   "output_name is a name, not a path",
                   "use --output_dir for the folder");
        }
        for (const auto& [name, value] :
             {std::pair{"save_every_n_epochs", s.save_every_n_epochs},
              {"save_every_n_steps", s.save_every_n_steps},
              {"save_state_every_n_steps", s.save_state_every_n_steps}}) {
            at_least(name, value, 0);
        }
    }

    const TrainOptions& o_;
    Diagnostics found_;
};

}  // namespace

Diagnostics check_options(const TrainOptions& options) { return Checker(options).run(); }

Diagnostics check_prediction_options(const LossOptions& loss, bool v_prediction) {
    Diagnostics found;
    if (loss.weight.scale_v_pred_loss_like_noise_pred && !v_prediction) {
        found.push_back({Severity::kError,
                         "scale_v_pred_loss_like_noise_pred",
                         "scale_v_pred_loss_like_noise_pred is for v-prediction",
                         "add --v_parameterization, or leave it out"});
    }
    if (loss.weight.v_pred_like_loss != 0 && v_prediction) {
        found.push_back({Severity::kError,
                         "v_pred_like_loss",
                         "v_pred_like_loss is for noise prediction",
                         "leave it out for a model that predicts v"});
    }
    if (loss.zero_terminal_snr && !v_prediction) {
        found.push_back({Severity::kWarning,
                         "zero_terminal_snr",
                         "zero_terminal_snr hides the picture at the last timestep: a model that "
                         "predicts noise learns nothing there",
                         "use it with v-prediction models"});
    }
    return found;
}

}  // namespace lora::train

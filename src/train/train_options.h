// Everything that one training run can be told, under kohya's option names. Values are final here:
// presets, files and flags were merged by config/. The pieces that belong to the data set keep the
// structs of their owner.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "data/bucket.h"
#include "data/caption.h"
#include "data/dataset.h"
#include "diffusion/loss_weight.h"
#include "diffusion/sampler.h"
#include "diffusion/training_noise.h"

namespace lora::train {

struct ModelOptions {
    std::string pretrained_model_name_or_path;  // single-file model, safetensors
    std::string vae;                            // another file's VAE; empty: the model's own
    bool v2 = false;  // the model must be Stable Diffusion 2.x; its shapes tell what it is
    // The model predicts v instead of noise; none: as its file says. Always set once a run is open.
    std::optional<bool> v_parameterization;
    int64_t clip_skip = 0;           // layer from the end; 0 and 1: the last one
    bool clip_skip_given = true;     // SD 2.x does not take a preset's
    int64_t max_token_length = 75;   // 75, 150 or 225
    bool weighted_captions = false;  // (word:1.2) in captions weighs the word's states
};

struct LatentOptions {
    int64_t train_batch_size = 1;  // pictures a micro-step
    bool flip_aug = false;         // mirror with probability one half
    bool random_crop = false;      // these three need cache_latents off: each draw of a
    bool color_aug = false;        // picture is encoded when it is trained
    std::optional<data::FaceCropRange> face_crop_aug_range;
    bool cache_latents = true;              // off: the VAE's posterior is drawn anew every time
    bool cache_latents_to_disk = false;     // keep encoded pictures for the next run
    std::string cache_dir;                  // where; empty: "cache" beside the output folder
    int64_t vae_batch_size = 1;             // pictures of one bucket encoded together
    bool apply_exif = true;                 // rotate pictures as a viewer does; kohya: false
    bool alpha_on_white = true;             // lay transparency on white; kohya: drop alpha (false)
    int64_t max_data_loader_n_workers = 0;  // threads that decode pictures; 0: all the machine has

    [[nodiscard]] data::AugmentOptions augment() const {
        return {flip_aug, color_aug, random_crop, face_crop_aug_range};
    }
};

struct NetworkOptions {
    std::string network_module = "networks.lora";
    int64_t network_dim = 4;        // rank
    double network_alpha = 1;       // 0: the rank
    bool network_dim_given = true;  // metadata tells defaults from given values apart
    bool network_alpha_given = true;
    std::vector<std::pair<std::string, std::string>> network_args;  // as given; network_args.h
    std::string network_weights;                                    // start from this LoRA file
    bool dim_from_weights = false;  // ranks and alphas as in that file
    bool network_train_unet_only = false;
    bool network_train_text_encoder_only = false;
    int64_t stop_text_encoder_training = 0;  // after so many epochs; 0: trained to the end
    int64_t stop_unet_training = 0;
    double network_dropout = 0;                   // of the rank's activations
    double scale_weight_norms = 0;                // limit of each weight change's norm; 0: none
    std::vector<std::string> base_weights;        // LoRA files merged into the model first
    std::vector<double> base_weights_multiplier;  // of each of them; missing ones: 1
    [[nodiscard]] double base_multiplier(size_t i) const {
        return i < base_weights_multiplier.size() ? base_weights_multiplier[i] : 1.0;
    }
};

struct OptimizerOptions {
    std::string optimizer_type = "AdamW";
    // kohya's key=value pairs; which ones, the type decides (optimizer_spec.h).
    std::vector<std::pair<std::string, std::string>> optimizer_args;
    double learning_rate = 2e-6;
    std::optional<double> unet_lr;          // none: learning_rate; 0: the part is left untrained
    std::optional<double> text_encoder_lr;  // none: learning_rate; 0: the part is left untrained
    double max_grad_norm = 1.0;             // 0: no clipping
    std::string lr_scheduler = "constant";
    double lr_warmup_steps = 0;  // below 1: share of all steps ("10%" is 0.1)
    int64_t lr_scheduler_num_cycles = 1;
    double lr_scheduler_power = 1;
    std::optional<double> lr_scheduler_timescale;     // inverse_sqrt
    std::optional<double> lr_scheduler_min_lr_ratio;  // cosine_with_min_lr, warmup_stable_decay
    double lr_decay_steps = 0;                        // warmup_stable_decay; below 1: share
    // kohya's key=value pairs; step_rules of piecewise_constant.
    std::vector<std::pair<std::string, std::string>> lr_scheduler_args;
    std::string ema = "off";   // average of the network: extra (a file beside it), instead
    double ema_decay = 0.999;  // how much of the average stays at each update
};

struct LossOptions {
    diffusion::LossWeightOptions weight;
    diffusion::TrainingNoiseOptions noise;
    bool zero_terminal_snr = false;
    int64_t min_timestep = 0;
    int64_t max_timestep = 1000;   // exclusive
    std::string loss_type = "l2";  // l1, huber, smooth_l1
    std::string huber_schedule = "snr";
    double huber_c = 0.1;
    double huber_scale = 1;
    bool masked_loss = false;   // by the pictures of dataset.mask.conditioning_data_dir
    bool alpha_mask = false;    // by the pictures' transparency
    bool folder_masks = false;  // some described folder has masks of its own
    [[nodiscard]] bool has_mask() const { return masked_loss || alpha_mask || folder_masks; }
};

struct LengthOptions {
    int64_t max_train_steps = 1600;
    int64_t max_train_epochs = 0;  // above 0: wins over max_train_steps
    int64_t gradient_accumulation_steps = 1;
};

struct DeviceOptions {
    std::string mixed_precision = "bf16";  // auto (what the device likes), no, bf16 or fp16
    std::string base_quant = "none";       // int8: frozen matrices and filters in 8 bits
    bool gradient_checkpointing = false;   // recompute activations wherever it saves memory
    uint64_t max_memory_bytes = 0;         // limit of the planned peak; 0: none
    int num_threads = 0;                   // 0: all the machine has
};

struct SaveOptions {
    std::string output_dir = "./output";
    std::string output_name;                    // empty: "last", "epoch", "at" as kohya does
    std::string save_precision = "fp16";        // fp16, bf16, float, or empty: float
    std::string save_model_as = "safetensors";  // or "ckpt", "pt"
    int64_t save_every_n_epochs = 0;            // 0: only at the end
    int64_t save_every_n_steps = 0;
    int64_t save_n_epoch_ratio = 0;  // above 0: at least this many files over the run
    int64_t save_last_n_epochs = 0;  // delete older files; 0: keep all
    int64_t save_last_n_steps = 0;
    bool save_state = false;               // train state beside every saved file, and at the end
    bool save_state_on_train_end = false;  // train state at the end only
    int64_t save_last_n_epochs_state = 0;  // 0: as for the files
    int64_t save_last_n_steps_state = 0;
    int64_t save_state_every_n_steps = 0;  // rolling crash-safe state; 0: off
    std::string resume;  // a state folder, or "auto": the newest whole one, if any
    bool no_metadata = false;
    std::string training_comment;
    std::string metadata_title;
    std::string metadata_author;
    std::string metadata_description;
    std::string metadata_license;
    std::string metadata_tags;
};

struct SamplePrompt {
    std::string prompt;
    std::string negative_prompt;
    int64_t width_px = 0;  // 0: the model's native size; rounded down to multiples of 8
    int64_t height_px = 0;
    int64_t num_steps = 30;
    double cfg_scale = 7.5;
    std::optional<uint64_t> seed;
    std::optional<diffusion::SamplerKind> sampler;  // none: the run's
};

struct SampleOptions {
    std::vector<SamplePrompt> prompts;  // empty: no previews
    int64_t every_n_epochs = 0;         // above 0: wins over every_n_steps
    int64_t every_n_steps = 0;
    bool at_first = false;
    diffusion::SamplerKind sampler = diffusion::SamplerKind::kDdim;
};

// What is measured while training.
struct MonitorOptions {
    // Steps between two probe losses; none: chosen from measured costs; 0: no probe.
    std::optional<int64_t> probe_every_n_steps = {};
    double validation_split = 0;  // share of each folder's pictures that is set aside; 0: none
    std::optional<uint64_t> validation_seed = {};  // which pictures and noise; none: the run's seed
    int64_t validate_every_n_epochs = 1;
    int64_t validate_every_n_steps = 0;  // 0: at the ends of epochs only
    int64_t max_validation_steps = 0;    // batches; 0: all
    bool asks_every_bucket = false;      // not the three fullest alone, for tag_check.h
};

struct LogOptions {
    std::string logging_dir;  // events go to <logging_dir>/<run>/events.jsonl; empty: none
    std::string log_prefix;   // in front of the run's time stamp
};

struct TrainOptions {
    ModelOptions model;
    data::DatasetOptions dataset;
    data::BucketOptions bucket;
    data::CaptionOptions caption;
    LatentOptions latents;
    NetworkOptions network;
    OptimizerOptions optimizer;
    LossOptions loss;
    SampleOptions sample;
    LengthOptions length;
    DeviceOptions device;
    SaveOptions save;
    MonitorOptions monitor;
    LogOptions log;
    std::optional<uint64_t> seed;  // none: a random one, which is printed and kept in the state
};

}  // namespace lora::train

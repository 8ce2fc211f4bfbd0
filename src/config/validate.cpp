#include "config/validate.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "base/words.h"
#include "config/internal/derive.h"
#include "train/training_run.h"

namespace lora::config {
namespace {

using data::ImageSize;

class Judge {
public:
    explicit Judge(const Settings& settings) : settings_(settings) {}

    void error(std::string_view option, std::string text, std::string hint = {}) {
        add(Severity::kError, option, std::move(text), std::move(hint));
    }
    void warning(std::string_view option, std::string text, std::string hint = {}) {
        add(Severity::kWarning, option, std::move(text), std::move(hint));
    }

    void require(std::string_view option, std::string hint) {
        if (settings_.text(option).empty()) {
            error(option, fmt::format("{} is missing", option), std::move(hint));
        }
    }

    void check_resolution() {
        const std::string text = settings_.text("resolution");
        if (text.empty()) return;
        const auto size = parse_resolution(text);
        if (!size) {
            error("resolution",
                  fmt::format("\"{}\" is no size", text),
                  "write 512, or width and height: 512,768");
            return;
        }
        for (const int64_t side : {size->width_px, size->height_px}) {
            if (side >= 64 && side % 64 == 0) continue;
            const int64_t below = std::max<int64_t>(64, side / 64 * 64);
            error("resolution",
                  fmt::format("{} is not a multiple of 64", side),
                  fmt::format("take {} or {}", below, below + 64));
            return;
        }
    }

    void check_buckets() {
        if (!settings_.flag("enable_bucket") || settings_.flag("bucket_no_upscale")) return;
        const int64_t low = settings_.integer("min_bucket_reso");
        const int64_t high = settings_.integer("max_bucket_reso");
        const int64_t step = settings_.integer("bucket_reso_steps");
        for (const auto* name : {"min_bucket_reso", "max_bucket_reso"}) {
            if (settings_.integer(name) % 64 != 0) {
                error(name, fmt::format("{} is not a multiple of 64", settings_.integer(name)));
            }
        }
        if (step % 8 != 0)
            error("bucket_reso_steps", fmt::format("{} is not a multiple of 8", step));
        if (low > high) {
            error("min_bucket_reso",
                  fmt::format("min_bucket_reso {} is above max_bucket_reso {}", low, high));
        }
        const auto size = parse_resolution(settings_.text("resolution"));
        if (!size || low > high) return;
        if (std::min(size->width_px, size->height_px) < low) {
            error("resolution",
                  fmt::format("{} lies below min_bucket_reso {}", data::to_string(*size), low),
                  "lower min_bucket_reso");
        }
        if (std::max(size->width_px, size->height_px) > high) {
            error("resolution",
                  fmt::format("{} lies above max_bucket_reso {}", data::to_string(*size), high),
                  "raise max_bucket_reso");
        }
    }

    void check_schedule() {
        const std::string schedule = settings_.text("lr_scheduler");
        const double warmup = settings_.number("lr_warmup_steps");
        if (schedule == "constant" && warmup > 0) {
            error("lr_warmup_steps",
                  "lr_scheduler constant has no warm-up",
                  "take constant_with_warmup, or lr_warmup_steps 0");
        }
        if (schedule == "constant_with_warmup" && warmup == 0) {
            warning("lr_scheduler", "constant_with_warmup with lr_warmup_steps 0 is constant");
        }
        if (schedule == "polynomial" && settings_.number("learning_rate") <= 1e-7) {
            error("learning_rate", "polynomial needs a learning_rate above 1e-7, where it ends");
        }
        if (schedule != "cosine_with_restarts" && schedule != "cosine_with_min_lr" &&
            settings_.given("lr_scheduler_num_cycles") &&
            settings_.integer("lr_scheduler_num_cycles") != 1) {
            warning("lr_scheduler_num_cycles",
                    fmt::format("{} has no restarts; this is not used", schedule));
        }
    }

    void check_masks_and_multipliers() {
        if (!settings_.text("conditioning_data_dir").empty() && !settings_.flag("masked_loss")) {
            warning("conditioning_data_dir",
                    "masks are not used without masked_loss",
                    "add --masked_loss");
        }
        for (const std::string& word : settings_.list("base_weights_multiplier")) {
            if (parse_number<double>(word)) continue;
            error("base_weights_multiplier", fmt::format("\"{}\" is no number", word));
        }
    }

    void check_network() {
        if (settings_.flag("network_train_unet_only") &&
            settings_.flag("network_train_text_encoder_only")) {
            error("network_train_unet_only",
                  "network_train_unet_only and network_train_text_encoder_only exclude each other");
        }
        if (settings_.flag("dim_from_weights") && settings_.text("network_weights").empty()) {
            error("dim_from_weights", "network_weights names the file to take dims from");
        }
        const double alpha = settings_.number("network_alpha");
        const auto rank = static_cast<double>(settings_.integer("network_dim"));
        if (alpha > rank) {
            warning("network_alpha",
                    fmt::format("network_alpha {} is above network_dim {}", alpha, rank),
                    "alpha equal to dim or smaller is usual; it multiplies the learning rate");
        }
        advise_on_network(rank, alpha);
        for (const auto* option : {"optimizer_args", "network_args", "lr_scheduler_args"}) {
            for (const std::string& argument : settings_.list(option)) {
                if (argument.find('=') == std::string::npos || argument.starts_with('=')) {
                    error(option, fmt::format("\"{}\" is not of the form name=value", argument));
                }
            }
        }
    }

    // What the guide advises (requirements M101, M102, M140 to M142).
    void advise_on_network(double rank, double alpha) {
        const std::string algo = network_algo(settings_);
        if (algo == "lora" && rank >= 128) {
            note("network_dim",
                 fmt::format("network_dim {} is large", rank),
                 "32 is enough for most subjects; a larger file is not a better one");
        }
        if (alpha != 0 && alpha <= rank && (alpha < rank / 4 || alpha > rank / 2)) {
            note("network_alpha",
                 fmt::format(
                     "network_alpha {} is not a quarter to a half of network_dim {}", alpha, rank),
                 fmt::format("{} to {} is usual", rank / 4, rank / 2));
        }
        if (algo == "lora") return;
        note("network_args",
             fmt::format(
                 "{} is for styles rather than characters: more time, a bigger file, details "
                 "learnt unevenly",
                 algo),
             "");
        if (algo == "loha" && rank > 8) {
            note("network_dim",
                 fmt::format("a LoHa of dim {} has the rank of a LoCon of {} and overfits easily",
                             rank,
                             rank * rank),
                 fmt::format("take the square root of a LoCon's dim: {} for {}",
                             std::round(std::sqrt(rank)),
                             rank));
        }
    }

    void check_optimizer() {
        const bool eight_bit = settings_.flag("use_8bit_adam");
        const bool lion = settings_.flag("use_lion_optimizer");
        if (eight_bit && lion) {
            error("use_8bit_adam", "use_8bit_adam and use_lion_optimizer exclude each other");
        }
        if ((eight_bit || lion) && settings_.given("optimizer_type")) {
            error(eight_bit ? "use_8bit_adam" : "use_lion_optimizer",
                  "optimizer_type names the optimizer already",
                  "leave one of them out");
        }
        const auto spec = known_optimizer(settings_);
        if (spec && spec->adapts_rate() && settings_.number("learning_rate") <= 0.1) {
            warning("learning_rate",
                    fmt::format("{} finds the learning rate itself; {} makes it much smaller",
                                settings_.text("optimizer_type"),
                                settings_.number("learning_rate")),
                    "1 is usual");
        }
        if (spec && spec->name.starts_with("DAdapt") && settings_.number("min_snr_gamma") > 0) {
            warning("min_snr_gamma",
                    fmt::format("min_snr_gamma and {} do not go together: weights that differ from "
                                "step to step mislead what it finds of the learning rate",
                                settings_.text("optimizer_type")),
                    "leave min_snr_gamma out, or take another optimizer");
        }
    }

    void check_faces() {
        if (!settings_.has("face_crop_aug_range")) return;
        const std::string text = settings_.text("face_crop_aug_range");
        if (parse_face_range(text)) return;
        error(
            "face_crop_aug_range", fmt::format("\"{}\" are no two numbers", text), "write 2.0,4.0");
    }

    void check_rest() {
        if (settings_.given("max_train_epochs") && settings_.given("max_train_steps")) {
            warning("max_train_steps", "max_train_epochs wins; max_train_steps is not used");
        }
        if (settings_.flag("random_seed") && settings_.given("seed")) {
            error("random_seed", "random_seed draws a seed; seed names one");
        }
        if (settings_.integer("min_timestep") >= settings_.integer("max_timestep")) {
            error("min_timestep", "min_timestep must lie below max_timestep");
        }
        if (settings_.has("max_memory") && !parse_bytes(settings_.text("max_memory"))) {
            error("max_memory",
                  fmt::format("\"{}\" is no amount of memory", settings_.text("max_memory")),
                  "write 3G or 800M");
        }
        const std::string name = settings_.text("output_name");
        if (name.find_first_of("/\\:*?\"<>|") != std::string::npos) {
            error("output_name",
                  fmt::format("\"{}\" holds a character that file names cannot have", name),
                  "the folder goes into output_dir");
        }
    }

    void note(std::string_view option, std::string text, std::string hint) {
        add(Severity::kNote, option, std::move(text), std::move(hint));
    }

    [[nodiscard]] Diagnostics take() { return std::move(findings_); }

private:
    void add(Severity severity, std::string_view option, std::string text, std::string hint) {
        findings_.push_back({severity, settings_.place(option), std::move(text), std::move(hint)});
    }

    const Settings& settings_;
    Diagnostics findings_;
};

}  // namespace

std::optional<ImageSize> parse_resolution(std::string_view text) {
    std::vector<int64_t> sides;
    for (const std::string_view word : split_words(text, ',')) {
        const auto side = parse_int(trimmed(word, " "));
        if (!side || *side < 1 || *side > 65536) return std::nullopt;
        sides.push_back(*side);
    }
    if (sides.size() == 1) sides.push_back(sides.front());
    if (sides.size() != 2) return std::nullopt;
    return ImageSize{sides[0], sides[1]};
}

Diagnostics validate_train(const Settings& settings) {
    Judge judge(settings);
    judge.require("pretrained_model_name_or_path", "name the base model's .safetensors file");
    if (settings.text("dataset_config").empty()) {
        judge.require("train_data_dir", "name the folder that holds the REPEATS_NAME folders");
    }
    judge.require("resolution", "write 512, or width and height: 512,768");
    judge.check_resolution();
    judge.check_buckets();
    judge.check_schedule();
    judge.check_network();
    judge.check_masks_and_multipliers();
    judge.check_optimizer();
    judge.check_faces();
    judge.check_rest();
    Diagnostics findings = judge.take();
    if (has_errors(findings)) return findings;
    for (Diagnostic& finding : train::check_options(train_options(settings))) {
        findings.push_back(std::move(finding));
    }
    return findings;
}

}  // namespace lora::config

// What kohya_ss saves: the fields of its page, from which it makes the command line of sd-scripts.
// Source  kohya_gui/lora_gui.py and common_gui.py (which field becomes which argument).
#include <algorithm>
#include <cmath>
#include <iterator>

#include <fmt/format.h>

#include "base/error.h"
#include "base/words.h"
#include "config/internal/foreign.h"

namespace lora::config {
namespace {

struct Rename {
    std::string_view key;
    std::string_view option;
};
constexpr Rename kRenames[] = {{"optimizer", "optimizer_type"},
                               {"max_resolution", "resolution"},
                               {"lora_network_weights", "network_weights"}};

// Fields that need a function, and those that say nothing to a training run.
constexpr std::string_view kOthers[] = {"LoRA_type",
                                        "LyCORIS_preset",
                                        "epoch",
                                        "max_train_epochs",
                                        "max_train_steps",
                                        "lr_warmup",
                                        "noise_offset_type",
                                        "additional_parameters",
                                        "optimizer_args",
                                        "lr_scheduler_args",
                                        "sample_prompts",
                                        "stop_text_encoder_training",
                                        "stop_text_encoder_training_pct",
                                        "xformers",
                                        "use_wandb",
                                        "sdxl",
                                        "network_args",
                                        "model_list",
                                        "num_machines",
                                        "num_processes",
                                        "num_cpu_threads_per_process",
                                        "multi_gpu",
                                        "gpu_ids",
                                        "main_process_port",
                                        "dynamo_mode",
                                        "sdxl_cache_text_encoder_outputs",
                                        "sdxl_no_half_vae",
                                        "save_as",
                                        "file_path",
                                        "headless",
                                        "print_only",
                                        "extra_accelerate_launch_args",
                                        "unit",
                                        "factor",
                                        "conv_dim",
                                        "conv_alpha",
                                        "constrain",
                                        "rescaled",
                                        "train_on_input",
                                        "bypass_mode",
                                        "dora_wd",
                                        "use_cp",
                                        "use_tucker",
                                        "use_scalar",
                                        "decompose_both",
                                        "rank_dropout",
                                        "module_dropout",
                                        "rank_dropout_scale",
                                        "train_norm"};

// Fields of the blocks of networks.lora, which are its arguments.
constexpr const char* kBlockKeys[] = {"down_lr_weight",
                                      "mid_lr_weight",
                                      "up_lr_weight",
                                      "block_lr_zero_threshold",
                                      "block_dims",
                                      "block_alphas",
                                      "conv_block_dims",
                                      "conv_block_alphas"};

struct TypeRow {
    std::string_view type;
    std::string_view algo;  // of lycoris.kohya; empty: networks.lora
};
constexpr TypeRow kTypes[] = {{"Standard", ""},
                              {"Kohya LoCon", ""},
                              {"LoCon", "locon"},
                              {"LyCORIS/LoCon", "locon"},
                              {"LyCORIS/LoHa", "loha"},
                              {"LyCORIS/LoKr", "lokr"},
                              {"LyCORIS/iA3", "ia3"}};

template <typename List>
bool is_in(const List& list, const std::string& key) {
    return std::find(std::begin(list), std::end(list), key) != std::end(list);
}

class KohyaReader {
public:
    KohyaReader(const Json& json, ForeignSink& sink) : json_(json), sink_(sink) {}

    void run() {
        for (const auto& [key, value] : json_.items()) {
            if (is_in(kOthers, key) || is_in(kBlockKeys, key)) continue;
            set(key, text_of(value));
        }
        set_network();
        set_length();
        set_noise();
        set_lists();
        set_parts();
        name_the_rest();
    }

private:
    [[nodiscard]] static std::string text_of(const Json& value) {
        if (value.is_string()) return value.get<std::string>();
        if (value.is_boolean()) return value.get<bool>() ? "true" : "false";
        if (value.is_number_integer()) return fmt::format("{}", value.get<int64_t>());
        if (value.is_number()) return fmt::format("{}", value.get<double>());
        return {};
    }
    [[nodiscard]] std::string text(const char* key) const {
        const auto found = json_.find(key);
        return found == json_.end() ? std::string() : std::string(trimmed(text_of(*found)));
    }
    [[nodiscard]] bool on(const char* key) const { return !says_nothing(text(key)); }
    [[nodiscard]] double number(const char* key) const {
        return parse_float(text(key)).value_or(0);
    }

    void set(std::string_view key, const std::string& word) {
        std::string_view option = key;
        for (const Rename& row : kRenames) {
            if (row.key == key) option = row.option;
        }
        const OptionRow* row = find_option(Command::kTrain, option);
        if (row == nullptr && says_nothing(word)) return;
        if ((key == "unet_lr" || key == "text_encoder_lr") && says_nothing(word)) return;
        // The page writes 7.0 where 7 is meant.
        std::string value(trimmed(word));
        if (row != nullptr && row->type == OptionType::kInt) {
            const auto float_value = parse_float(value);
            if (float_value && *float_value == std::floor(*float_value) &&
                std::abs(*float_value) < 1e15) {
                value = fmt::format("{:.0f}", *float_value);
            }
        }
        sink_.set(option, value, 0);
    }

    void set_network() {
        const std::string type = on("LoRA_type") ? text("LoRA_type") : "Standard";
        const auto* row = std::find_if(
            std::begin(kTypes), std::end(kTypes), [&](const auto& r) { return r.type == type; });
        if (row == std::end(kTypes)) {
            sink_.warn("LoRA_type",
                       0,
                       fmt::format("\"{}\" is not there; a plain LoRA is trained instead", type));
            row = std::begin(kTypes);
        }
        std::vector<std::string> args;
        const auto add = [&](const char* key, const char* name) {
            if (on(key)) args.push_back(fmt::format("{}={}", name, text(key)));
        };
        const bool lycoris = !row->algo.empty();
        sink_.set("network_module", lycoris ? "lycoris.kohya" : "networks.lora", 0);
        if (lycoris) {
            args.push_back(fmt::format("algo={}", row->algo));
            add("LyCORIS_preset", "preset");
            for (const auto* key : {"use_tucker",
                                    "use_scalar",
                                    "train_norm",
                                    "bypass_mode",
                                    "dora_wd",
                                    "rank_dropout_scale"}) {
                add(key, key);
            }
            if (row->algo == "lokr") {
                if (number("factor") > 0) add("factor", "factor");
                add("decompose_both", "decompose_both");
            }
            if (row->algo == "lokr" || !on("use_tucker")) add("use_cp", "use_tucker");
        } else {
            for (const char* key : kBlockKeys) {
                add(key, key);
            }
        }
        if (type != "Standard") {
            add("conv_dim", "conv_dim");
            add("conv_alpha", "conv_alpha");
        }
        for (const auto* key : {"rank_dropout", "module_dropout"}) add(key, key);
        sink_.set("network_args", std::move(args), 0);
    }

    // The page counts steps from `epoch`; its warm-up is a percentage of them.
    void set_length() {
        if (on("max_train_epochs")) {
            set("max_train_epochs", text("max_train_epochs"));
        } else if (on("max_train_steps")) {
            set("max_train_steps", text("max_train_steps"));
        } else if (on("epoch")) {
            set("max_train_epochs", text("epoch"));
        }
        const double percent = number("lr_warmup");
        if (percent > 0) {
            sink_.set("lr_warmup_steps", fmt::format("{}", std::min(percent / 100, 0.999)), 0);
        }
    }

    // One of the two is passed on, as the type says; the adaptive scale goes with the offset.
    void set_noise() {
        const bool multires = text("noise_offset_type") == "Multires";
        const char* unused = multires ? "noise_offset" : "multires_noise_iterations";
        if (on("noise_offset_type") && on(unused)) sink_.set(unused, "0", 0);
        if (says_nothing(sink_.text("noise_offset")) && on("adaptive_noise_scale")) {
            sink_.set("adaptive_noise_scale", "0", 0);
        }
    }

    void set_lists() {
        sink_.set("optimizer_args", split_quoted(text("optimizer_args")), 0);
        sink_.set("lr_scheduler_args", split_quoted(text("lr_scheduler_args")), 0);
        if (on("additional_parameters")) {
            const TrainingCommand more = find_training_command(text("additional_parameters"), {});
            for (const CommandOption& option : split_options(more.words)) {
                set_option(option, sink_);
            }
        }
    }

    // A rate of 0 leaves a part out.
    void set_parts() {
        const bool text_encoder = number("text_encoder_lr") != 0;
        const bool unet = number("unet_lr") != 0;
        if (text_encoder != unet) {
            sink_.set_flag("network_train_unet_only", unet, 0);
            sink_.set_flag("network_train_text_encoder_only", text_encoder, 0);
        }
    }

    void name_the_rest() {
        if (on("sdxl")) sink_.warn("sdxl", 0, "Stable Diffusion XL is not there");
        if (on("use_wandb")) sink_.warn("use_wandb", 0, "no outside service is told of the run");
        if (on("multi_gpu")) sink_.warn("multi_gpu", 0, "one device trains here");
        if (number("sample_every_n_epochs") > 0 || number("sample_every_n_steps") > 0) {
            if (on("sample_prompts")) {
                sink_.warn("sample_prompts",
                           0,
                           "the prompts stand in the settings themselves; no previews are drawn",
                           "save them as a text file and name it with --sample_prompts");
            }
        }
    }

    const Json& json_;
    ForeignSink& sink_;
};

}  // namespace

void read_kohya_json(const Json& json, ForeignSink& sink) {
    if (!json.is_object() || json.empty()) {
        throw Error(ErrorCode::kFormat, "this JSON is no object of settings");
    }
    KohyaReader(json, sink).run();
}

}  // namespace lora::config

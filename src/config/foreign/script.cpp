// train.ps1 and train.sh: the variables on top, the command line at the end, and between them what
// the scripts make of the variables, which is known here and not run.
#include <algorithm>
#include <array>
#include <set>

#include <fmt/format.h>

#include "base/words.h"
#include "config/internal/foreign.h"

namespace lora::config {
namespace {

enum class Use : uint8_t {
    kValue,
    kFlag,
    kUnlessZero,  // 0 means absent
};

struct VariableRow {
    std::string_view variable;
    std::string_view option;
    Use use = Use::kValue;
};

// clang-format off
constexpr VariableRow kRows[] = {
    {"pretrained_model", "pretrained_model_name_or_path"},
    {"train_data_dir", "train_data_dir"},
    {"reg_data_dir", "reg_data_dir"},
    {"output_name", "output_name"},
    {"save_model_as", "save_model_as"},
    {"resolution", "resolution"},
    {"batch_size", "train_batch_size"},
    {"max_train_epoches", "max_train_epochs", Use::kUnlessZero},
    {"max_train_epochs", "max_train_epochs", Use::kUnlessZero},
    {"max_train_steps", "max_train_steps", Use::kUnlessZero},
    {"save_every_n_epochs", "save_every_n_epochs", Use::kUnlessZero},
    {"network_module", "network_module"},
    {"network_weights", "network_weights"},
    {"network_dim", "network_dim"},
    {"network_alpha", "network_alpha"},
    {"clip_skip", "clip_skip"},
    {"keep_tokens", "keep_tokens"},
    {"mixed_precision", "mixed_precision"},
    {"is_v2_model", "v2", Use::kFlag},
    {"parameterization", "v_parameterization", Use::kFlag},
    {"train_unet_only", "network_train_unet_only", Use::kFlag},
    {"train_text_encoder_only", "network_train_text_encoder_only", Use::kFlag},
    {"stop_text_encoder_training", "stop_text_encoder_training", Use::kUnlessZero},
    {"noise_offset", "noise_offset"},
    {"min_snr_gamma", "min_snr_gamma"},
    {"flip_aug", "flip_aug", Use::kFlag},
    {"seed", "seed"},
    {"random_seed", "random_seed", Use::kFlag},
    {"lr", "learning_rate"},
    {"unet_lr", "unet_lr"},
    {"text_encoder_lr", "text_encoder_lr"},
    {"lr_scheduler", "lr_scheduler"},
    {"lr_warmup_steps", "lr_warmup_steps"},
    {"lr_restart_cycles", "lr_scheduler_num_cycles"},
    {"min_bucket_reso", "min_bucket_reso"},
    {"max_bucket_reso", "max_bucket_reso"},
    {"persistent_data_loader_workers", "persistent_data_loader_workers", Use::kFlag},
    {"optimizer_type", "optimizer_type"},
    {"save_state", "save_state", Use::kFlag},
    {"resume", "resume"},
    {"lowram", "lowram", Use::kFlag},
    {"debug_dataset", "debug_dataset", Use::kFlag},
    {"sampler", "sample_sampler"},
};
// clang-format on

// Read by the functions below, or of no concern.
constexpr std::string_view kOthers[] = {"block_weight_lr",
                                        "down_lr_weight",
                                        "mid_lr_weight",
                                        "up_lr_weight",
                                        "block_weight_dim",
                                        "block_dims",
                                        "block_alphas",
                                        "enable_lycoris_train",
                                        "algo",
                                        "conv_dim",
                                        "conv_alpha",
                                        "dropout",
                                        "log_as_outputname",
                                        "output_sample",
                                        "prompt_file",
                                        "sample_every_n_epochs",
                                        "ext_args",
                                        "extargs",
                                        "launch_args",
                                        "launchargs",
                                        "wandb_api_key",
                                        "log_tracker_name",
                                        "trainer_file"};

bool is_on(std::string_view text) { return !says_nothing(text); }

// `{` minus `}` outside texts and remarks.
int braces_of(std::string_view line) {
    int depth = 0;
    char quote = '\0';
    for (const char c : line) {
        if (quote != '\0') {
            if (c == quote) quote = '\0';
        } else if (c == '"' || c == '\'') {
            quote = c;
        } else if (c == '#') {
            break;
        } else {
            depth += c == '{' ? 1 : (c == '}' ? -1 : 0);
        }
    }
    return depth;
}

// How much deeper a line of a shell script leads.
int shell_depth_of(std::string_view line) {
    int depth = 0;
    for (const std::string_view word : split(line, ' ')) {
        const std::string_view w = trimmed(word, " \t;");
        if (w.starts_with('#')) break;
        depth += w == "if" || w == "do" || w == "case" ? 1 : 0;
        depth -= w == "fi" || w == "done" || w == "esac" ? 1 : 0;
    }
    return depth;
}

class ScriptReader {
public:
    ScriptReader(std::string_view text, ForeignKind kind, ForeignSink& sink)
        : text_(text), powershell_(kind == ForeignKind::kPowerShell), sink_(sink) {}

    void run() {
        read_variables();
        apply_rows();
        apply_optimizer();
        apply_network();
        apply_previews();
        apply_command();
        apply_rest();
        name_unknown();
    }

private:
    void read_variables() {
        int64_t line_number = 0;
        int depth = 0;
        for (const std::string_view raw : split(text_, '\n')) {
            ++line_number;
            const std::string_view line = trimmed(raw);
            if (line.find("DO NOT MODIFY") != std::string_view::npos) below_ = true;
            if (depth == 0) {
                powershell_ ? powershell_line(line, line_number) : shell_line(line, line_number);
            }
            depth = std::max(0, depth + (powershell_ ? braces_of(line) : shell_depth_of(line)));
        }
    }

    void powershell_line(std::string_view line, int64_t number) {
        if (!line.starts_with('$')) return;
        const size_t equals = line.find('=');
        if (equals == std::string_view::npos) return;
        const std::string_view name = trimmed(line.substr(1, equals - 1));
        if (name.empty() || name.find_first_of(" :.[($") != std::string_view::npos) return;
        keep(name, evaluate_powershell(line.substr(equals + 1), variables_), number);
    }

    void shell_line(std::string_view line, int64_t number) {
        if (line.starts_with("export ")) return;
        const size_t equals = line.find('=');
        const size_t blank = line.find_first_of(" \t\"'$+#-");
        if (equals == std::string_view::npos || equals == 0 || blank < equals) return;
        const std::string_view value = line.substr(equals + 1);
        if (value.starts_with('(')) return;  // a list of arguments
        std::vector<CommandWord> words =
            find_training_command(fmt::format("=\"\"{}", value), variables_).words;
        if (words.empty()) return;
        const CommandWord& first = words.front();
        // Behind a program's name the words are its arguments.
        const bool computed =
            first.is_open || value.starts_with('`') || !first.text.starts_with('=');
        keep(line.substr(0, equals),
             computed ? std::nullopt : std::optional(first.text.substr(1)),
             number);
    }

    void keep(std::string_view name, const std::optional<std::string>& value, int64_t line) {
        const std::string key = lower_ascii(name);
        if (value) {
            variables_[key] = {*value, line};
        } else if (!below_ && !is_known(key)) {
            sink_.warn(name, line, "the script works this value out; it is left out");
        } else if (!below_) {
            sink_.warn(name,
                       line,
                       "this value is written in a way that is not read here",
                       "give it on the command line");
        }
    }

    [[nodiscard]] static bool is_known(std::string_view name) {
        const auto named = [&](const VariableRow& row) { return row.variable == name; };
        return std::any_of(std::begin(kRows), std::end(kRows), named) ||
               std::find(std::begin(kOthers), std::end(kOthers), name) != std::end(kOthers);
    }

    [[nodiscard]] std::string text(std::string_view name) const {
        const auto found = variables_.find(name);
        return found == variables_.end() ? std::string() : found->second.text;
    }
    [[nodiscard]] int64_t line(std::string_view name) const {
        const auto found = variables_.find(name);
        return found == variables_.end() ? 0 : found->second.line;
    }
    [[nodiscard]] bool has(std::string_view name) const { return variables_.contains(name); }
    [[nodiscard]] bool on(std::string_view name) const { return is_on(text(name)); }

    void apply_rows() {
        for (const VariableRow& row : kRows) {
            if (!has(row.variable)) continue;
            const std::string value = text(row.variable);
            if (row.use == Use::kFlag) {
                sink_.set_flag(row.option, is_on(value), line(row.variable));
            } else if (row.use == Use::kValue || is_on(value)) {
                sink_.set(row.option, value, line(row.variable));
            }
        }
    }

    // The scripts force these for DAdaptAdam, whatever stands in the variables (M60).
    void apply_optimizer() {
        const std::string type = lower_ascii(text("optimizer_type"));
        const int64_t at = line("optimizer_type");
        if (type == "dadaptation") {
            sink_.set("optimizer_type", "DAdaptAdam", at);
            sink_.set("optimizer_args", std::vector<std::string>{"decouple=True"}, at);
        } else if (type == "dadaptadam") {
            sink_.set(
                "optimizer_args",
                std::vector<std::string>{"decouple=True", "weight_decay=0.01", "betas=0.9,0.99"},
                at);
            sink_.set("lr_scheduler", "constant", at);
            for (const auto* rate : {"learning_rate", "unet_lr", "text_encoder_lr"}) {
                sink_.set(rate, "1", at);
            }
        }
    }

    // LyCORIS and block settings become network_args, in the order of the scripts.
    void apply_network() {
        std::vector<std::string> args;
        const auto add = [&](std::string_view name) {
            if (is_on(text(name))) args.push_back(fmt::format("{}={}", name, text(name)));
        };
        const bool lycoris =
            on("enable_lycoris_train") || text("network_module") == "lycoris.kohya";
        if (lycoris) {
            sink_.set("network_module", "lycoris.kohya", line("enable_lycoris_train"));
            for (const auto* name : {"conv_dim", "conv_alpha", "algo", "dropout"}) add(name);
        }
        if (on("block_weight_lr")) {
            for (const auto* name : {"down_lr_weight", "mid_lr_weight", "up_lr_weight"}) {
                if (has(name)) args.push_back(fmt::format("{}={}", name, text(name)));
            }
        }
        if (on("block_weight_dim")) {
            for (const auto* name : {"block_dims", "block_alphas"}) add(name);
        }
        sink_.set("network_args", std::move(args), line("conv_dim"));
    }

    void apply_previews() {
        const bool wanted = on("output_sample");
        if (wanted) {
            sink_.set("sample_prompts", text("prompt_file"), line("prompt_file"));
            if (on("sample_every_n_epochs")) {
                sink_.set("sample_every_n_epochs",
                          text("sample_every_n_epochs"),
                          line("sample_every_n_epochs"));
            }
        }
        if (on("log_as_outputname")) {
            sink_.set("log_prefix", text("output_name") + "_", line("log_as_outputname"));
        }
    }

    // What the command line says by itself: `--prior_loss_weight=0.3`, a flag that was taken out.
    void apply_command() {
        const TrainingCommand command = find_training_command(text_, variables_);
        has_command_ = !command.program.empty();
        if (!has_command_) return;
        std::set<std::string> flags;
        for (CommandOption& option : split_options(command.words)) {
            flags.insert(option.name);
            // $ext_args at the end is no value of the last flag.
            std::erase_if(option.words, [](const CommandWord& word) { return word.is_open; });
            const OptionRow* row = find_option(Command::kTrain, option.name);
            const std::string name(row == nullptr ? option.name : row->name);
            if (sink_.has(name)) continue;
            const bool is_flag = row != nullptr && row->type == OptionType::kFlag;
            if (option.words.empty() && !is_flag) continue;
            if (!is_flag && option.words.front().text.empty()) continue;
            set_option(option, sink_);
        }
        for (const auto* flag : {"enable_bucket", "cache_latents", "shuffle_caption"}) {
            if (!flags.contains(flag)) sink_.set_flag(flag, false, 0);
        }
    }

    // What the scripts fix, where no command line says otherwise.
    void apply_rest() {
        const auto fix = [&](std::string_view name, std::string_view value) {
            if (!sink_.has(name)) sink_.set(name, std::string(value), 0);
        };
        fix("output_dir", "./output");
        fix("logging_dir", "./logs");
        if (!on("random_seed")) fix("seed", "1337");
        if (has_command_) return;
        for (const auto* flag : {"enable_bucket", "cache_latents", "shuffle_caption"}) {
            fix(flag, "true");
        }
        fix("save_precision", "fp16");
        fix("prior_loss_weight", "1");
        fix("max_token_length", "225");
        fix("caption_extension", ".txt");
    }

    void name_unknown() {
        for (const auto& [name, variable] : variables_) {
            const bool counts = is_on(variable.text) && !is_known(name);
            if (name == "multi_gpu" && counts) {
                sink_.warn(name, variable.line, "one device trains here");
            } else if (name == "use_wandb" && counts) {
                sink_.warn(name, variable.line, "no outside service is told of the run");
            } else if (counts && name != "use_wandb" && name != "multi_gpu") {
                sink_.warn(name, variable.line, "no setting here is known by this name");
            }
        }
    }

    std::string_view text_;
    bool powershell_;
    ForeignSink& sink_;
    ScriptVariables variables_;
    bool below_ = false;  // the part that its author says is not to be changed
    bool has_command_ = false;
};

}  // namespace

void read_script(std::string_view text, ForeignKind kind, ForeignSink& sink) {
    ScriptReader(text, kind, sink).run();
}

}  // namespace lora::config

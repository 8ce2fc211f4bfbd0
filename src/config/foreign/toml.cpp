// TOML of sd-scripts (--config_file) and of lora-scripts' pages. Nearly every name is ours; the
// pages keep some of network_args and optimizer_args in keys of their own.
#include <algorithm>
#include <iterator>

#include <fmt/format.h>

#include "base/words.h"
#include "config/internal/foreign.h"

namespace lora::config {
namespace {

// Keys of the pages that say nothing to a training run.
constexpr std::string_view kIdle[] = {"model_train_type",
                                      "gpu_ids",
                                      "enable_bucket_view",
                                      "network_args_custom",
                                      "optimizer_args_custom",
                                      "log_with",
                                      "lokr_factor",
                                      "lycoris_algo",
                                      "enable_block_weights",
                                      "enable_preview",
                                      "enable_base_weight",
                                      "randomly_choice_prompt",
                                      "dylora_unit"};

// Keys that become network_args, with the name they have there.
struct ArgKey {
    std::string_view key;
    std::string_view arg;
    bool with_blocks = false;  // counts when enable_block_weights is on, or is not there
};
constexpr ArgKey kNetworkKeys[] = {{"lycoris_algo", "algo"},
                                   {"conv_dim", "conv_dim"},
                                   {"conv_alpha", "conv_alpha"},
                                   {"dropout", "dropout"},
                                   {"train_norm", "train_norm"},
                                   {"lokr_factor", "factor"},
                                   {"dora_wd", "dora_wd"},
                                   {"down_lr_weight", "down_lr_weight", true},
                                   {"mid_lr_weight", "mid_lr_weight", true},
                                   {"up_lr_weight", "up_lr_weight", true},
                                   {"block_lr_zero_threshold", "block_lr_zero_threshold", true}};

class TomlReader {
public:
    TomlReader(std::vector<FileValue> values, ForeignSink& sink)
        : values_(std::move(values)), sink_(sink) {}

    void run() {
        for (const FileValue& value : values_) {
            if (is_network_key(value.name) || is_idle(value.name)) continue;
            set(value);
        }
        gather("network_args", network_args());
        gather("optimizer_args", words_of("optimizer_args_custom"));
        if (const FileValue* draws = find("randomly_choice_prompt");
            draws != nullptr && !says_nothing(draws->words.front())) {
            sink_.warn(draws->name, draws->line, "previews are drawn from a file of prompts only");
        }
    }

private:
    [[nodiscard]] static bool is_idle(std::string_view name) {
        return std::find(std::begin(kIdle), std::end(kIdle), name) != std::end(kIdle);
    }
    [[nodiscard]] static bool is_network_key(std::string_view name) {
        return std::any_of(std::begin(kNetworkKeys),
                           std::end(kNetworkKeys),
                           [&](const ArgKey& row) { return row.key == name; });
    }
    [[nodiscard]] const FileValue* find(std::string_view name) const {
        for (const FileValue& value : values_) {
            if (value.name == name && !value.words.empty()) return &value;
        }
        return nullptr;
    }
    [[nodiscard]] std::vector<std::string> words_of(std::string_view name) const {
        const FileValue* value = find(name);
        return value == nullptr ? std::vector<std::string>() : value->words;
    }

    void set(const FileValue& value) {
        const OptionRow* row = find_option(Command::kTrain, value.name);
        if (row == nullptr && (value.words.empty() || says_nothing(value.words.front()))) return;
        if (value.words.size() == 1) {
            sink_.set(value.name, value.words.front(), value.line);
        } else {
            sink_.set(value.name, value.words, value.line);
        }
    }

    [[nodiscard]] std::vector<std::string> network_args() const {
        const FileValue* switched = find("enable_block_weights");
        const bool blocks = switched == nullptr || !says_nothing(switched->words.front());
        std::vector<std::string> args;
        for (const ArgKey& row : kNetworkKeys) {
            const FileValue* value = find(row.key);
            if (value == nullptr || says_nothing(value->words.front())) continue;
            if (row.with_blocks && !blocks) continue;
            args.push_back(fmt::format("{}={}", row.arg, fmt::join(value->words, ",")));
        }
        for (std::string& word : words_of("network_args_custom")) args.push_back(std::move(word));
        return args;
    }

    // Behind what the list itself holds.
    void gather(std::string_view name, const std::vector<std::string>& more) {
        std::vector<std::string> all = words_of(name);
        all.insert(all.end(), more.begin(), more.end());
        const FileValue* value = find(name);
        sink_.set(name, std::move(all), value == nullptr ? 0 : value->line);
    }

    std::vector<FileValue> values_;
    ForeignSink& sink_;
};

}  // namespace

void read_foreign_toml(std::vector<FileValue> values, ForeignSink& sink) {
    TomlReader(std::move(values), sink).run();
}

}  // namespace lora::config

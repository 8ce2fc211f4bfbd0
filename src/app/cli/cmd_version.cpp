// `lora version`: this program's version, the behaviour it matches, and what it can do.
#include <string>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "app/cli/command.h"
#include "app/cli/terminal.h"
#include "base/json.h"
#include "train/network_args.h"

namespace lora::app {
namespace {

constexpr std::string_view kPackageVersion = "0.6.5";  // of the guide's package, commit 813
constexpr std::string_view kNewestVersion = "0.10.1";

struct Feature {
    std::string_view key;  // in JSON
    config::Words title;
    std::vector<std::string> names;
};

// What an option of `lora train` may be set to, so that the list cannot fall behind the program.
std::vector<std::string> choices_of(std::string_view option) {
    const config::OptionRow* row = config::find_option(config::Command::kTrain, option);
    std::vector<std::string> names;
    if (row == nullptr) return names;
    for (const std::string_view name : config::split_words(row->choices, '|')) {
        if (name != "auto" && name != "none") names.emplace_back(name);
    }
    return names;
}

std::vector<std::string> networks() {
    std::vector<std::string> names = {"lora"};
    for (const nn::LoraKind kind :
         {nn::LoraKind::kLora, nn::LoraKind::kLoha, nn::LoraKind::kLokr, nn::LoraKind::kIa3}) {
        names.emplace_back(train::algo_name(kind));
    }
    return names;
}

std::vector<Feature> features(const Context& context) {
    std::vector<std::string> backends;
    for (const backend::BackendEntry& entry : context.backends.entries()) {
        backends.push_back(entry.name);
    }
    return {
        {"backends", {"backends", "後端"}, backends},
        {"mixed_precision", {"mixed precision", "混合精度"}, choices_of("mixed_precision")},
        {"attention", {"attention", "注意力"}, {"memory_efficient"}},
        {"networks", {"networks (LyCORIS from locon on)", "網路(locon 起為 LyCORIS)"}, networks()},
        {"optimizers", {"optimizers", "優化器"}, choices_of("optimizer_type")},
        {"schedulers", {"learning rate schedulers", "學習率排程"}, choices_of("lr_scheduler")},
        {"losses", {"losses", "損失函數"}, choices_of("loss_type")},
        {"samplers", {"samplers", "採樣器"}, choices_of("sample_sampler")},
        {"formats", {"file formats", "檔案格式"}, choices_of("save_model_as")}};
}

}  // namespace

int run_version(const Context& context, const config::Loaded& loaded) {
    const std::vector<Feature> list =
        loaded.settings.flag("features") ? features(context) : std::vector<Feature>{};
    if (loaded.settings.flag("json")) {
        OrderedJson json = {
            {"version", LORA_VERSION},
            {"matches", {{"package", kPackageVersion}, {"newest", kNewestVersion}}}};
        for (const Feature& feature : list) json["features"][feature.key] = feature.names;
        print_json(json);
        return 0;
    }
    print_out(fmt::format("lora {}\n", LORA_VERSION));
    if (context.language == config::Language::kChinese) {
        print_out(
            fmt::format("訓練行為對應 sd-scripts {}(教學套件所附的 commit 813)與最新的 {};"
                        "兩者不同處依最新版。\n",
                        kPackageVersion,
                        kNewestVersion));
    } else {
        print_out(
            fmt::format("trains as sd-scripts {} (commit 813, the guide's package) and the "
                        "newest, {}; where they differ, as the newest\n",
                        kPackageVersion,
                        kNewestVersion));
    }
    for (const Feature& feature : list) {
        print_out(fmt::format(
            "{}: {}\n", feature.title.in(context.language), fmt::join(feature.names, ", ")));
    }
    return 0;
}

}  // namespace lora::app

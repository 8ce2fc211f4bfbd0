#include "app/cli/command.h"

#include <vector>

#include <fmt/format.h>

#include "app/backends.h"
#include "app/cli/help.h"
#include "app/cli/report.h"
#include "app/cli/terminal.h"
#include "base/error.h"
#include "base/log.h"

namespace lora::app {
namespace {

using config::Command;

// clang-format off
constexpr CommandEntry kCommands[] = {
    {"train", Command::kTrain, run_train, "[--config_file FILE] [OPTION...]", 0,
     {"train a LoRA from a folder of pictures", "以圖片資料夾訓練 LoRA"},
     {"lora train --pretrained_model model.safetensors --train_data_dir train/cat --output_name cat",
      "lora train --pretrained_model model.safetensors --train_data_dir train/cat --output_name cat"}},
    {"sample", Command::kSample, run_sample, "--model FILE --prompt TEXT [OPTION...]", 0,
     {"draw a picture, with or without LoRA", "產生圖片,可套用 LoRA"},
     {"lora sample --model model.safetensors --lora output/cat.safetensors:0.8 --prompt \"cat, sofa\"",
      "lora sample --model model.safetensors --lora output/cat.safetensors:0.8 --prompt \"cat, sofa\""}},
    {"status", Command::kStatus, run_status, "DIR [--json]", 1,
     {"tell how a run, or every run of a logging_dir, is doing", "查看一次訓練或紀錄資料夾中所有訓練的狀況"},
     {"lora status ./logs", "lora status ./logs"}},
    {"inspect", Command::kInspect, run_inspect, "FILE [--quick] [--json]", 1,
     {"show what a model or LoRA file is and holds", "檢視模型或 LoRA 檔案的內容"},
     {"lora inspect output/cat.safetensors", "lora inspect output/cat.safetensors"}},
    {"verify", Command::kVerify, run_verify, "FILE [--programs WORD...] [--json]", 1,
     {"would the usual programs load this LoRA?", "檢查常用程式能否載入此 LoRA"},
     {"lora verify output/cat.safetensors", "lora verify output/cat.safetensors"}},
    {"merge", Command::kMerge, run_merge, "--models A B... --ratios X Y... --save_to FILE [OPTION...]", 0,
     {"merge LoRAs into one, or into a model", "合併多個 LoRA,或合併進模型"},
     {"lora merge --models cat.safetensors sofa.safetensors --ratios 0.5 0.5 --save_to both.safetensors",
      "lora merge --models cat.safetensors sofa.safetensors --ratios 0.5 0.5 --save_to both.safetensors"}},
    {"resize", Command::kResize, run_resize, "--model FILE --save_to FILE --new_rank N [OPTION...]", 0,
     {"make a LoRA smaller", "縮小 LoRA 的 rank"},
     {"lora resize --model cat.safetensors --save_to small.safetensors --new_rank 8",
      "lora resize --model cat.safetensors --save_to small.safetensors --new_rank 8"}},
    {"extract", Command::kExtract, run_extract, "--model_org FILE --model_tuned FILE --save_to FILE [OPTION...]", 0,
     {"make a LoRA of the difference between two models", "由兩個模型的差異擷取 LoRA"},
     {"lora extract --model_org base.safetensors --model_tuned tuned.safetensors --save_to cat.safetensors --dim 32",
      "lora extract --model_org base.safetensors --model_tuned tuned.safetensors --save_to cat.safetensors --dim 32"}},
    {"convert", Command::kConvert, run_convert, "FILE --save_to FILE [OPTION...]", 1,
     {"change a file's format, precision or key names", "轉換檔案格式、精度或鍵名"},
     {"lora convert model.ckpt --save_to model.safetensors", "lora convert model.ckpt --save_to model.safetensors"}},
    {"interrogate", Command::kInterrogate, run_interrogate, "--sd_model FILE --model FILE [OPTION...]", 0,
     {"list the tokens that a LoRA moves most", "列出 LoRA 影響最大的 token"},
     {"lora interrogate --sd_model model.safetensors --model cat.safetensors --batch_size 64",
      "lora interrogate --sd_model model.safetensors --model cat.safetensors --batch_size 64"}},
    {"tag", Command::kTag, run_tag, "DIR [--model NAME|DIR] [OPTION...]", 1,
     {"tag pictures with a WD14 model", "以 WD14 模型為圖片打標"},
     {"lora tag train/10_mika --model wd14-swinv2-v2 --add mika", "lora tag train/10_mika --model wd14-swinv2-v2 --add mika"}},
    {"tags", Command::kTags, run_tags, "DIR [OPTION...]", 1,
     {"list and change the tags of captions", "列出並修改標註檔的標籤"},
     {"lora tags train/cat --add mika --policy no_traits --dry_run", "lora tags train/cat --add mika --policy no_traits --dry_run"}},
    {"data", Command::kData, run_data, "check|plan|crop|cutout|erase|mix|reg DIR|FILE... [OPTION...]", 100000,
     {"check a training folder, plan a run, prepare pictures", "檢查訓練資料夾、規劃訓練、整理圖片"},
     {"lora data check train --html report.html", "lora data check train --html report.html"}},
    {"fetch", Command::kFetch, run_fetch, "NAME|URL [--output_dir DIR] [OPTION...]", 1,
     {"get a tagger or a base model", "下載打標模型或底模"},
     {"lora fetch wd14-swinv2-v2", "lora fetch wd14-swinv2-v2"}},
    {"demo", Command::kDemo, run_demo, "[--out DIR] [OPTION...]", 0,
     {"train a small LoRA on the mini model and judge it", "用迷你模型訓練小型 LoRA 並判定是否學會"},
     {"lora demo --out demo-out", "lora demo --out demo-out"}},
    {"doctor", Command::kDoctor, run_doctor, "[--json]", 0,
     {"show what this machine has and what that means", "檢視這台機器的能力與建議"},
     {"lora doctor", "lora doctor"}},
    {"version", Command::kVersion, run_version, "[--features] [--json]", 0,
     {"show the version and which program it matches", "顯示版本與所對應的參考程式"},
     {"lora version", "lora version"}},
    {"help", Command::kHelp, run_help, "[COMMAND|learning]", 1,
     {"explain a command and its options", "說明指令與選項"},
     {"lora help train", "lora help train"}},
};
// clang-format on

void set_log_level(const config::Settings& settings) {
    const std::string name = settings.text("console_log_level");
    if (name == "DEBUG") log::set_level(log::Level::kDebug);
    if (name == "WARNING") log::set_level(log::Level::kWarning);
    if (name == "ERROR" || name == "CRITICAL") log::set_level(log::Level::kError);
}

config::Language choose_language(const config::Settings& settings) {
    const std::string asked = settings.text("lang");
    if (asked.empty()) return system_language();
    return asked == "zh" ? config::Language::kChinese : config::Language::kEnglish;
}

// Old habits: lora --version, lora -h.
std::string command_word(const std::string& word) {
    if (word == "--version" || word == "-V") return "version";
    if (word == "--help" || word == "-h") return "help";
    return word;
}

}  // namespace

std::span<const CommandEntry> commands() { return kCommands; }

const CommandEntry* find_command(std::string_view name) {
    for (const CommandEntry& entry : kCommands) {
        if (entry.name == name) return &entry;
    }
    return nullptr;
}

int run_command_line(const backend::Registry& backends, std::span<const std::string> args) {
    if (args.empty()) {
        print_overview(system_language());
        return 2;
    }
    const std::string name = command_word(args.front());
    const CommandEntry* entry = find_command(name);
    if (entry == nullptr) {
        std::vector<std::string_view> names;
        for (const CommandEntry& known : kCommands) names.push_back(known.name);
        const std::string near = config::nearest_word(name, names);
        throw Error(ErrorCode::kConfig, fmt::format("there is no command \"{}\"", name))
            .with_hint(near.empty() ? "lora help lists the commands"
                                    : fmt::format("did you mean lora {}?", near));
    }
    config::Loaded loaded = config::load(entry->id, args.subspan(1));
    const Context context{backends, choose_language(loaded.settings)};
    if (loaded.settings.flag("help")) {
        print_command_help(*entry, context.language);
        return 0;
    }
    if (loaded.positionals.size() > static_cast<size_t>(entry->max_positionals)) {
        const std::string& word = loaded.positionals[static_cast<size_t>(entry->max_positionals)];
        loaded.findings.push_back({Severity::kError,
                                   word,
                                   "this word belongs to no option",
                                   "options begin with --; put words with spaces in quotes"});
    }
    raise_errors(loaded.findings);
    set_log_level(loaded.settings);
    return entry->run(context, loaded);
}

std::unique_ptr<backend::Backend> open_backend(const Context& context,
                                               const config::Settings& settings) {
    return context.backends.open(settings.text("backend"),
                                 backend_options(static_cast<int>(settings.integer("threads")),
                                                 !settings.flag("no_autotune")));
}

}  // namespace lora::app

// `lora inspect FILE [--quick] [--json]`.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "app/cli/command.h"
#include "app/cli/progress.h"
#include "app/cli/terminal.h"
#include "app/file_info.h"
#include "base/error.h"
#include "base/json.h"

namespace lora::app {
namespace {

constexpr size_t kLongestValue = 160;  // of a metadata value on the screen, in bytes

template <typename T>
OrderedJson one_or_list(const std::vector<T>& values) {
    if (values.empty()) return nullptr;
    if (values.size() == 1) return values.front();
    return values;
}

void add_analysis(const tools::LoraAnalysis& analysis, OrderedJson& json) {
    OrderedJson blocks = OrderedJson::array();
    for (const tools::BlockAnalysis& block : analysis.blocks) {
        const double share = analysis.energy > 0 ? block.energy / analysis.energy : 0;
        blocks.push_back({{"block", tools::block_name(block.block)},
                          {"layers", block.layers},
                          {"energy", block.energy},
                          {"energy_share", share},
                          {"effective_rank", block.effective_rank}});
    }
    json["energy"] = analysis.energy;
    json["effective_rank"] = analysis.effective_rank;
    json["blocks"] = blocks;
    json["unmoved"] = analysis.unmoved;
    json["suggested_rank"] =
        analysis.suggested_rank > 0 ? OrderedJson(analysis.suggested_rank) : OrderedJson(nullptr);
    json["suggested_bytes"] =
        analysis.suggested_rank > 0 ? OrderedJson(analysis.suggested_bytes) : OrderedJson(nullptr);
    json["kept_share"] =
        analysis.suggested_rank > 0 ? OrderedJson(analysis.kept_share) : OrderedJson(nullptr);
}

OrderedJson to_json(const FileInfo& info) {
    OrderedJson words = OrderedJson::array();
    for (const TriggerWord& word : info.trigger_words) words.push_back(word.word);
    OrderedJson json = {{"kind", info.kind},
                        {"family", info.family},
                        {"modules", info.modules},
                        {"rank", one_or_list(info.ranks)},
                        {"alpha", one_or_list(info.alphas)},
                        {"dtype", one_or_list(info.dtypes)},
                        {"bytes", info.bytes},
                        {"num_parameters", info.num_parameters},
                        {"unet_modules", info.unet_modules},
                        {"text_encoder_modules", info.text_encoder_modules},
                        {"trigger_words", words},
                        {"notes", info.notes},
                        {"metadata", info.metadata}};
    if (info.analysis) add_analysis(*info.analysis, json);
    return json;
}

void print_analysis(const tools::LoraAnalysis& analysis, bool zh) {
    constexpr int kBarWidth = 30;
    double largest = 0;
    for (const tools::BlockAnalysis& block : analysis.blocks) {
        largest = std::max(largest, block.energy);
    }
    print_out(zh ? "各區塊的能量(比例、有效 rank):\n"
                 : "energy by block (share, effective rank):\n");
    for (const tools::BlockAnalysis& block : analysis.blocks) {
        const double length = largest > 0 ? block.energy / largest * kBarWidth : 0;
        print_out(fmt::format("  {:<12} {:5.1f}% {:6.1f}  {}\n",
                              tools::block_name(block.block),
                              analysis.energy > 0 ? 100 * block.energy / analysis.energy : 0,
                              block.effective_rank,
                              std::string(static_cast<size_t>(std::lround(length)), '#')));
    }
    if (!analysis.unmoved.empty()) {
        print_out(fmt::format("{} {}{}\n",
                              analysis.unmoved.size(),
                              zh ? "層完全沒有變化,第一個為 " : "layers never moved, first ",
                              analysis.unmoved.front()));
    }
    if (analysis.suggested_rank > 0) {
        print_out(fmt::format("rank {} {} {:.1f}%: {} bytes ({}); lora resize --new_rank {}\n",
                              analysis.suggested_rank,
                              zh ? "即可保留能量的" : "would keep of the energy",
                              100 * analysis.kept_share,
                              analysis.suggested_bytes,
                              bytes_text(analysis.suggested_bytes),
                              analysis.suggested_rank));
    }
}

// Cut at a character's border.
std::string shortened(std::string_view text) {
    if (text.size() <= kLongestValue) return std::string(text);
    size_t end = kLongestValue;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
    return fmt::format("{}... ({} bytes)", text.substr(0, end), text.size());
}

void print_people(const FileInfo& info, bool zh) {
    const auto line = [zh](std::string_view en, std::string_view chinese, std::string_view value) {
        print_out(fmt::format("{}: {}\n", zh ? chinese : en, value));
    };
    line("kind", "種類", info.kind);
    line("family", "家族", info.family);
    line("size",
         "大小",
         fmt::format("{:.1f} MiB, {} parameters, {}",
                     static_cast<double>(info.bytes) / (1024.0 * 1024.0),
                     info.num_parameters,
                     fmt::join(info.dtypes, " ")));
    if (info.modules > 0) {
        line("modules",
             "模組",
             fmt::format("{} (text encoder {}, UNet {})",
                         info.modules,
                         info.text_encoder_modules,
                         info.unet_modules));
        line("rank", "rank", fmt::format("{}", fmt::join(info.ranks, ", ")));
        line("alpha", "alpha", fmt::format("{}", fmt::join(info.alphas, ", ")));
    }
    if (info.analysis) print_analysis(*info.analysis, zh);
    for (const std::string& note : info.notes) line("note", "附註", note);
    if (!info.trigger_words.empty()) {
        std::string words;
        for (const TriggerWord& word : info.trigger_words) {
            if (!words.empty()) words += ", ";
            words +=
                word.captions > 0
                    ? fmt::format("{} ({} of {} captions)", word.word, word.count, word.captions)
                    : fmt::format("{} ({})", word.word, word.count);
        }
        line("trigger words", "觸發詞", words);
    }
    if (info.metadata.empty()) return;
    print_out("metadata:\n");
    for (const auto& [key, value] : info.metadata) {
        print_out(fmt::format("  {} = {}\n", key, shortened(value)));
    }
}

}  // namespace

int run_inspect(const Context& context, const config::Loaded& loaded) {
    if (loaded.positionals.empty()) {
        throw Error(ErrorCode::kConfig, "the file to look into is missing")
            .with_hint("lora inspect FILE.safetensors");
    }
    const bool quick = loaded.settings.flag("quick");
    const FileInfo info = inspect_file(loaded.positionals.front(),
                                       quick ? InspectDepth::kNames : InspectDepth::kNumbers);
    if (loaded.settings.flag("json")) {
        print_json(to_json(info));
    } else {
        print_people(info, context.language == config::Language::kChinese);
    }
    return 0;
}

}  // namespace lora::app

// `lora merge`: LoRA files into one, or into a model.
#include <cmath>

#include <fmt/format.h>

#include "app/cli/command.h"
#include "app/cli/counter.h"
#include "app/cli/progress.h"
#include "app/cli/report.h"
#include "app/cli/terminal.h"
#include "app/cli/tool_options.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "tools/merge.h"

namespace lora::app {
namespace {

Diagnostics judge(const config::Settings& settings) {
    Diagnostics findings;
    const auto error = [&](const char* option, std::string text, std::string hint) {
        findings.push_back(
            {Severity::kError, settings.place(option), std::move(text), std::move(hint)});
    };
    check_save_to(settings, findings);
    const size_t models = settings.list("models").size();
    if (models == 0) error("models", "models is missing", "name the LoRA files to merge");
    const auto ratios = settings.list("ratios");
    if (!ratios.empty() && ratios.size() != models) {
        error("ratios",
              fmt::format("{} ratios for {} models", ratios.size(), models),
              "one for each, in the same order");
    }
    for (const std::string& word : ratios) {
        const auto value = config::parse_float(word);
        if (!value || !std::isfinite(*value)) error("ratios", word + " is no number", "");
    }
    const size_t weights = settings.list("lbws").size();
    if (weights > 0 && weights != models) {
        error("lbws",
              fmt::format("{} block weights for {} models", weights, models),
              "one word of 17 or 26 numbers for each; 1: all 1");
    }
    if (settings.flag("concat") && !settings.flag("kohya")) {
        error("concat", "concat belongs to kohya", "without kohya ranks always add up");
    }
    if (settings.flag("kohya") && settings.has("new_rank")) {
        error("new_rank",
              "kohya and new_rank do not go together",
              "sd-scripts' merge keeps the ranks");
    }
    if (settings.has("sd_model") && settings.has("new_rank")) {
        error("new_rank", "a model has no rank", "leave it out with --sd_model");
    }
    return findings;
}

tools::MergeOptions merge_options(const config::Settings& settings, bool into_model) {
    tools::MergeOptions options;
    const auto models = settings.list("models");
    const auto ratios = settings.list("ratios");
    const auto weights = settings.list("lbws");
    for (size_t i = 0; i < models.size(); ++i) {
        tools::MergeInput input{models[i]};
        input.ratio = into_model ? 1.0 : 1.0 / static_cast<double>(models.size());
        if (!ratios.empty()) input.ratio = config::parse_float(ratios[i]).value_or(1);
        const bool plain = weights.empty() || weights[i].empty() || weights[i] == "1";
        if (!plain) input.blocks = tools::parse_block_weights(weights[i]);
        options.inputs.push_back(std::move(input));
    }
    options.save_to = settings.text("save_to");
    options.precision = precision_of(settings, "precision");
    options.save_precision = precision_of(settings, "save_precision", options.precision);
    if (settings.has("new_rank")) options.new_rank = settings.integer("new_rank");
    if (settings.has("new_conv_rank")) options.new_conv_rank = settings.integer("new_conv_rank");
    options.clamp_quantile = settings.number("clamp_quantile");
    options.kohya = settings.flag("kohya");
    options.concat = settings.flag("concat");
    options.no_metadata = settings.flag("no_metadata");
    options.threads = static_cast<int>(settings.integer("threads"));
    return options;
}

}  // namespace

int run_merge(const Context& context, const config::Loaded& loaded) {
    const config::Settings& settings = loaded.settings;
    raise_errors(judge(settings));
    const std::string model = settings.text("sd_model");
    tools::MergeOptions options = merge_options(settings, !model.empty());
    const tools::MergeReport report = [&] {
        Counter counter("merging");
        options.on_progress = counter.function();
        return model.empty() ? tools::merge_loras(options)
                             : tools::merge_into_model(model, options);
    }();
    for (const std::string& note : report.notes) log::warning("{}", note);
    const uint64_t bytes = file_size_bytes(options.save_to);
    if (settings.flag("json")) {
        const OrderedJson json = {{"file", options.save_to},
                                  {"bytes", bytes},
                                  {"layers", report.layers},
                                  {"ranks", report.ranks},
                                  {"notes", report.notes}};
        print_json(json);
        return 0;
    }
    const bool zh = context.language == config::Language::kChinese;
    std::string rank;
    if (!report.ranks.empty()) rank = fmt::format(", rank {}", fmt::join(report.ranks, ", "));
    print_out(fmt::format("{} ({} {}{}, {})\n",
                          options.save_to,
                          report.layers,
                          zh ? "層" : "layers",
                          rank,
                          bytes_text(bytes)));
    return 0;
}

}  // namespace lora::app

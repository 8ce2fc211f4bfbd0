// `lora resize`: a LoRA of smaller rank.
#include <fmt/format.h>

#include "app/cli/command.h"
#include "app/cli/progress.h"
#include "app/cli/report.h"
#include "app/cli/terminal.h"
#include "app/cli/tool_options.h"
#include "base/json.h"
#include "tools/resize.h"

namespace lora::app {
namespace {

tools::DynamicMethod method_of(const std::string& word) {
    if (word == "sv_ratio") return tools::DynamicMethod::kSvRatio;
    if (word == "sv_fro") return tools::DynamicMethod::kSvFro;
    if (word == "sv_cumulative") return tools::DynamicMethod::kSvCumulative;
    return tools::DynamicMethod::kNone;
}

Diagnostics judge(const config::Settings& settings) {
    Diagnostics findings;
    require_option(settings, "model", "name the LoRA file", findings);
    check_save_to(settings, findings);
    const bool has_method = settings.has("dynamic_method");
    if (has_method && settings.number("dynamic_param") == 0) {
        findings.push_back({Severity::kError,
                            settings.place("dynamic_method"),
                            "dynamic_method needs dynamic_param",
                            "sv_ratio: 1 to 2; sv_cumulative: 0 to 1; sv_fro: 0 to 1, higher"});
    }
    if (!has_method && settings.has("dynamic_param")) {
        findings.push_back({Severity::kError,
                            settings.place("dynamic_param"),
                            "dynamic_param needs dynamic_method",
                            "sv_ratio, sv_fro or sv_cumulative"});
    }
    return findings;
}

// One line a layer, as sd-scripts prints them.
void print_layers(const tools::ResizeReport& report, bool dynamic) {
    for (const tools::ResizedLayer& layer : report.layers) {
        print_out(
            fmt::format("{:75} | sum(S) retained: {:.1f}%, fro retained: {:.1f}%, max(S) "
                        "ratio: {:.1f}{}\n",
                        layer.name,
                        100 * layer.sum_retained,
                        100 * layer.fro_retained,
                        layer.max_ratio,
                        dynamic ? fmt::format(", dim: {}, alpha: {}", layer.rank, layer.alpha)
                                : std::string()));
    }
}

OrderedJson to_json(const tools::ResizeReport& report, const std::string& path, bool verbose) {
    OrderedJson json = {{"file", path},
                        {"bytes", report.bytes},
                        {"old_bytes", report.old_bytes},
                        {"old_rank", report.old_rank},
                        {"layers", report.layers.size()},
                        {"mean_fro_retained", report.mean_fro_retained},
                        {"std_fro_retained", report.std_fro_retained}};
    if (!verbose) return json;
    OrderedJson table = OrderedJson::array();
    for (const tools::ResizedLayer& layer : report.layers) {
        table.push_back({{"name", layer.name},
                         {"old_rank", layer.old_rank},
                         {"rank", layer.rank},
                         {"alpha", layer.alpha},
                         {"sum_retained", layer.sum_retained},
                         {"fro_retained", layer.fro_retained},
                         {"max_ratio", layer.max_ratio}});
    }
    json["table"] = table;
    return json;
}

}  // namespace

int run_resize(const Context& context, const config::Loaded& loaded) {
    const config::Settings& settings = loaded.settings;
    raise_errors(judge(settings));
    tools::ResizeOptions options;
    options.model = settings.text("model");
    options.save_to = settings.text("save_to");
    options.new_rank = settings.integer("new_rank");
    if (settings.has("new_conv_rank")) options.new_conv_rank = settings.integer("new_conv_rank");
    options.method = method_of(settings.text("dynamic_method"));
    options.param = settings.number("dynamic_param");
    options.save_precision = precision_of(settings, "save_precision");
    options.threads = static_cast<int>(settings.integer("threads"));
    const tools::ResizeReport report = tools::resize_lora(options);
    const bool verbose = settings.flag("verbose");
    if (settings.flag("json")) {
        print_json(to_json(report, options.save_to, verbose));
        return 0;
    }
    if (verbose) print_layers(report, options.method != tools::DynamicMethod::kNone);
    const bool zh = context.language == config::Language::kChinese;
    print_out(fmt::format("{}: {:.2f}% ± {:.2f}%\n",
                          zh ? "平均保留的 Frobenius 範數" : "mean Frobenius norm retained",
                          100 * report.mean_fro_retained,
                          100 * report.std_fro_retained));
    print_out(fmt::format("{} ({} -> {})\n",
                          options.save_to,
                          bytes_text(report.old_bytes),
                          bytes_text(report.bytes)));
    return 0;
}

}  // namespace lora::app

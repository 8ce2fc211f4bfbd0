// `lora extract`: a LoRA from the difference of two models.
#include <fmt/format.h>

#include "app/cli/command.h"
#include "app/cli/counter.h"
#include "app/cli/progress.h"
#include "app/cli/report.h"
#include "app/cli/terminal.h"
#include "app/cli/tool_options.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "tools/extract.h"

namespace lora::app {

int run_extract(const Context& context, const config::Loaded& loaded) {
    const config::Settings& settings = loaded.settings;
    Diagnostics findings;
    require_option(settings, "model_org", "name the original model", findings);
    require_option(settings, "model_tuned", "name the model made from it", findings);
    check_save_to(settings, findings);
    raise_errors(findings);
    tools::ExtractOptions options;
    options.model_org = settings.text("model_org");
    options.model_tuned = settings.text("model_tuned");
    options.save_to = settings.text("save_to");
    options.rank = settings.integer("dim");
    if (settings.has("conv_dim")) options.conv_rank = settings.integer("conv_dim");
    options.clamp_quantile = settings.number("clamp_quantile");
    options.min_diff = settings.number("min_diff");
    options.save_precision = precision_of(settings, "save_precision");
    options.no_metadata = settings.flag("no_metadata");
    options.threads = static_cast<int>(settings.integer("threads"));
    const tools::ExtractReport report = [&] {
        Counter counter("extracting");
        options.on_progress = counter.function();
        return tools::extract_lora(options);
    }();
    for (const std::string& note : report.notes) log::info("{}", note);
    const uint64_t bytes = file_size_bytes(options.save_to);
    if (settings.flag("json")) {
        const OrderedJson json = {{"file", options.save_to},
                                  {"bytes", bytes},
                                  {"layers", report.layers},
                                  {"text_encoder", report.has_text_encoder},
                                  {"kept_share", report.kept_share},
                                  {"notes", report.notes}};
        print_json(json);
        return 0;
    }
    const bool zh = context.language == config::Language::kChinese;
    print_out(fmt::format("{} ({} {}, {}; {} {:.1f}%)\n",
                          options.save_to,
                          report.layers,
                          zh ? "層" : "layers",
                          bytes_text(bytes),
                          zh ? "保留差異的" : "keeps of the difference",
                          100 * report.kept_share));
    return 0;
}

}  // namespace lora::app

// `lora train`: settings, backend, plan, run.
#include <fmt/format.h>

#include "app/cli/command.h"
#include "app/cli/precision.h"
#include "app/cli/progress.h"
#include "app/cli/report.h"
#include "app/cli/settings_keeper.h"
#include "app/cli/stop.h"
#include "app/cli/terminal.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "config/sample_prompts.h"
#include "config/validate.h"
#include "train/training_run.h"

namespace lora::app {
namespace {

constexpr size_t kLineWidth = 96;

// Words joined to lines of a readable width.
void log_wrapped(std::string_view head, const std::vector<std::string>& words) {
    std::string line(head);
    for (const std::string& word : words) {
        if (line.size() + word.size() + 1 > kLineWidth) {
            log::info("{}", line);
            line = "   ";
        }
        line += " " + word;
    }
    log::info("{}", line);
}

// The settings in force: first what a person gave, then the preset's values.
void log_settings(const config::Settings& settings) {
    std::vector<std::string> given;
    std::vector<std::string> preset;
    for (const config::OptionRow* row : config::options_of(config::Command::kTrain)) {
        if (!settings.has(row->name) || row->support != config::Support::kWorks) continue;
        const bool is_off = settings.text(row->name) == "false" || settings.text(row->name) == "0";
        std::string word =
            fmt::format("{}={}", row->name, fmt::join(settings.list(row->name), " "));
        if (settings.given(row->name)) {
            given.push_back(std::move(word));
        } else if (!is_off) {
            preset.push_back(std::move(word));
        }
    }
    log_wrapped("yours:", given);
    log_wrapped(fmt::format("preset {}:", settings.text("preset")), preset);
}

OrderedJson plan_json(const train::RunPlan& plan, const Diagnostics& warnings) {
    OrderedJson buckets = OrderedJson::array();
    for (const data::BucketUse& bucket : plan.buckets) {
        buckets.push_back({{"width", bucket.size.width_px},
                           {"height", bucket.size.height_px},
                           {"count", bucket.count}});
    }
    OrderedJson texts = OrderedJson::array();
    for (const Diagnostic& warning : warnings) {
        texts.push_back(warning.place.empty() ? warning.text : warning.place + ": " + warning.text);
    }
    return {{"images", plan.num_images},
            {"buckets", buckets},
            {"steps", plan.steps},
            {"epochs", plan.epochs},
            {"planned_peak_bytes", plan.planned_peak_bytes},
            {"peak_includes_weights", plan.peak_includes_weights},
            {"slowdown", plan.slowdown},
            {"weight_bytes", plan.weight_bytes},
            {"num_parameters", plan.num_parameters},
            {"estimated_s", plan.estimated_s},
            {"warnings", texts}};
}

void print_plan(const train::RunPlan& plan, bool zh) {
    const auto line = [zh](std::string_view en, std::string_view chinese, std::string_view value) {
        print_out(fmt::format("{}: {}\n", zh ? chinese : en, value));
    };
    line("pictures", "圖片", fmt::format("{}", plan.num_images));
    for (const data::BucketUse& bucket : plan.buckets) {
        line("bucket", "分桶", fmt::format("{}: {}", data::to_string(bucket.size), bucket.count));
    }
    line("steps", "步數", fmt::format("{} ({} epochs)", plan.steps, plan.epochs));
    line("trained numbers", "訓練參數", fmt::format("{}", plan.num_parameters));
    line("weights", "底模權重", bytes_text(plan.weight_bytes));
    line(plan.peak_includes_weights ? "planned peak" : "planned peak above the weights",
         plan.peak_includes_weights ? "記憶體峰值" : "權重以外的記憶體峰值",
         bytes_text(plan.planned_peak_bytes));
    line("estimated time", "預估時間", duration_text(plan.estimated_s));
}

Diagnostics warnings_of(const Diagnostics& findings, const train::RunPlan& plan) {
    Diagnostics all;
    for (const auto* list : {&findings, &plan.warnings}) {
        for (const Diagnostic& finding : *list) {
            if (finding.severity == Severity::kWarning) all.push_back(finding);
        }
    }
    return all;
}

// A missing file of prompts stops no training.
std::vector<train::SamplePrompt> read_prompts(const std::string& path) {
    if (path.empty()) return {};
    if (!path_exists(path)) {
        log::warning("{} is not there: training goes on without previews", path);
        return {};
    }
    Diagnostics findings;
    std::vector<train::SamplePrompt> prompts = config::load_sample_prompts(path, findings);
    log_warnings(findings);
    if (prompts.empty()) log::warning("{} holds no prompt: no previews", path);
    return prompts;
}

}  // namespace

int run_train(const Context& context, const config::Loaded& loaded) {
    const config::Settings& settings = loaded.settings;
    const Diagnostics findings = config::validate_train(settings);
    raise_errors(findings);
    log_settings(settings);
    log_warnings(findings);

    train::TrainOptions options = config::train_options(settings);
    options.sample.prompts = read_prompts(settings.text("sample_prompts"));
    const auto backend = open_backend(context, settings);
    options.device.mixed_precision = choose_precision(options.device.mixed_precision, *backend);

    const auto run = train::TrainingRun::open(options, *backend);
    if (settings.flag("dry_run")) {
        log_warnings(run->plan().warnings);
        run->estimate_time();
        if (settings.flag("json")) {
            print_out(plan_json(run->plan(), warnings_of(findings, run->plan())).dump() + "\n");
        } else {
            print_plan(run->plan(), context.language == config::Language::kChinese);
        }
        return 0;
    }

    SettingsKeeper keeper(options.log.logging_dir, config::to_toml(settings));
    Progress progress(stderr_is_terminal());
    train::TeeSink sinks({&keeper, &progress});
    const StopSignals signals;
    const train::RunResult result = run->train(signals.token(), sinks);
    if (settings.flag("json")) {
        const OrderedJson json = {{"steps", result.steps},
                                  {"average_loss", result.average_loss},
                                  {"output_file", result.output_file},
                                  {"planned_peak_bytes", result.planned_peak_bytes},
                                  {"measured_peak_bytes", result.measured_peak_bytes}};
        print_out(json.dump() + "\n");
    }
    return 0;
}

}  // namespace lora::app

// `lora train`: settings, backend, plan, run.
#include <fmt/format.h>

#include "app/cli/batch_choice.h"
#include "app/cli/command.h"
#include "app/cli/precision.h"
#include "app/cli/progress.h"
#include "app/cli/report.h"
#include "app/cli/settings_keeper.h"
#include "app/cli/stop.h"
#include "app/cli/terminal.h"
#include "app/debug_dataset.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "config/dataset_config.h"
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

OrderedJson folders_json(const train::RunPlan& plan) {
    OrderedJson folders = OrderedJson::array();
    for (const train::FolderPreview& folder : plan.folders) {
        folders.push_back({{"name", folder.name},
                           {"trigger", folder.trigger},
                           {"class", folder.class_name},
                           {"trigger_in_front", folder.trigger_in_front},
                           {"is_reg", folder.is_reg},
                           {"repeats", folder.repeats},
                           {"images", folder.images},
                           {"share", folder.share},
                           {"captions", folder.captions}});
    }
    return folders;
}

OrderedJson plan_json(const train::RunPlan& plan, const Diagnostics& findings) {
    OrderedJson buckets = OrderedJson::array();
    for (const data::BucketUse& bucket : plan.buckets) {
        buckets.push_back({{"width", bucket.size.width_px},
                           {"height", bucket.size.height_px},
                           {"count", bucket.count}});
    }
    OrderedJson memory;  // null without a card
    if (plan.device_memory) {
        memory = {{"total_bytes", plan.device_memory->total_bytes},
                  {"taken_bytes", plan.device_memory->taken_bytes}};
    }
    OrderedJson texts = OrderedJson::array();
    OrderedJson notes = OrderedJson::array();
    for (const Diagnostic& d : findings) {
        OrderedJson& list = d.severity == Severity::kWarning ? texts : notes;
        list.push_back(d.place.empty() ? d.text : d.place + ": " + d.text);
    }
    return {{"images", plan.num_images},
            {"buckets", buckets},
            {"steps", plan.steps},
            {"epochs", plan.epochs},
            {"planned_peak_bytes", plan.planned_peak_bytes},
            {"peak_includes_weights", plan.peak_includes_weights},
            {"device_memory", memory},
            {"slowdown", plan.slowdown},
            {"weight_bytes", plan.weight_bytes},
            {"num_parameters", plan.num_parameters},
            {"file_bytes", plan.file_bytes},
            {"estimated_s", plan.estimated_s},
            {"folders", folders_json(plan)},
            {"warnings", texts},
            {"notes", notes}};
}

// What a folder teaches: its trigger, its share, and captions as they will be trained.
void print_folder(const train::FolderPreview& folder, bool zh) {
    std::string text = fmt::format("{}: {}: {} x {}, {:.0f}%",
                                   zh ? "資料夾" : "folder",
                                   folder.name,
                                   folder.images,
                                   folder.repeats,
                                   100 * folder.share);
    if (folder.is_reg) text += zh ? ",正則化" : ", regularisation";
    if (!folder.trigger.empty()) {
        text += fmt::format(", {} \"{}\"{}",
                            zh ? "觸發詞" : "trigger",
                            folder.trigger,
                            folder.trigger_in_front ? (zh ? "(加在最前)" : " (put in front)") : "");
    }
    if (!folder.class_name.empty()) {
        text += fmt::format(", {} \"{}\"", zh ? "類別" : "class", folder.class_name);
    }
    print_out(text + "\n");
    for (const std::string& caption : folder.captions) print_out("  " + caption + "\n");
}

void print_plan(const train::RunPlan& plan, bool zh) {
    const auto line = [zh](std::string_view en, std::string_view chinese, std::string_view value) {
        print_out(fmt::format("{}: {}\n", zh ? chinese : en, value));
    };
    line("pictures", "圖片", fmt::format("{}", plan.num_images));
    for (const train::FolderPreview& folder : plan.folders) {
        print_folder(folder, zh);
    }
    for (const data::BucketUse& bucket : plan.buckets) {
        line("bucket", "分桶", fmt::format("{}: {}", data::to_string(bucket.size), bucket.count));
    }
    line("steps", "步數", fmt::format("{} ({} epochs)", plan.steps, plan.epochs));
    line("trained numbers", "訓練參數", fmt::format("{}", plan.num_parameters));
    line("finished file", "輸出檔大小", bytes_text(plan.file_bytes));
    line("weights", "底模權重", bytes_text(plan.weight_bytes));
    line(plan.peak_includes_weights ? "planned peak" : "planned peak above the weights",
         plan.peak_includes_weights ? "記憶體峰值" : "權重以外的記憶體峰值",
         bytes_text(plan.planned_peak_bytes));
    if (plan.device_memory) {
        line("taken before by screen, other programs and driver",
             "螢幕、其他程式與驅動程式已佔用",
             fmt::format("{} / {}",
                         bytes_text(plan.device_memory->taken_bytes),
                         bytes_text(plan.device_memory->total_bytes)));
    }
    line("estimated time", "預估時間", duration_text(plan.estimated_s));
}

Diagnostics all_findings(const Diagnostics& findings, const train::RunPlan& plan) {
    Diagnostics all = findings;
    all.insert(all.end(), plan.warnings.begin(), plan.warnings.end());
    return all;
}

// The options of the settings, with everything they name but the model.
train::TrainOptions read_options(const config::Settings& settings, Diagnostics& findings) {
    train::TrainOptions options = config::train_options(settings);
    const auto is_typed = [&](const char* name) {
        return settings.origin(name) == config::Origin::kCommandLine;
    };
    const bool asked = is_typed("cache_latents") || is_typed("cache_latents_to_disk");
    config::load_dataset_config(options, asked, findings);
    return options;
}

// The batch of 4, 2 or 1 that memory holds (M103).
std::unique_ptr<train::TrainingRun> open_by_memory(const config::Settings& settings,
                                                   const train::TrainOptions& given,
                                                   backend::Backend& backend) {
    train::TrainOptions options;
    auto [batch, run] = choose_batch(given.device.max_memory_bytes, backend, [&](int64_t tried) {
        Diagnostics ignored;  // told once for the settings as they are
        options = read_options(config::with_batch_size(settings, tried), ignored);
        options.sample.prompts = given.sample.prompts;
        options.device.mixed_precision = given.device.mixed_precision;
        return train::TrainingRun::open(options, backend);
    });
    log::info("auto_batch: {} picture(s) a step, learning rate {}",
              batch,
              options.optimizer.learning_rate);
    return std::move(run);
}

OrderedJson tags_json(const std::vector<train::TagKnowledge>& tags) {
    OrderedJson json = OrderedJson::array();
    for (const train::TagKnowledge& tag : tags) {
        json.push_back({{"tag", tag.tag},
                        {"images", tag.num_images},
                        {"gain", tag.gain},
                        {"error", tag.error},
                        {"known", tag.is_known()}});
    }
    return {{"tags", json}};
}

void print_tags(const std::vector<train::TagKnowledge>& tags, bool zh) {
    print_out(zh ? "底模理解的標籤能降低該圖片的 loss;觸發詞本來就應該是不認識的\n"
                 : "a tag that the base model understands lowers the loss of its pictures; a "
                   "trigger should be unknown\n");
    for (const train::TagKnowledge& tag : tags) {
        const char* word = tag.is_known() ? (zh ? "認識" : "known") : (zh ? "不認識" : "unknown");
        print_out(fmt::format("{:>7.2f}% +- {:.2f}  {:<8} {} ({})\n",
                              100 * tag.gain,
                              100 * tag.error,
                              word,
                              tag.tag,
                              tag.num_images));
    }
}

// Instead of training: does the base model understand the captions' tags?
int check_tags(const config::Settings& settings,
               train::TrainOptions options,
               backend::Backend& backend,
               bool zh) {
    options.monitor.probe_every_n_steps = 1;
    options.monitor.asks_every_bucket = true;
    options.monitor.validation_split = 0;
    options.sample.prompts.clear();
    options.save.resume.clear();
    Progress progress(stderr_is_terminal());
    const StopSignals signals;
    const std::vector<train::TagKnowledge> tags =
        train::TrainingRun::open(std::move(options), backend)
            ->check_tags(signals.token(), progress);
    if (settings.flag("json")) {
        print_json(tags_json(tags));
    } else {
        print_tags(tags, zh);
    }
    return 0;
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
    Diagnostics findings = loaded.findings;  // of a file of another program
    for (Diagnostic& finding : config::validate_train(settings)) {
        findings.push_back(std::move(finding));
    }
    raise_errors(findings);
    train::TrainOptions options = read_options(settings, findings);
    raise_errors(findings);
    log_settings(settings);
    log_warnings(findings);
    if (settings.flag("debug_dataset")) return show_dataset(options, context.language);

    options.sample.prompts = read_prompts(settings.text("sample_prompts"));
    const auto backend = open_backend(context, settings);
    options.device.mixed_precision = choose_precision(options.device.mixed_precision, *backend);

    if (settings.flag("check_tags")) {
        const bool zh = context.language == config::Language::kChinese;
        return check_tags(settings, options, *backend, zh);
    }
    const auto run = settings.flag("auto_batch") ? open_by_memory(settings, options, *backend)
                                                 : train::TrainingRun::open(options, *backend);
    if (settings.flag("dry_run")) {
        log_warnings(run->plan().warnings);
        run->estimate_time();
        if (settings.flag("json")) {
            print_json(plan_json(run->plan(), all_findings(findings, run->plan())));
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
        print_json(json);
    }
    return 0;
}

}  // namespace lora::app

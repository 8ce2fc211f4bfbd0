// `lora data plan`: what a run on a folder would be, and a recipe for it.
#include <fmt/format.h>

#include "app/cli/batch_choice.h"
#include "app/cli/data_actions.h"
#include "app/cli/precision.h"
#include "app/cli/progress.h"
#include "app/cli/report.h"
#include "app/cli/terminal.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/utf8.h"
#include "config/recipe.h"
#include "config/validate.h"
#include "data/epoch_plan.h"
#include "data/steps.h"

namespace lora::app {
namespace {

constexpr int64_t kBytesPerRank = 1179648;  // of a LoRA of Stable Diffusion 1.x in fp16 (M129)

struct Plan {
    config::Recipe recipe;
    int64_t images = 0;
    std::vector<data::BucketUse> buckets;
    int64_t steps = 0;
    int64_t epochs = 0;
    std::optional<train::RunPlan> run;  // with a base model
    int64_t network_bytes = 0;          // values in fp16; 0: unknown
    Diagnostics warnings;
};

config::RecipeOptions recipe_options(const config::Settings& settings, const std::string& folder) {
    config::RecipeOptions options;
    options.goal = settings.text("goal");
    options.optimizer_type = settings.text("optimizer_type");
    options.algo = settings.text("algo");
    options.policy = settings.text("tag_policy");
    if (settings.has("train_batch_size")) {
        options.train_batch_size = settings.integer("train_batch_size");
    }
    options.network_dim = settings.integer("network_dim");
    options.resolution = settings.text("resolution");
    options.pretrained_model = settings.text("pretrained_model");
    options.train_data_dir = folder;
    options.reg_data_dir = settings.text("reg_data_dir");
    options.output_name = settings.text("output_name");
    return options;
}

// The settings of a run with these options; what lora train would say is wrong is raised.
config::Settings train_settings(const config::Recipe& recipe, Diagnostics& warnings) {
    config::Loaded loaded = config::load(config::Command::kTrain, config::recipe_words(recipe));
    Diagnostics findings = std::move(loaded.findings);
    for (Diagnostic& finding : config::validate_train(loaded.settings)) {
        // A plan may be made before there is a model.
        const bool model = finding.place.find("pretrained_model") != std::string::npos;
        if (!model || !recipe.text("pretrained_model_name_or_path").empty()) {
            findings.push_back(std::move(finding));
        }
    }
    raise_errors(findings);
    warnings = std::move(findings);
    return std::move(loaded.settings);
}

std::unique_ptr<train::TrainingRun> open_run(const config::Settings& of_train,
                                             const config::Settings& settings,
                                             backend::Backend& backend) {
    train::TrainOptions options = config::train_options(of_train);
    options.device.mixed_precision = choose_precision(settings.text("mixed_precision"), backend);
    return train::TrainingRun::open(options, backend);
}

void plan_with_model(const Context& context,
                     const config::Settings& settings,
                     config::RecipeOptions options,
                     const data::Dataset& dataset,
                     Plan& plan) {
    const auto backend = open_backend(context, settings);
    const auto open = [&](int64_t batch) {
        options.train_batch_size = batch;
        plan.recipe = config::make_recipe(options, dataset);
        return open_run(train_settings(plan.recipe, plan.warnings), settings, *backend);
    };
    std::unique_ptr<train::TrainingRun> run;
    if (settings.has("train_batch_size")) {
        run = open(options.train_batch_size);
    } else {
        options.batch_by_memory = true;
        const auto limit = config::parse_bytes(settings.text("max_memory"));
        run = choose_batch(limit.value_or(0), *backend, open).run;
    }
    run->estimate_time();
    plan.run = run->plan();
    plan.images = plan.run->num_images;
    plan.buckets = plan.run->buckets;
    plan.steps = plan.run->steps;
    plan.epochs = plan.run->epochs;
    plan.network_bytes = 2 * plan.run->num_parameters;
    for (const Diagnostic& d : plan.run->warnings) {
        if (d.severity == Severity::kWarning) plan.warnings.push_back(d);
    }
}

void plan_without_model(const train::TrainOptions& options, data::Dataset dataset, Plan& plan) {
    const data::BucketedDataset data =
        data::assign_buckets(std::move(dataset), data::BucketChooser(options.bucket));
    const int64_t batches = data.num_batches(options.latents.train_batch_size);
    const data::StepPlan steps =
        data::plan_steps(batches,
                         {.gradient_accumulation_steps = options.length.gradient_accumulation_steps,
                          .max_train_steps = options.length.max_train_steps,
                          .max_train_epochs = options.length.max_train_epochs});
    plan.images = std::ssize(data.dataset.images);
    plan.buckets = data.buckets;
    plan.steps = steps.max_train_steps;
    plan.epochs = steps.num_epochs;
    if (plan.recipe.text("network_module").empty()) {
        plan.network_bytes = kBytesPerRank * options.network.network_dim;
    }
}

// Rates are derived by the settings themselves; here they are only given their reason.
void add_rates(const config::Settings& of_train, config::Recipe& recipe) {
    const bool adapts = of_train.number("learning_rate") >= 0.5;
    const std::string algo = recipe.text("network_args");
    const char* base = algo.find("locon") != std::string::npos  ? "8e-5 for a LoCon"
                       : algo.find("loha") != std::string::npos ? "5e-5 for a LoHa"
                                                                : "1e-4 for a LoRA";
    const std::string en =
        adapts ? "a factor of the rate the optimizer finds" : fmt::format("{}, by the batch", base);
    const std::string zh =
        adapts ? "優化器自行找到的學習率的倍數" : fmt::format("{}(依 batch 調整)", base);
    for (const char* name : {"learning_rate", "unet_lr", "text_encoder_lr"}) {
        const bool text = std::string_view(name) == "text_encoder_lr" && !adapts;
        recipe.rows.push_back({name,
                               {of_train.text(name)},
                               {text ? "a tenth: words change more easily than pictures" : en,
                                text ? "十分之一:文字編碼器較易學壞" : zh}});
    }
}

OrderedJson json_of(const Plan& plan, bool zh) {
    const auto say = [zh](const config::Reason& reason) { return zh ? reason.zh : reason.en; };
    OrderedJson buckets = OrderedJson::array();
    for (const data::BucketUse& bucket : plan.buckets) {
        buckets.push_back({{"width", bucket.size.width_px},
                           {"height", bucket.size.height_px},
                           {"count", bucket.count}});
    }
    OrderedJson folders = OrderedJson::array();
    for (const config::RecipeFolder& folder : plan.recipe.folders) {
        folders.push_back({{"name", folder.name},
                           {"images", folder.images},
                           {"repeats", folder.repeats},
                           {"advised_repeats", folder.advised_repeats},
                           {"views", folder.views},
                           {"views_usual", folder.views_usual},
                           {"share", folder.share},
                           {"reason", say(folder.why)}});
    }
    OrderedJson recipe = OrderedJson::array();
    for (const config::RecipeRow& row : plan.recipe.rows) {
        recipe.push_back({{"option", row.option},
                          {"value", fmt::format("{}", fmt::join(row.words, " "))},
                          {"reason", say(row.why)}});
    }
    OrderedJson advice = OrderedJson::array();
    for (const config::Reason& reason : plan.recipe.advice) advice.push_back(say(reason));
    OrderedJson warnings = OrderedJson::array();
    for (const Diagnostic& d : plan.warnings) {
        warnings.push_back(d.place.empty() ? d.text : d.place + ": " + d.text);
    }
    OrderedJson json = {{"images", plan.images},
                        {"folders", folders},
                        {"buckets", buckets},
                        {"steps", plan.steps},
                        {"epochs", plan.epochs},
                        {"usual_views", {plan.recipe.low_views, plan.recipe.high_views}},
                        {"network_bytes", nullptr},
                        {"planned_peak_bytes", nullptr},
                        {"peak_includes_weights", nullptr},
                        {"weight_bytes", nullptr},
                        {"estimated_s", nullptr},
                        {"recipe", recipe},
                        {"advice", advice},
                        {"warnings", warnings}};
    if (plan.network_bytes > 0) json["network_bytes"] = plan.network_bytes;
    if (plan.run) {
        json["planned_peak_bytes"] = plan.run->planned_peak_bytes;
        json["peak_includes_weights"] = plan.run->peak_includes_weights;
        json["weight_bytes"] = plan.run->weight_bytes;
        json["estimated_s"] = plan.run->estimated_s;
    }
    return json;
}

void print_table(const Plan& plan, bool zh) {
    const auto say = [zh](const config::Reason& reason) { return zh ? reason.zh : reason.en; };
    const auto line = [zh](std::string_view en, std::string_view chinese, std::string_view value) {
        print_out(fmt::format("{}: {}\n", zh ? chinese : en, value));
    };
    for (const config::RecipeFolder& folder : plan.recipe.folders) {
        std::string text = fmt::format("{}: {} x {} = {:.0f}%, {} {}{}",
                                       printable(folder.name),
                                       folder.images,
                                       folder.repeats,
                                       100 * folder.share,
                                       folder.views,
                                       zh ? "次" : "views",
                                       folder.views_usual ? "" : " (!)");
        if (folder.advised_repeats != folder.repeats) {
            const size_t at = folder.name.find('_');
            text += fmt::format(" -> {}{}",
                                folder.advised_repeats,
                                at == std::string::npos ? "" : printable(folder.name.substr(at)));
        }
        print_out(fmt::format("{}\n    {}\n", text, printable(say(folder.why))));
    }
    for (const data::BucketUse& bucket : plan.buckets) {
        line("bucket", "分桶", fmt::format("{}: {}", data::to_string(bucket.size), bucket.count));
    }
    line("steps", "步數", fmt::format("{} ({} epochs)", plan.steps, plan.epochs));
    if (plan.network_bytes > 0) {
        line("size of the LoRA",
             "LoRA 大小",
             bytes_text(static_cast<size_t>(plan.network_bytes)) +
                 (plan.run ? "" : " (Stable Diffusion 1.x)"));
    }
    if (plan.run) {
        line("weights", "底模權重", bytes_text(plan.run->weight_bytes));
        line(plan.run->peak_includes_weights ? "planned peak" : "planned peak above the weights",
             plan.run->peak_includes_weights ? "記憶體峰值" : "權重以外的記憶體峰值",
             bytes_text(plan.run->planned_peak_bytes));
        line("estimated time", "預估時間", duration_text(plan.run->estimated_s));
    } else {
        line("memory and time",
             "記憶體與時間",
             zh ? "指定 --pretrained_model 後可得知" : "known with --pretrained_model");
    }
    print_out("\n");
    for (const config::RecipeRow& row : plan.recipe.rows) {
        print_out(fmt::format("{:<30} {:<28} {}\n",
                              row.option,
                              printable(fmt::format("{}", fmt::join(row.words, " "))),
                              printable(say(row.why))));
    }
    for (const config::Reason& reason : plan.recipe.advice) print_out("* " + say(reason) + "\n");
}

}  // namespace

int run_data_plan(const Context& context,
                  const config::Settings& settings,
                  const std::vector<std::string>& inputs) {
    if (inputs.size() != 1) {
        throw Error(ErrorCode::kConfig, "lora data plan wants one folder")
            .with_hint("lora data plan train --pretrained_model model.safetensors");
    }
    if (settings.has("max_memory") && !config::parse_bytes(settings.text("max_memory"))) {
        throw Error(ErrorCode::kConfig,
                    fmt::format("\"{}\" is no amount of memory", settings.text("max_memory")))
            .with_hint("write 3G or 800M");
    }
    const std::string to = settings.text("write");
    if (!to.empty() && path_exists(to)) {
        throw Error(ErrorCode::kIo, fmt::format("{} exists already and stays as it is", to))
            .with_hint("choose another name, or move that file away");
    }
    const config::RecipeOptions options = recipe_options(settings, inputs.front());
    data::DatasetOptions folders;
    folders.train_data_dir = options.train_data_dir;
    folders.reg_data_dir = options.reg_data_dir;
    folders.caption_extension = settings.text("caption_extension");
    folders.folder_names = data::FolderScheme::kGuide;
    folders.check_pixels = false;
    data::ScanResult scanned = data::scan_dataset(folders);
    Plan plan;
    config::Settings of_train;
    if (!options.pretrained_model.empty()) {
        plan_with_model(context, settings, options, scanned.dataset, plan);
        of_train = train_settings(plan.recipe, plan.warnings);
    } else {
        plan.recipe = config::make_recipe(options, scanned.dataset);
        of_train = train_settings(plan.recipe, plan.warnings);
        plan_without_model(config::train_options(of_train), std::move(scanned.dataset), plan);
    }
    add_rates(of_train, plan.recipe);
    const bool zh = context.language == config::Language::kChinese;
    settings.flag("json") ? print_json(json_of(plan, zh), 1) : print_table(plan, zh);
    if (!to.empty()) {
        const std::string text = config::recipe_toml(plan.recipe.rows, zh);
        if (!is_valid_utf8(text)) {
            throw Error(ErrorCode::kConfig,
                        "a path is no valid UTF-8: no settings file can name it");
        }
        write_file_atomically(to, text);
        log::info("{} written: lora train --config_file {}", to, to);
    }
    return 0;
}

}  // namespace lora::app

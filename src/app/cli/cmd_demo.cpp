// `lora demo`: trains zorp on the mini model, draws sheet and curve, says whether it was learned.
#include <chrono>

#include <fmt/format.h>

#include "app/cli/command.h"
#include "app/cli/progress.h"
#include "app/cli/stop.h"
#include "app/cli/terminal.h"
#include "app/demo/demo.h"
#include "app/demo/plot.h"
#include "base/file.h"
#include "base/log.h"
#include "io/png.h"

namespace lora::app {
namespace {

DemoOptions demo_options(const config::Settings& settings) {
    DemoOptions options;
    options.out = settings.text("out");
    options.train_data_dir = settings.text("train_data_dir");
    options.lora = settings.text("lora");
    options.max_train_steps = settings.integer("max_train_steps");
    if (settings.has("learning_rate")) options.learning_rate = settings.number("learning_rate");
    options.seed = static_cast<uint64_t>(settings.integer("seed"));
    return options;
}

}  // namespace

int run_demo(const Context& context, const config::Loaded& loaded) {
    const config::Settings& settings = loaded.settings;
    const DemoOptions options = demo_options(settings);
    const DemoAssets assets = find_demo_assets();
    const auto backend = open_backend(context, settings);
    const StopSignals signals;
    const auto start = std::chrono::steady_clock::now();

    std::string lora = options.lora;
    std::vector<double> losses;
    if (lora.empty()) {
        Progress progress(stderr_is_terminal());
        losses = train_demo(options, assets, *backend, signals.token(), progress);
        lora = join_path(options.out, "zorp.safetensors");
    }
    const std::chrono::duration<double> trained = std::chrono::steady_clock::now() - start;
    log::info("drawing and judging pictures");
    const DemoJudgement judgement = judge_demo(lora, assets, *backend, signals.token());
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;

    make_directories(options.out);
    io::write_png(join_path(options.out, "sheet.png"), judgement.sheet);
    if (!losses.empty()) {
        io::write_png(join_path(options.out, "loss.png"), draw_loss_curve(losses, "loss of zorp"));
    }
    OrderedJson report = judgement.verdict.json();
    report["steps"] = losses.size();
    report["seed"] = options.seed;
    report["seconds"] = took.count();
    report["seconds_of_training"] = trained.count();
    write_file_atomically(join_path(options.out, "report.json"), report.dump(2) + "\n");
    if (settings.flag("json")) {
        print_json(report);
    } else {
        print_out(judgement.verdict.line() + "\n");
    }
    return judgement.verdict.learned() ? 0 : 1;
}

}  // namespace lora::app

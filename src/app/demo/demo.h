// `lora demo` in pieces: where the assets are, the training, the verdict, the contact sheet.
// Errors   those of training and sampling; kIo when the assets are not beside the program.
// Threads  one thread.
#pragma once

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "app/demo/picture_check.h"
#include "app/picture_maker.h"
#include "base/json.h"
#include "train/events.h"

namespace lora::app {

struct DemoOptions {
    std::string out = "demo-out";
    std::string train_data_dir;   // empty: the demo's own pictures
    std::string lora;             // judge this file instead of training
    int64_t max_train_steps = 0;  // 0: the demo's own number
    std::optional<double> learning_rate;
    uint64_t seed = 1337;
};

// Folders and files that come with the program.
struct DemoAssets {
    std::string model;
    std::string train_data_dir;
    std::string heldout;
};
// Looks in `assets` beside the program, one and two folders up, and in the working directory.
[[nodiscard]] DemoAssets find_demo_assets();

// fp32 on a processor, so that its losses can be compared between machines; bf16 on a card that
// has it.
[[nodiscard]] DType demo_dtype(const backend::Backend& backend);

// Trains zorp; the file is `<out>/zorp.safetensors`. Returns the losses of the steps.
std::vector<double> train_demo(const DemoOptions& options,
                               const DemoAssets& assets,
                               backend::Backend& backend,
                               const std::stop_token& stop,
                               train::EventSink& events);

// A prompt of the sheet; training never saw its combination.
struct DemoPrompt {
    std::string_view text;
    std::string_view background;
};
[[nodiscard]] std::vector<DemoPrompt> demo_prompts();

struct DemoVerdict {
    double probe_base = 0;
    double probe_lora = 0;
    int pictures = 0;  // judged with the LoRA, and as many without
    int picture_base = 0;
    int picture_lora = 0;
    std::vector<std::string> details;  // one line a judged picture
    [[nodiscard]] bool learned() const;
    // "learned: yes (...)"
    [[nodiscard]] std::string line() const;
    [[nodiscard]] OrderedJson json() const;
};

struct DemoJudgement {
    DemoVerdict verdict;
    io::Image sheet;
};

// Measures the probe loss, draws the sheet (rows: prompts; columns: without, 0.5, 1.0, 1.5) and
// judges pictures with and without the LoRA.
[[nodiscard]] DemoJudgement judge_demo(const std::string& lora_path,
                                       const DemoAssets& assets,
                                       backend::Backend& backend,
                                       const std::stop_token& stop);

}  // namespace lora::app

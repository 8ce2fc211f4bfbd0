// The demo's training run: settings found by trial on the mini model.
#include <algorithm>

#include <fmt/format.h>

#include "app/demo/demo.h"
#include "base/error.h"
#include "base/file.h"
#include "train/training_run.h"

namespace lora::app {
namespace {

constexpr int64_t kSteps = 400;
constexpr double kRate = 2e-3;

// A rate of 0 must still run, so that the verdict can say no: this small, nothing moves.
constexpr double kNoRate = 1e-30;

train::TrainOptions demo_training(const DemoOptions& options,
                                  const DemoAssets& assets,
                                  DType dtype) {
    const double rate = std::max(options.learning_rate.value_or(kRate), kNoRate);
    train::TrainOptions train;
    train.model.pretrained_model_name_or_path = assets.model;
    train.model.clip_skip = 1;
    train.dataset.train_data_dir =
        options.train_data_dir.empty() ? assets.train_data_dir : options.train_data_dir;
    train.dataset.caption_extension = ".txt";
    train.bucket.resolution = {128, 128};
    train.bucket.min_bucket_reso_px = 64;
    train.bucket.max_bucket_reso_px = 256;
    train.caption.shuffle_caption = true;
    train.caption.keep_tokens = 1;
    train.latents.train_batch_size = 4;
    train.network.network_dim = 16;
    train.network.network_alpha = 8;
    train.optimizer.learning_rate = rate;
    train.optimizer.unet_lr = rate;
    train.optimizer.text_encoder_lr = rate;
    train.optimizer.lr_scheduler = "cosine";
    train.length.max_train_steps = options.max_train_steps > 0 ? options.max_train_steps : kSteps;
    train.device.mixed_precision = dtype == DType::kBF16 ? "bf16" : "no";
    train.save.output_dir = options.out;
    train.save.output_name = "zorp";
    train.save.save_precision = "fp16";
    train.log.logging_dir = join_path(options.out, "logs");
    train.seed = options.seed;
    return train;
}

// Passes events on and keeps the losses.
class LossKeeper final : public train::EventSink {
public:
    explicit LossKeeper(train::EventSink& next) : next_(next) {}
    void on_event(const train::Event& event) override {
        if (const auto* step = std::get_if<train::StepDone>(&event)) losses.push_back(step->loss);
        next_.on_event(event);
    }
    std::vector<double> losses;

private:
    train::EventSink& next_;
};

}  // namespace

DemoAssets find_demo_assets() {
    const std::string program = program_folder();
    const std::string places[] = {join_path(program, "assets"),
                                  join_path(program, "../assets"),
                                  join_path(program, "../../assets"),
                                  "assets"};
    for (const std::string& place : places) {
        DemoAssets assets{join_path(place, "mini/mini-sd.safetensors"),
                          join_path(place, "demo"),
                          join_path(place, "heldout")};
        if (path_exists(assets.model) && is_directory(assets.train_data_dir) &&
            is_directory(assets.heldout)) {
            return assets;
        }
    }
    throw Error(ErrorCode::kIo, fmt::format("there is no folder assets beside {}", program))
        .with_hint("copy the folder assets that came with the program beside it");
}

DType demo_dtype(const backend::Backend& backend) {
    const bool is_card = backend.name() == "cuda" && backend.preferred_dtype() == DType::kBF16;
    return is_card ? DType::kBF16 : DType::kF32;
}

std::vector<double> train_demo(const DemoOptions& options,
                               const DemoAssets& assets,
                               backend::Backend& backend,
                               const std::stop_token& stop,
                               train::EventSink& events) {
    LossKeeper keeper(events);
    const auto run =
        train::TrainingRun::open(demo_training(options, assets, demo_dtype(backend)), backend);
    remove_directory(join_path(options.out, "logs"));  // of an earlier demo in the same folder
    run->train(stop, keeper);
    return std::move(keeper.losses);
}

}  // namespace lora::app

// What a TrainingRun holds. training_run.cpp opens and plans, run_training.cpp encodes and
// prepares, run_session.cpp trains.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "data/loader.h"
#include "train/ema.h"
#include "train/internal/step_memory.h"
#include "train/latents.h"
#include "train/metadata.h"
#include "train/probe.h"
#include "train/run_saver.h"
#include "train/state.h"
#include "train/train_step.h"
#include "train/training_run.h"

namespace lora::train {

struct TrainingRun::Impl {
    TrainOptions options;
    backend::Backend* backend = nullptr;
    RunPlan plan;
    RunIdentity identity;
    std::string resume;  // state folder; empty: a fresh run
    std::shared_ptr<const io::SafetensorsFile> model_file;
    std::shared_ptr<const io::SafetensorsFile> vae_file;
    models::ModelInfo info;
    models::VaeConfig vae;
    DType dtype = DType::kF32;
    data::BucketedDataset data;
    data::StepPlan steps;
    std::unique_ptr<TrainStep> step;
    std::unique_ptr<TrainStep> evaluator;  // forward only; none when nothing is measured
    ProbePlan probe_plan;
    data::BucketedDataset validation;     // pictures that were set aside
    std::optional<Settings> fixed_found;  // fixed(), until pictures are left out
    int64_t max_piece = 0;  // of a batch that the device has no room for; 0: whole batches

    void find_resume();
    void open_model();
    // What the options leave to the model: its prediction, SD 2.x's text encoder layer.
    void settle_model_options();
    void scan();
    void plan_steps();
    [[nodiscard]] TrainModel make_model(const NetworkOptions& network) const;
    [[nodiscard]] StepShape shape_of(data::ImageSize size, int64_t batch) const;
    [[nodiscard]] std::vector<StepShape> shapes_of(const data::BucketedDataset& pictures) const;
    [[nodiscard]] std::vector<StepShape> step_shapes() const { return shapes_of(data); }
    [[nodiscard]] uint64_t validation_seed() const {
        return options.monitor.validation_seed.value_or(identity.seed);
    }
    [[nodiscard]] StepMemory step_memory(const TrainModel& model) const;
    [[nodiscard]] size_t host_bytes(const Network& network) const;
    [[nodiscard]] std::string memory_hint(const std::vector<StepShape>& shapes) const;
    [[nodiscard]] TrainStepOptions loss_options() const;
    void make_step();
    // For what is measured while training.
    void make_evaluator();
    void compile_evaluator(WeightStore& weights, const ParameterBuffers& buffers);
    void fill_plan();
    // Plans the step anew for a device that had no room. Errors  `why`, with a hint, when it
    // cannot be made smaller.
    void make_smaller(const Error& why);
    // With a smaller plan when the device has no room for this one.
    void compile_step(WeightStore& weights, const ParameterBuffers& buffers);
    [[nodiscard]] EncodeRequest encode_request() const;
    // Reads whole files the first time: masks, base_weights.
    [[nodiscard]] const Settings& fixed();
    // `with_data`: the pictures too, once those that cannot be decoded are left out.
    void check_state(bool with_data);
    void drop_pictures(const std::vector<UnreadablePicture>& unreadable);
    [[nodiscard]] LatentStore encode(EventSink& events);
    void add_masks(const EncodeRequest& request, LatentStore& store) const;
    [[nodiscard]] LatentStore encode_validation();
    // The network as a fresh run finds it: `without_effect`, or what network_weights holds.
    [[nodiscard]] std::vector<float> start_values(std::vector<float> without_effect) const;
    // First values, or those of the state that is resumed.
    [[nodiscard]] Progress fill_buffers(const ParameterBuffers& buffers,
                                        std::span<const float> start,
                                        Optimizer& optimizer,
                                        Ema* ema) const;
    [[nodiscard]] OptimizerSpec spec() const;
    [[nodiscard]] ParameterGroups parameter_groups() const;
    [[nodiscard]] std::string plan_text() const;
    struct Session;  // run_session.cpp
    RunResult train(const std::stop_token& stop, EventSink& events);
    [[nodiscard]] std::vector<TagKnowledge> check_tags(const std::stop_token& stop,
                                                       EventSink& events);
    void announce(EventSink& events, const std::string& run) const;
    [[nodiscard]] data::LoaderOptions loader_options(const Progress& progress) const;
    [[nodiscard]] data::LoaderOptions validation_loader() const;
    [[nodiscard]] bool captions_are_fixed() const;
    // No latent can be kept: color_aug, random_crop or face_crop_aug_range somewhere.
    [[nodiscard]] bool changes_pixels() const;
    void preview_folders();
};

// Notes as information, the rest as warnings.
void log_diagnostics(const Diagnostics& list);

}  // namespace lora::train

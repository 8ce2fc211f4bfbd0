// One micro-step: forward, loss and gradients of a batch, as one planned graph for every (bucket,
// batch size); or forward and loss alone. A batch for which the device has no room is worked off in
// pieces that give the same loss and gradients. Not the update (optimizer.h), not the loop
// (trainer.h).
// Shapes   latents and noise [N, 4, h, w] fp32; token ids [N, C, 77]; context [N, 75 C + 2, D].
// Threads  one thread.
// Source   Ho et al., arXiv:2006.11239 (loss); training-semantics 5.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "backend/backend.h"
#include "diffusion/loss_weight.h"
#include "diffusion/noise_schedule.h"
#include "tensor/tensor.h"
#include "train/optimizer.h"
#include "train/train_model.h"
#include "train/weight_binding.h"

namespace lora::train {

struct StepShape {
    int64_t batch = 1;
    int64_t latent_height = 0;
    int64_t latent_width = 0;
    int64_t num_chunks = 1;  // windows of 77 tokens a caption
    bool operator<(const StepShape& other) const;
};

struct TrainStepOptions {
    diffusion::LossWeightOptions loss_weight;
    bool zero_terminal_snr = false;  // of the noise; weights follow the plain schedule
    bool perturbs_noise = false;     // latents are mixed with StepInputs::perturbed_noise
    ir::LossKind loss = ir::LossKind::kL2;
    diffusion::HuberOptions huber;
    bool masks_loss = false;                  // by StepInputs::mask
    bool weighs_tokens = false;               // by StepInputs::token_weights
    int64_t gradient_accumulation_steps = 1;  // above 1: gradients are added to the buffer
    int64_t max_piece = 0;                    // most samples that run at once; 0: whole batches
    bool forward_only = false;                // losses without gradients
    FrozenParts frozen = {};                  // computed with, but without gradients
    bool cache_contexts = false;              // captions never change: remember their states
    bool keep_prediction = false;             // prediction() can be read
    // Gradients are multiplied by set_loss_scale(): the input "gradient_weights" [N] takes the
    // place of "loss_weights" in the backward pass.
    bool scale_loss = false;
    plan::PlanOptions plan = {};
    // Gradients are added to the buffer.
    [[nodiscard]] bool accumulates() const {
        return gradient_accumulation_steps > 1 || max_piece > 0;
    }
};

struct StepInputs {
    Tensor latents;  // scaled
    Tensor noise;
    Tensor perturbed_noise;                // empty unless the step perturbs it
    std::vector<int64_t> timesteps;        // [N], 0..999
    Tensor token_ids;                      // I32 [N, C, 77]
    std::vector<float> loss_weights;       // [N] the samples' own; those by timestep come on top
    Tensor mask;                           // [N, 1, h, w] of the loss; empty: ones
    Tensor token_weights;                  // [N, 75 C + 2] of the context's positions; empty: ones
    std::array<int32_t, 4> dropout_key{};  // seed and micro-step, low words first
};

struct StepResult {
    double loss = 0;            // not divided by the accumulation steps
    std::vector<float> losses;  // [N] unweighted
};

// The graph of a micro-step. Inputs "latents", "noise", "perturbed_noise" if any, "timesteps",
// "loss_weights", "noisy.of_latent", "noisy.of_noise", for v prediction "target.of_latent",
// "target.of_noise", and "token_ids" [N * C, 77] when the text encoder is trained, else "context";
// as the options ask, "huber_c" [N], "mask" [N, 1, h, w], "token_weights" [N, 75 C + 2, D] (only
// with "token_ids"; "context" has them in it), "dropout_key" [4].
// Outputs "loss", "losses", "prediction". `trained` receives the keys of the parameters that have a
// gradient "grad.<key>".
[[nodiscard]] ir::Graph build_step_graph(const TrainModel& model,
                                         const StepShape& shape,
                                         const TrainStepOptions& options,
                                         std::set<std::string>& trained);
// Text encoder alone, one caption: input "token_ids" [C, 77], output "context" [1, 75 C + 2, D].
[[nodiscard]] ir::Graph build_context_graph(const TrainModel& model, int64_t num_chunks);

class TrainStep {
public:
    // The backend must outlive the object.
    TrainStep(backend::Backend& backend, TrainModel model, const TrainStepOptions& options);

    // Writes and plans the graph of one shape. Call for all shapes before compile().
    void add_shape(const StepShape& shape);
    // Plans all shapes anew for an arena of at most so many bytes (0: no limit) and pieces of at
    // most so many samples (0: whole batches). Everything must be compiled again afterwards.
    // Errors  kOutOfMemory when one of them cannot be made that small; nothing has changed then.
    void replan(size_t max_arena_bytes, int64_t max_piece);
    // Plans all shapes anew with other parts frozen; everything must be compiled again afterwards.
    void freeze(const FrozenParts& parts);
    // Binds weights and parameters, makes the executables of all shapes and everything that their
    // first runs would have to wait for.
    void compile(WeightStore& weights, const ParameterBuffers& parameters);
    // Adds the batch's gradients to the buffer (or replaces them unless accumulates()). The loss
    // may be anything, also not finite.
    StepResult run(const StepInputs& inputs);
    // Gradients are added: somebody has to zero the buffer after each update.
    [[nodiscard]] bool accumulates() const { return options_.accumulates(); }
    // Its plans are used up: replan() before the next compile().
    [[nodiscard]] bool is_compiled() const { return inputs_ != nullptr; }
    // Most samples that run at once.
    [[nodiscard]] int64_t largest_piece() const;

    // With scale_loss, for the runs to come. 1 at first.
    void set_loss_scale(double scale) { loss_scale_ = scale; }

    // After run(), with keep_prediction: [N, 4, h, w].
    [[nodiscard]] Tensor prediction() const;
    [[nodiscard]] const TrainModel& model() const { return model_; }
    // Keys of the parameters that have a gradient; the same for all shapes.
    [[nodiscard]] const std::set<std::string>& trained() const { return trained_; }
    // Largest arena of the planned shapes.
    [[nodiscard]] size_t arena_bytes() const;
    // What a limit of the arena costs: estimated time of a step over that without a limit, the most
    // of all shapes.
    [[nodiscard]] double slowdown() const;
    // Buffer that holds the inputs of any shape.
    [[nodiscard]] size_t input_bytes() const;
    // All planned graphs as text, hashed: changes when a plan does.
    [[nodiscard]] uint64_t plan_identity() const;
    [[nodiscard]] const plan::MemoryPlan& plan(const StepShape& shape) const;
    // For timing one shape's nodes.
    [[nodiscard]] backend::Executable& executable(const StepShape& shape);

private:
    struct Planned {
        plan::MemoryPlan plan;  // moved into the executable by compile()
        std::map<std::string, size_t> input_offsets;
        size_t input_bytes = 0;
        std::unique_ptr<backend::Executable> executable;
    };
    [[nodiscard]] Planned make_planned(ir::Graph graph) const;
    void plan_anew(const TrainStepOptions& options);
    [[nodiscard]] const plan::MemoryPlan& plan_of(const Planned& planned) const;
    void compile_one(Planned& planned, WeightStore& weights, const ParameterBuffers& parameters);
    void write(const Planned& planned, const std::string& name, std::span<const std::byte> bytes);
    void write_factors(const Planned& planned, const StepInputs& inputs);
    [[nodiscard]] const std::vector<float>& context_of(std::span<const int32_t> ids);
    void write_context(const Planned& planned, const StepInputs& inputs);
    [[nodiscard]] std::vector<int64_t> pieces_of(int64_t batch) const;
    StepResult run_piece(const StepInputs& inputs);
    void write_token_weights(const Planned& planned, const StepInputs& inputs);
    void write_mask(const Planned& planned, const StepInputs& inputs);

    backend::Backend* backend_;
    TrainModel model_;
    TrainStepOptions options_;
    diffusion::NoiseSchedule schedule_;
    diffusion::NoiseSchedule plain_schedule_;
    std::map<StepShape, Planned> shapes_;  // of pieces
    std::set<StepShape> wanted_;           // of whole batches
    std::unique_ptr<Planned> context_;     // when the text encoder is not trained
    std::set<std::string> trained_;
    std::shared_ptr<backend::Buffer> inputs_;
    std::map<std::vector<int32_t>, std::vector<float>> contexts_;
    StepShape last_;
    double loss_scale_ = 1;
};

}  // namespace lora::train

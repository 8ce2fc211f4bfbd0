// A fixed set of questions to the model: some of the run's pictures with fixed noise and timesteps.
// Asked once of the base model, they tell what loss to expect at a timestep (expected_loss.h); a
// part of them, asked again and again while training, gives a curve without the noise of the
// training loss. Nothing of it touches the training. Not when to ask (monitor.h), not pictures that
// were set aside (validation.h). Threads  one thread.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "data/loader.h"
#include "train/expected_loss.h"
#include "train/optimizer.h"
#include "train/train_options.h"
#include "train/train_step.h"

namespace lora::train {

// One batch of questions: pictures of one bucket.
struct ProbeBatch {
    data::BatchPlan pictures;
    std::vector<int64_t> timesteps;
};

struct ProbePlan {
    std::vector<ProbeBatch> batches;  // asked of the base model
    size_t num_repeated = 0;          // the first so many are asked again while training
    [[nodiscard]] bool empty() const { return batches.empty(); }
};

struct ProbePlanOptions {
    int64_t batch_size = 1;
    int64_t num_samples = 0;  // about so many of the base model; 0: no probe
    int64_t num_repeated = 0;
    int64_t min_timestep = 0;
    int64_t max_timestep = 1000;
    std::vector<int64_t> images = {};  // of these pictures alone; empty: of all
};
// How many questions a run of so many samples (updates times pictures) can afford: some 1 % of its
// time for the base model; so few repeated ones that a dozen evaluations stay below 2 %. None for
// runs of a few hundred samples, unless `wanted`.
[[nodiscard]] ProbePlanOptions probe_budget(int64_t run_samples, int64_t batch_size, bool wanted);

// Pictures in turn (no regularisation ones) out of the three fullest buckets, timesteps spread
// evenly over the range however many of them are looked at.
[[nodiscard]] ProbePlan plan_probe(const data::BucketedDataset& data,
                                   const ProbePlanOptions& options);

// Losses over those of the base model for the same questions: 1 where nothing was learned.
struct ProbeResult {
    double loss = 0;      // mean, unweighted
    double relative = 1;  // mean of the ratios
    // At timesteps 667 and above (layout), 333 to 666 (form), below (detail); nothing where no
    // question lies.
    std::array<std::optional<double>, 3> bands;
    std::vector<std::pair<std::string, double>> concepts;  // with more than one training folder
    double ms = 0;
};

class Probe {
public:
    // Everything must outlive the probe.
    struct Parts {
        const data::BucketedDataset* data = nullptr;
        data::LoaderOptions loader;  // asked of plain captions and pictures as they are
        data::LatentSource latents;
        std::function<void(data::Batch&)> fill_masks = {};  // may be empty
        const LossOptions* loss = nullptr;
        uint64_t seed = 0;
        TrainStep* evaluator = nullptr;  // forward only, compiled
        const ParameterBuffers* buffers = nullptr;
    };
    Probe(Parts parts, const ProbePlan& plan);

    // Asks the base model, whose parameters `base` are (of no effect, as a fresh network's).
    void measure_base(std::span<const float> base);
    // Takes over what an earlier session measured. False when it belongs to other questions.
    bool restore_base(const std::vector<ExpectedLoss::Point>& points);
    [[nodiscard]] const ExpectedLoss& expected() const { return expected_; }
    // Time of asking the repeated questions, measured with the base model; 0: it was restored.
    [[nodiscard]] double repeated_ms() const { return repeated_ms_; }

    // The model as it stands.
    [[nodiscard]] ProbeResult ask();
    // relative of the model with its LoRA at other weights: entries that are zero in `base`, which
    // has no effect, are multiplied (once a module).
    [[nodiscard]] std::vector<double> sweep(const Network& network,
                                            std::span<const float> base,
                                            std::span<const double> weights);

private:
    struct Question {
        StepInputs inputs;
        std::vector<std::string> concepts;  // by sample
    };
    [[nodiscard]] std::vector<float> answers(size_t first, size_t count);
    [[nodiscard]] double relative_of(std::span<const float> losses) const;

    Parts parts_;
    std::vector<Question> questions_;
    size_t num_repeated_ = 0;
    std::vector<double> base_losses_;  // of the repeated questions
    ExpectedLoss expected_;
    double repeated_ms_ = 0;
};

// The weight whose loss is least, by a parabola through the lowest of the values and its
// neighbours.
[[nodiscard]] double best_weight(std::span<const double> weights, std::span<const double> losses);

}  // namespace lora::train

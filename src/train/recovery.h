// What a run falls back to when a step is not finite: the last state known to be good, kept in the
// machine's memory; at the second failure in a row the newest older state on disk, if there is one.
// Each time the rates are halved for the rest of the run; the third failure in a row ends it.
// Not the states on disk themselves (run_saver.h, state.h), not fp16's loss scale (loss_scaler.h).
// Memory   one copy of the parameters, their average and the optimizer's states.
// Threads  one thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "data/batch.h"
#include "data/epoch_plan.h"
#include "train/ema.h"
#include "train/optimizer.h"
#include "train/run_saver.h"
#include "train/train_step.h"

namespace lora::train {

class Recovery {
public:
    static constexpr int64_t kKeepEvery = 100;  // updates between two copies
    static constexpr int64_t kMostFailures = 3;
    static constexpr double kRateFactor = 0.5;

    // Everything must outlive the object.
    struct Parts {
        const SaveOptions* save = nullptr;
        RunIdentity identity;  // only states of this very run count
        const Network* network = nullptr;
        const ParameterBuffers* buffers = nullptr;
        Optimizer* optimizer = nullptr;
        Ema* ema = nullptr;  // may be null
    };
    explicit Recovery(const Parts& parts) : parts_(parts) {}

    // Before the first update and after each: copies what the run stands at when a copy is due,
    // unless some of it is not finite.
    void keep(const Progress& progress);
    // After the failure of update `failed.step` + 1: puts parameters and states back and returns
    // where they stood, with the smaller rate. Nothing when it is one failure too many; they are
    // put back then too.
    [[nodiscard]] std::optional<Progress> go_back(const Progress& failed);
    // Where the run stood at the last go_back().
    [[nodiscard]] const Progress& good() const { return kept_->progress; }

private:
    struct Kept {
        Progress progress;
        std::vector<float> values;
        std::vector<StateContent> states;
    };
    [[nodiscard]] std::optional<Kept> older_on_disk() const;
    void put_back() const;

    Parts parts_;
    std::optional<Kept> kept_;
    int64_t failures_ = 0;  // in a row
    int64_t failed_step_ = 0;
};

// What is not finite, the most telling first: a parameter, the pictures whose loss it is, a
// gradient; and the largest parameter, which is large when rates were too high.
[[nodiscard]] std::string numeric_cause(const Network& network,
                                        const ParameterBuffers& buffers,
                                        const data::BucketedDataset& data,
                                        const data::Batch& batch,
                                        const StepResult& result);

}  // namespace lora::train

// The random part of a micro-step: noise and timesteps, keyed by (seed, micro-step, sample), so
// that they are the same on every backend and after every resume. Threads  pure. Source:
// training-semantics 5.2 and 5.3.
#pragma once

#include <cstdint>

#include "data/batch.h"
#include "train/train_options.h"
#include "train/train_step.h"

namespace lora::train {

// `micro_step` counts from 0 over the whole run. `batch.latents` are scaled.
[[nodiscard]] StepInputs make_step_inputs(const data::Batch& batch,
                                          const LossOptions& options,
                                          uint64_t seed,
                                          int64_t micro_step);

}  // namespace lora::train

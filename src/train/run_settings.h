// The options of a run as the train state remembers them, and what can be told wrong about options
// before anything is opened.
// Threads  pure.
#pragma once

#include <string>

#include "backend/backend.h"
#include "base/diagnostic.h"
#include "data/epoch_plan.h"
#include "data/steps.h"
#include "train/lr_schedule.h"
#include "train/optimizer.h"
#include "train/state.h"
#include "train/train_options.h"

namespace lora::train {

// Everything the numbers of a step depend on; must be the same to resume.
[[nodiscard]] Settings fixed_settings(const TrainOptions& options,
                                      const data::BucketedDataset& data,
                                      const std::string& model_identity,
                                      DType dtype);
// What may change between a stop and a resume, with a warning.
[[nodiscard]] Settings free_settings(const TrainOptions& options);

// The compute type of mixed_precision on this device; a warning says when it is another one.
[[nodiscard]] DType compute_dtype(const DeviceOptions& options,
                                  const backend::Backend& backend,
                                  Diagnostics& warnings);

// The pictures of the run, some of them set aside; `seed` is the run's.
[[nodiscard]] data::DatasetOptions dataset_options(const TrainOptions& options, uint64_t seed);
[[nodiscard]] data::StepOptions step_options(const LengthOptions& options);

// Of loss_type and its threshold. Errors  kConfig naming the word that is not known.
[[nodiscard]] ir::LossKind loss_kind(const LossOptions& options);
[[nodiscard]] diffusion::HuberOptions huber_options(const LossOptions& options);

[[nodiscard]] LrScheduleOptions lr_schedule_options(const OptimizerOptions& options,
                                                    int64_t max_train_steps);
// Parts whose training has ended before the given epoch (1-based).
[[nodiscard]] FrozenParts frozen_parts(const NetworkOptions& options, int64_t epoch);
// Rates at multiplier 1; a part that is not trained has 0.
[[nodiscard]] Rates base_rates(const OptimizerOptions& options, const NetworkOptions& network);

}  // namespace lora::train

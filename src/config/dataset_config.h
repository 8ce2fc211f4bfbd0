// The description of a data set (--dataset_config, TOML or JSON): general, datasets, subsets.
//   [general] / [[datasets]] / [[datasets.subsets]]
// A value is looked for in the subset, its data set, general, then the run's settings.
// Not here: looking into the folders (data/dataset.h).
// Errors   kFormat: not TOML or JSON. What is wrong inside is a Diagnostic naming the table.
// Source   training-semantics 1.5; sd-scripts library/config_util.py for names and places.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/diagnostic.h"
#include "train/train_options.h"

namespace lora::config {

// `run` holds what the settings say; `what` names the text.
[[nodiscard]] std::vector<data::DatasetPlan> parse_dataset_config(std::string_view text,
                                                                  const std::string& what,
                                                                  const train::TrainOptions& run,
                                                                  Diagnostics& findings);

// Reads the file that `options.dataset.dataset_config` names, if any, into options.dataset.plans.
// `cache_latents_given`: somebody asked for kept latents, so pictures that change are an error;
// otherwise they are encoded as they are trained.
void load_dataset_config(train::TrainOptions& options,
                         bool cache_latents_given,
                         Diagnostics& findings);

}  // namespace lora::config

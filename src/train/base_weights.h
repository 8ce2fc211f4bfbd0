// base_weights: LoRA files merged into the base model before a training, tensor by tensor as the
// graphs ask for them. The model file stays as it is.
// Errors   kFormat for a file that is no LoRA of this model.
// Threads  one thread.
// Source   training-semantics 6.4: W += multiplier * dW in fp32.
#pragma once

#include <span>

#include "models/family.h"
#include "train/network.h"
#include "train/train_options.h"
#include "train/weight_binding.h"

namespace lora::train {

// The model's tensors, `base`, with the LoRA files of the options merged into those that they
// change. Just `base` when there are none.
[[nodiscard]] TensorSource merged_source(backend::Backend& backend,
                                         const models::ModelInfo& info,
                                         const NetworkOptions& options,
                                         TensorSource base);

// Sets the magnitudes (DoRA) of every module to the lengths of its weight's rows, as `source` has
// the weight, rounded to `dtype`: the change of the weight is then zero.
void fill_magnitudes(const Network& network,
                     const models::ModelInfo& info,
                     const TensorSource& source,
                     DType dtype,
                     std::span<float> values);

}  // namespace lora::train

// What the guide advises about pictures and length of a run: views of each picture, repeats, shares
// of the concepts, regularisation pictures, triggers that mean something already.
// Notes only; nothing here stops a run.
// Threads  pure.
// Source   the guide's items on training data and length (requirements M107, M114, M118 to M122,
// M130,
//          M134, M135, M139).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/diagnostic.h"
#include "data/epoch_plan.h"
#include "data/steps.h"
#include "io/safetensors.h"
#include "train/train_options.h"

namespace lora::train {

// Epochs times repeats that suit an optimizer: 50 to 100, and for DAdaptAdam up to 1.4 times that.
struct ViewRange {
    int64_t low = 50;
    int64_t high = 100;
};
[[nodiscard]] ViewRange usual_views(std::string_view optimizer_type);

// Repeats for a folder of so many pictures: 5 to 8, more for small ones.
struct RepeatRange {
    int64_t low = 5;
    int64_t high = 8;
};
[[nodiscard]] RepeatRange usual_repeats(int64_t num_images);

// What else a trigger means; empty when nothing comes to mind. "a tag of its own" for words of
// everyday captions, "one word the model knows" for what the tokenizer keeps whole.
[[nodiscard]] std::string other_meaning(std::string_view trigger);

// A note when the file's metadata tells that the base model was merged from others: by the words of
// AUTOMATIC1111's merger and of modelspec.
[[nodiscard]] std::optional<Diagnostic> advise_on_model(const io::SafetensorsFile& model);

[[nodiscard]] Diagnostics advise(const TrainOptions& options,
                                 const data::BucketedDataset& data,
                                 const data::StepPlan& steps);

}  // namespace lora::train

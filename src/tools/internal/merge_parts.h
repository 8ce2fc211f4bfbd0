// What the merges share.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "tools/lora_layers.h"
#include "tools/lora_result.h"
#include "tools/merge.h"

namespace lora::tools::internal {

// Opened files in the order of the inputs. Errors  kConfig when there is none.
[[nodiscard]] std::vector<LoraFile> open_inputs(const MergeOptions& options);

// Every layer's name, sorted.
[[nodiscard]] std::vector<std::string> layer_names(const std::vector<LoraFile>& files);

// Every file's title, separated by commas, as sd-scripts says what was merged.
[[nodiscard]] std::string merged_from(const std::vector<LoraFile>& files);

// Rounds to a type's precision.
void round_to(DType dtype, std::vector<float>& values);

// The layers of sd-scripts' merge: sums of the factors themselves.
[[nodiscard]] std::vector<ResultLayer> merge_as_kohya(const std::vector<LoraFile>& files,
                                                      const MergeOptions& options);

// The best layer of at most so many ranks for up * down of a decomposition; alpha = rank. The
// singular values go into up, as sd-scripts' extraction has them.
[[nodiscard]] ResultLayer layer_from_svd(const Svd& svd,
                                         int64_t rank,
                                         const std::string& name,
                                         const Shape& weight_shape);
// Clamps both factors to +- the quantile of all their values together.
void clamp_to_quantile(ResultLayer& layer, double quantile);

}  // namespace lora::tools::internal

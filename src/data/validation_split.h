// Sets pictures aside: they are not trained on, and their loss tells when training starts to
// memorise. Not the measuring (train/validation.h).
// Threads  pure. Source: training-semantics 11, with one permutation for both parts.
#pragma once

#include <cstdint>
#include <vector>

#include "data/dataset.h"

namespace lora::data {

struct SplitSizes {
    int64_t train = 0;       // ceil(n (1 - share))
    int64_t validation = 0;  // n share, rounded half to even; the two may share one picture
};
[[nodiscard]] SplitSizes split_sizes(int64_t count, double share);

// Folder by folder, in an order that depends on the seed and the folder's place: the first part of
// each stays in `images` (in its old order), the last part is returned, each picture once. Errors
// kConfig unless 0 < share < 1; kData naming the folder that would have no picture left.
[[nodiscard]] std::vector<ImageEntry> split_validation(std::vector<ImageEntry>& images,
                                                       const std::vector<ConceptFolder>& folders,
                                                       double share,
                                                       uint64_t seed);

}  // namespace lora::data

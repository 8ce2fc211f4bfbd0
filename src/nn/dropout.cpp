// What a training step leaves out of a LoRA branch at random. The random numbers belong to (seed,
// step) in the graph's dropout_key and to the branch's number, so that every backend and every
// resumed run draws the same.
#include "nn/internal/branch.h"

namespace lora::nn::internal {
namespace {

// Along which axes the draws differ (ir/op.h, attrs.draw_axes).
constexpr int kEveryElement = 7;
constexpr int kSampleAndFeature = 5;
constexpr int kFeature = 1;
constexpr int kTogether = 0;

// Each branch has a few streams of random numbers.
enum class Stream : int64_t { kElements = 0, kRank = 1, kModule = 2 };
constexpr int64_t kStreams = 4;

struct Drop {
    double probability = 0;
    int axes = 0;
    bool rescales = false;
    Stream stream = Stream::kElements;
};

ValueId apply(const Branch& branch, ValueId x, const Drop& drop) {
    if (drop.probability <= 0) return x;
    return branch.builder().dropout(
        x,
        branch.net.dropout_key,
        {.probability = drop.probability,
         .scale = drop.rescales ? 1 / (1 - drop.probability) : 1,
         .axes = drop.axes,
         .number = branch.attachment.number * kStreams + static_cast<int64_t>(drop.stream)});
}

bool is_active(const Branch& branch) {
    return branch.net.dropout_key.valid() && branch.attachment.dropout.any();
}

}  // namespace

ValueId drop_ranks(const Branch& branch, ValueId ranks) {
    const LoraDropout& d = branch.attachment.dropout;
    if (!is_active(branch) || d.on_output) return ranks;
    ranks = apply(branch, ranks, {d.elements, kEveryElement, true, Stream::kElements});
    ranks = apply(branch, ranks, {d.rank, kSampleAndFeature, true, Stream::kRank});
    return apply(branch, ranks, {d.module, kTogether, false, Stream::kModule});
}

bool drops_change(const Branch& branch) {
    return is_active(branch) && branch.attachment.dropout.on_output;
}

ValueId drop_change(const Branch& branch, ValueId change) {
    if (!drops_change(branch)) return change;
    const LoraDropout& d = branch.attachment.dropout;
    change = apply(branch, change, {d.elements, kEveryElement, true, Stream::kElements});
    change = apply(branch, change, {d.rank, kFeature, false, Stream::kRank});
    return apply(branch, change, {d.module, kTogether, false, Stream::kModule});
}

}  // namespace lora::nn::internal

#include "app/cli/batch_choice.h"

#include "app/machine.h"
#include "base/attempt.h"

namespace lora::app {
namespace {

// A step that takes this much longer than one without a limit is not worth a larger batch.
constexpr double kMostSlowdown = 1.3;

}  // namespace

BatchChoice choose_batch(uint64_t max_memory_bytes,
                         const backend::Backend& backend,
                         const std::function<std::unique_ptr<train::TrainingRun>(int64_t)>& open) {
    const auto card = backend.device_memory();
    const uint64_t limit = max_memory_bytes > 0 ? max_memory_bytes
                           : card               ? card->total_bytes - card->taken_bytes
                                                : look_at_machine().free_memory_bytes;
    for (const int64_t batch : {4, 2, 1}) {
        std::unique_ptr<train::TrainingRun> run;
        const auto wrong = attempt([&] { run = open(batch); });
        if (wrong && (wrong->code() != ErrorCode::kOutOfMemory || batch == 1)) throw *wrong;
        if (wrong) continue;
        const bool fits = limit == 0 || run->plan().planned_peak_bytes <= limit;
        if (batch > 1 && (!fits || run->plan().slowdown > kMostSlowdown)) continue;
        return {batch, std::move(run)};
    }
    return {};  // not reached: batch 1 returns or throws
}

}  // namespace lora::app

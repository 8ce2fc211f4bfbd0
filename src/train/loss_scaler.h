// Dynamic loss scaling for fp16, whose smallest numbers lie where gradients do: the step's
// gradients come multiplied by scale(), unscale() divides them again before the update. After 2000
// updates in a row the scale doubles; gradients that are not finite halve it, and their update is
// left out. Threads  one thread. Source   torch.amp.GradScaler, whose defaults sd-scripts uses
// (start 65536, growth 2 every 2000,
//          backoff 0.5).
#pragma once

#include <cstdint>
#include <memory>

#include "train/optimizer.h"

namespace lora::train {

// What a resumed run needs.
struct LossScale {
    double scale = 65536;
    int64_t good_updates = 0;     // since the scale last changed
    int64_t skipped_updates = 0;  // of the whole run; they count as steps, not as updates
};

class LossScaler {
public:
    // `num_elements`: of the gradient buffer.
    LossScaler(backend::Backend& backend,
               const std::shared_ptr<backend::Buffer>& gradients,
               int64_t num_elements,
               const LossScale& state);

    [[nodiscard]] const LossScale& state() const { return state_; }
    void restore(const LossScale& state) { state_ = state; }
    // Divides the gradients by the scale. False when one of them is not finite: this update is to
    // be skipped. Either way the scale is the next step's afterwards. Errors  kNumeric when the
    // scale has become so small that scaling cannot be the reason.
    [[nodiscard]] bool unscale();

private:
    LossScale state_;
    std::shared_ptr<backend::Buffer> factors_;  // 1 / scale, 0
    std::unique_ptr<backend::Executable> executable_;
};

}  // namespace lora::train

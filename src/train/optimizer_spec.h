// Which optimizer, with which settings: what --optimizer_type and --optimizer_args say, as data.
// Not its graph (update_graph.h), not the object that runs it (optimizer.h).
// Source   training-semantics 7.2 (names, defaults, kohya's argument syntax).
// Threads  plain values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ir/op.h"

namespace lora::train {

struct OptimizerSpec {
    std::string name = "AdamW";  // as kohya writes it
    std::string python_name = "torch.optim.adamw.AdamW";
    ir::UpdateAttributes update = {.weight_decay = 0.01};
    bool is_8bit = false;              // states of tensors with 4096 elements or more in 8 bit
    bool use_bias_correction = false;  // dadapt_adam, prodigy
    double d0 = 1e-6;                  // dadapt_*, prodigy
    bool relative_step = false;        // adafactor: the step size follows from the step's number
    bool warmup_init = false;          // adafactor
    bool has_first_moment = false;     // adafactor
    double decay_rate = -0.8;          // adafactor
    double warmup_steps = 0;           // schedule_free_adamw
    double r = 0;                      // schedule_free_adamw: power of the average's weights
    double max_grad_norm = 1.0;        // 0: no clipping

    // Finds its own rate: learning rates are factors near 1, the same for every part.
    [[nodiscard]] bool adapts_rate() const { return ir::has_update_sums(update.rule); }
};

using OptimizerArgs = std::vector<std::pair<std::string, std::string>>;

// Any case of the name; empty: AdamW. Values are Python literals: 0.1, True, None, "0.9,0.99".
// Errors  kConfig naming the type, or the argument and those that the type takes.
[[nodiscard]] OptimizerSpec optimizer_spec(std::string_view type,
                                           const OptimizerArgs& args,
                                           double max_grad_norm = 1.0);

// Every accepted name, in kohya's spelling.
[[nodiscard]] std::vector<std::string_view> optimizer_names();

}  // namespace lora::train

// Learning-rate schedules: the multiplier of every group's rate after k updates.
// Not the update itself (optimizer.h).
// Threads  pure. Source: diffusers' optimization.py and transformers' definitions
//          (training-semantics 7.4; N counts updates, one scheduler step an update).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lora::train {

struct LrScheduleOptions {
    std::string name = "constant";
    int64_t num_warmup_steps = 0;
    int64_t num_training_steps = 1;
    int64_t num_cycles = 1;  // cosine_with_restarts; cosine_with_min_lr: half waves
    double power = 1;        // polynomial
    double base_lr = 1e-4;   // polynomial: --learning_rate, must exceed its end value 1e-7
    std::optional<double> timescale = {};  // inverse_sqrt
    double min_lr_ratio = 0;               // cosine_with_min_lr, warmup_stable_decay
    int64_t num_decay_steps = 0;           // warmup_stable_decay
    std::string step_rules = {};           // piecewise_constant: "1:10,0.1:20,0.01"
};

// Names that lr_multiplier knows.
[[nodiscard]] const std::vector<std::string_view>& lr_schedule_names();

// Errors  kConfig: unknown name, warm-up with "constant", base_lr too small for "polynomial",
//         warm-up and decay longer than the run, step rules that are none.
void check_lr_schedule(const LrScheduleOptions& options);

// Multiplier for the update after `k` finished ones; the first update uses k = 0.
[[nodiscard]] double lr_multiplier(const LrScheduleOptions& options, int64_t k);

// A number of steps given as a count, or as a share of the run when below 1.
[[nodiscard]] int64_t steps_from_share(double value, int64_t num_training_steps);

}  // namespace lora::train

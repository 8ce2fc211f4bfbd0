#include "data/steps.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/check.h"
#include "base/error.h"

namespace lora::data {

namespace {

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace

StepPlan plan_steps(int64_t num_batches, const StepOptions& options) {
    if (num_batches <= 0) throw Error(ErrorCode::kData, "there is nothing to train on: no batches");
    if (options.gradient_accumulation_steps <= 0) {
        throw Error(ErrorCode::kConfig,
                    fmt::format("gradient_accumulation_steps is {}, below 1",
                                options.gradient_accumulation_steps));
    }
    if (options.max_train_epochs <= 0 && options.max_train_steps <= 0) {
        throw Error(ErrorCode::kConfig, "neither max_train_epochs nor max_train_steps is above 0");
    }
    StepPlan plan;
    plan.num_batches = num_batches;
    plan.steps_per_epoch = ceil_div(num_batches, options.gradient_accumulation_steps);
    plan.max_train_steps = options.max_train_epochs > 0
                               ? options.max_train_epochs * plan.steps_per_epoch
                               : options.max_train_steps;
    plan.num_epochs = ceil_div(plan.max_train_steps, plan.steps_per_epoch);
    return plan;
}

int64_t num_batches(int64_t count, int64_t batch_size) {
    LORA_CHECK(batch_size > 0);
    return ceil_div(count, batch_size);
}

bool is_update(const StepPlan& plan, int64_t batch_idx, int64_t accumulation) {
    return (batch_idx + 1) % accumulation == 0 || batch_idx + 1 == plan.num_batches;
}

int64_t steps_before(const StepPlan& plan, int64_t epoch, int64_t batch_idx, int64_t accumulation) {
    return (epoch - 1) * plan.steps_per_epoch + batch_idx / accumulation;
}

int64_t save_every_from_ratio(const StepPlan& plan, int64_t ratio) {
    LORA_CHECK(ratio > 0);
    return std::max<int64_t>(plan.num_epochs / ratio, 1);
}

}  // namespace lora::data

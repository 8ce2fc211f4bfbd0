// What the measurements of a run have found so far; part of the train state.
#pragma once

#include <vector>

#include "train/expected_loss.h"
#include "train/turn_watch.h"

namespace lora::train {

struct MonitorState {
    std::vector<ExpectedLoss::Point> base;  // answers of the base model, in the probe's order
    std::vector<CurvePoint> probes;         // relative
    std::vector<CurvePoint> validations;
};

}  // namespace lora::train

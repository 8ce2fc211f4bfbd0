// The time estimate shown before a run: the arithmetic of a graph (ir/cost.h) over how fast a
// device does such arithmetic. The progress bar measures. Threads  one thread.
#pragma once

#include <vector>

#include "backend/backend.h"

namespace lora::train {

// Rate of a 1024-wide linear layer on the device, best of a few runs, in operations a second.
[[nodiscard]] double measure_flops_per_s(backend::Backend& backend, DType dtype);

// The middle one of the times of some steps (of two, the longer one); there is at least one.
[[nodiscard]] double median(std::vector<double> times);

// Seconds for the graph at that rate; convolutions and attention run at a part of it.
[[nodiscard]] double estimate_s(const ir::Graph& graph, double flops_per_s);

}  // namespace lora::train

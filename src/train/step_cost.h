// How much arithmetic a graph asks for, and how fast a device does such arithmetic: together the
// time estimate shown before a run. An estimate only; the progress bar measures. Threads  one
// thread.
#pragma once

#include "backend/backend.h"

namespace lora::train {

// Multiplications and additions of the products (linear, convolution, attention) in the graph.
[[nodiscard]] double num_flops(const ir::Graph& graph);

// Rate of a 1024-wide linear layer on the device, best of a few runs, in operations a second.
[[nodiscard]] double measure_flops_per_s(backend::Backend& backend, DType dtype);

// Seconds for the graph at that rate; convolutions and attention run at a part of it.
[[nodiscard]] double estimate_s(const ir::Graph& graph, double flops_per_s);

}  // namespace lora::train

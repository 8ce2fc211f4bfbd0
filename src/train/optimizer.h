// The update of the trainable parameters: a small graph over flat ranges (norm, clip, AdamW), and
// the object that runs it. Gradients come from train_step.h; rates from lr_schedule.h. A parameter
// without gradient is in no range: no decay, no moments. Shapes   everything lies in flat fp32
// buffers laid out by Network. Threads  one thread. Source   Loshchilov and Hutter,
// arXiv:1711.05101; torch.optim.AdamW (training-semantics 7).
#pragma once

#include <memory>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "backend/backend.h"
#include "train/network.h"

namespace lora::train {

// Parameters, gradients and both moments, each of Network::num_elements() floats.
struct ParameterBuffers {
    std::shared_ptr<backend::Buffer> values;
    std::shared_ptr<backend::Buffer> gradients;
    std::shared_ptr<backend::Buffer> moment1;
    std::shared_ptr<backend::Buffer> moment2;
};
[[nodiscard]] ParameterBuffers make_parameter_buffers(backend::Backend& backend,
                                                      const Network& network);

// Whole-buffer copies.
[[nodiscard]] std::vector<float> read_floats(const backend::Buffer& buffer);
void write_floats(backend::Buffer& buffer, std::span<const float> values);

struct AdamWOptions {
    double beta1 = 0.9;
    double beta2 = 0.999;
    double eps = 1e-8;
    double weight_decay = 0.01;
    double max_grad_norm = 1.0;  // 0: no clipping
};

// Reads kohya's optimizer_args. Errors  kConfig naming the argument.
[[nodiscard]] AdamWOptions adamw_options(
    const std::vector<std::pair<std::string, std::string>>& optimizer_args,
    double max_grad_norm = 1.0);

struct ParameterRange {
    NetworkPart part = NetworkPart::kUNet;
    int64_t offset = 0;
    int64_t count = 0;
};
// The longest ranges that hold only entries whose keys are in `trained`, in order; they end at part
// borders.
[[nodiscard]] std::vector<ParameterRange> trained_ranges(const Network& network,
                                                         const std::set<std::string>& trained);

// Values: params "values.<i>", states "gradients.<i>", "moment1.<i>", "moment2.<i>" for range i;
// inputs "schedule.text_encoder", "schedule.unet" as present; output "grad_norm".
[[nodiscard]] ir::Graph build_update_graph(const std::vector<ParameterRange>& ranges,
                                           const AdamWOptions& options);

class Optimizer {
public:
    Optimizer(backend::Backend& backend,
              const ParameterBuffers& buffers,
              const std::vector<ParameterRange>& ranges,
              const AdamWOptions& options);

    struct Rates {
        double text_encoder = 0;
        double unet = 0;
    };
    // Update number `step` (1-based), from the gradients in the buffer. Returns their norm before
    // clipping.
    double update(int64_t step, const Rates& rates);
    [[nodiscard]] const plan::MemoryPlan& plan() const { return executable_->plan(); }

private:
    AdamWOptions options_;
    std::shared_ptr<backend::Buffer> schedules_;  // [2][3]
    std::unique_ptr<backend::Executable> executable_;
};

}  // namespace lora::train

// What a comparison found: one printed line a tensor, and the computed tensors for --dump.
#pragma once

#include <string>
#include <vector>

#include "app/parity/case_file.h"

namespace lora::parity {

// ||out - ref|| / ||ref||, by kind of result; the suggested bounds of the golden cases.
struct Bounds {
    double values = 1e-4;     // predictions, contexts, pictures, latents
    double gradients = 1e-3;  // gradients, and weights after steps
    double losses = 1e-5;
    double tables = 1e-5;             // timesteps and noise levels, computed on the host
    bool weights_after_steps = true;  // compared at all
    // A gradient's error is taken relative to this part of the whole gradient's norm when its own
    // norm is smaller.
    double gradient_floor = 0;
};
[[nodiscard]] Bounds bounds_for(DType dtype);

class Report {
public:
    Report(const Bounds& bounds, bool keep_tensors) : bounds_(bounds), keep_(keep_tensors) {}

    [[nodiscard]] const Bounds& bounds() const { return bounds_; }
    // Compares with `out.<name>` of the case.
    void compare(const CaseFile& golden,
                 const std::string& name,
                 const Tensor& computed,
                 double bound);
    // The same for the gradient `out.grad.<key>`; `whole_norm` is that of all gradients together.
    void compare_gradient(const CaseFile& golden,
                          const std::string& key,
                          const Tensor& computed,
                          double whole_norm);
    // Two numbers, relative to `scale`, with the bound of gradients.
    void compare_numbers(const CaseFile& golden,
                         const std::string& name,
                         double computed,
                         double expected,
                         double scale);
    // A tensor that should not be there, or should be and is not.
    void fail(const CaseFile& golden, const std::string& name, const std::string& why);
    [[nodiscard]] bool all_ok() const { return num_off_ == 0; }
    // All computed tensors; names carry the case in front when there were several cases.
    void write_dump(const std::string& path) const;

private:
    void line(const CaseFile& golden, const std::string& name, double error, double bound, bool ok);
    void keep(const CaseFile& golden, const std::string& name, const Tensor& computed);
    struct Kept {
        std::string case_name;
        std::string name;
        Tensor tensor;
    };
    Bounds bounds_;
    bool keep_ = false;
    int64_t num_off_ = 0;
    std::vector<Kept> kept_;
};

// sqrt of the sum of squares, in double.
[[nodiscard]] double norm_of(const TensorView& view);

}  // namespace lora::parity

#include "app/parity/report.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "app/cli/terminal.h"

namespace lora::parity {
namespace {

// ||a - b||; infinite when the sizes differ or something is not finite.
double distance(const TensorView& a, const TensorView& b) {
    const Tensor left = to_dtype(a, DType::kF64);
    const Tensor right = to_dtype(b, DType::kF64);
    const std::span<const double> x = left.data<double>();
    const std::span<const double> y = right.data<double>();
    if (x.size() != y.size()) return std::numeric_limits<double>::infinity();
    double sum = 0;
    for (size_t i = 0; i < x.size(); ++i) sum += (x[i] - y[i]) * (x[i] - y[i]);
    return std::isfinite(sum) ? std::sqrt(sum) : std::numeric_limits<double>::infinity();
}

double ratio(double error, double norm) {
    if (error == 0) return 0;
    return norm > 0 ? error / norm : std::numeric_limits<double>::infinity();
}

}  // namespace

Bounds bounds_for(DType dtype) {
    if (dtype == DType::kF32) return {};
    return {.values = 3e-2,
            .gradients = 8e-2,
            .losses = 1e-2,
            .weights_after_steps = false,
            .gradient_floor = 1e-3};
}

double norm_of(const TensorView& view) {
    const Tensor values = to_dtype(view, DType::kF64);
    double sum = 0;
    for (const double value : values.data<double>()) sum += value * value;
    return std::sqrt(sum);
}

void Report::line(
    const CaseFile& golden, const std::string& name, double error, double bound, bool ok) {
    if (!ok) ++num_off_;
    app::print_out(fmt::format(
        "{} {} {:.3e} {:.1e} {}\n", golden.name, name, error, bound, ok ? "ok" : "OFF"));
}

void Report::keep(const CaseFile& golden, const std::string& name, const Tensor& computed) {
    if (keep_) kept_.push_back({golden.name, "out." + name, Tensor::copy_of(computed.view())});
}

void Report::compare(const CaseFile& golden,
                     const std::string& name,
                     const Tensor& computed,
                     double bound) {
    keep(golden, name, computed);
    const TensorView expected = golden.file.at("out." + name);
    const double error = ratio(distance(computed.view(), expected), norm_of(expected));
    line(golden, name, error, bound, error <= bound);
}

void Report::compare_gradient(const CaseFile& golden,
                              const std::string& key,
                              const Tensor& computed,
                              double whole_norm) {
    constexpr double kZeroButForRounding = 1e-6;
    const std::string name = "grad." + key;
    keep(golden, name, computed);
    const TensorView expected = golden.file.at("out." + name);
    const double off = distance(computed.view(), expected);
    const double own = std::max(norm_of(expected), bounds_.gradient_floor * whole_norm);
    const double error = ratio(off, own);
    const bool ok = error <= bounds_.gradients || off < kZeroButForRounding * whole_norm;
    line(golden, name, error, bounds_.gradients, ok);
}

void Report::compare_numbers(const CaseFile& golden,
                             const std::string& name,
                             double computed,
                             double expected,
                             double scale) {
    const double error = ratio(std::abs(computed - expected), scale);
    line(golden, name, error, bounds_.gradients, error <= bounds_.gradients);
}

void Report::fail(const CaseFile& golden, const std::string& name, const std::string& why) {
    ++num_off_;
    app::print_out(fmt::format("{} {} {} - OFF\n", golden.name, name, why));
}

void Report::write_dump(const std::string& path) const {
    const bool several = std::any_of(kept_.begin(), kept_.end(), [this](const Kept& kept) {
        return kept.case_name != kept_.front().case_name;
    });
    std::vector<io::NamedTensor> tensors;
    for (const Kept& kept : kept_) {
        tensors.push_back(
            {several ? kept.case_name + "/" + kept.name : kept.name, kept.tensor.view()});
    }
    io::write_safetensors(path, tensors, {{"format", "pt"}});
}

}  // namespace lora::parity

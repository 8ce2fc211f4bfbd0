// Cases of operators: small graphs around one operator each, used by the gradient check, backend
// parity, op coverage and lora_bench. One file a family in cases/.
#pragma once

#include <functional>
#include <iosfwd>
#include <string>
#include <unordered_map>
#include <vector>

#include "autodiff/differentiate.h"
#include "ir/builder.h"

namespace lora::support {

// What an outside value is filled with.
struct Fill {
    enum class Kind : uint8_t {
        kNormal,    // offset + scale * standard normal
        kPositive,  // offset + scale * uniform
        kIds,       // integers below limit
        kValues,    // `values`
    };
    Kind kind = Kind::kNormal;
    double scale = 1;
    double offset = 0;
    int64_t limit = 1;
    std::vector<double> values = {};
};

struct CaseGraph {
    ir::Graph graph;
    std::unordered_map<std::string, Fill> fills;  // by value name; absent: standard normal
    std::vector<std::string> results;             // outputs and states to compare
    std::string loss;  // name of the scalar output; empty without gradients
    std::vector<autodiff::Gradient> gradients;
};

struct CaseOptions {
    DType dtype = DType::kF32;
    // Operands are parameters, and the graph goes on to a loss and its gradients.
    bool gradients = false;
    bool accumulate = false;
};

// What a case builds with: makes operands that suit the options.
class CaseBuilder {
public:
    CaseBuilder(CaseGraph& target, const CaseOptions& options)
        : target_(&target), options_(options), builder_(target.graph) {}

    [[nodiscard]] ir::Builder& b() { return builder_; }
    [[nodiscard]] DType dtype() const { return options_.dtype; }

    // A row-major operand of the compute type: an input, or a parameter when gradients are wanted.
    ir::ValueId operand(const Shape& shape, const Fill& fill = {});
    // The same, channels-last.
    ir::ValueId image(const Shape& shape);
    // Frozen weight of the compute type.
    ir::ValueId weight(const Shape& shape, const Fill& fill = {});
    // Frozen weight of a given type.
    ir::ValueId weight_of(DType dtype, const Shape& shape, const Fill& fill);
    // Input of a given type that needs no gradient.
    ir::ValueId input(const Shape& shape, DType dtype, const Fill& fill = {});
    ir::ValueId state(const Shape& shape, const Fill& fill = {}, DType dtype = DType::kF32);
    // Marks what the case is about; the first result gets the loss.
    void result(ir::ValueId value);

    [[nodiscard]] const std::vector<ir::ValueId>& results() const { return results_; }

private:
    std::string next_name(const char* kind, const Fill& fill);

    CaseGraph* target_;
    CaseOptions options_;
    ir::Builder builder_;
    std::vector<ir::ValueId> results_;
    int num_names_ = 0;
};

struct OpCase {
    std::string name;  // "linear/bias"
    ir::OpKind op = ir::OpKind::kReshape;
    std::function<void(CaseBuilder&)> build;
    int64_t reduction_length = 1;  // longest sum, for the tolerance
    bool differentiable = true;
    // Factor on the tolerance for ill-conditioned cases; its reason stands beside it.
    double amplification = 1;
};
// GoogleTest prints a case by its name.
void PrintTo(const OpCase& item, std::ostream* out);

// Every small case, by family.
[[nodiscard]] std::vector<OpCase> all_cases();
// Shapes of Stable Diffusion 1.5 at 512 x 512, for lora_bench only.
[[nodiscard]] std::vector<OpCase> large_cases();

[[nodiscard]] CaseGraph build_case(const OpCase& item, const CaseOptions& options);

namespace cases {
[[nodiscard]] std::vector<OpCase> movement();
[[nodiscard]] std::vector<OpCase> product();
[[nodiscard]] std::vector<OpCase> norm();
[[nodiscard]] std::vector<OpCase> attention();
[[nodiscard]] std::vector<OpCase> elementwise();
[[nodiscard]] std::vector<OpCase> source();
[[nodiscard]] std::vector<OpCase> hadamard();
[[nodiscard]] std::vector<OpCase> loss();
[[nodiscard]] std::vector<OpCase> update();
}  // namespace cases

}  // namespace lora::support

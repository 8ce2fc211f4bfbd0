// Every differentiable operator: autodiff's gradient of F64 graphs on the reference backend against
// central differences of fourth order.
#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>

#include "backend/reference/reference_backend.h"
#include "base/rng.h"
#include "support/graph_runner.h"
#include "support/seed.h"

namespace lora::support {
namespace {

constexpr int64_t kMaxElements = 16;  // of each parameter, drawn from the seed
constexpr double kStep = 1e-3;
// Differences err by kStep^4 times a fifth derivative, and by rounding / kStep.
constexpr double kRelativeBound = 1e-7;
constexpr double kAbsoluteBound = 1e-10;

std::vector<OpCase> differentiable_cases() {
    std::vector<OpCase> list = all_cases();
    std::erase_if(list, [](const OpCase& item) { return !item.differentiable; });
    return list;
}

std::string test_name(const testing::TestParamInfo<OpCase>& info) {
    std::string name = info.param.name;
    std::replace_if(
        name.begin(), name.end(), [](char c) { return !std::isalnum(c); }, '_');
    return name;
}

class GradcheckTest : public testing::TestWithParam<OpCase> {
protected:
    uint64_t seed_ = test_seed();
    CaseGraph built_ = build_case(GetParam(), {.dtype = DType::kF64, .gradients = true});
    std::unique_ptr<backend::Backend> backend_ = reference::open({});
    GraphRunner runner_{*backend_, plan_without_reuse(built_.graph), built_.fills, seed_};

    double loss_at(const std::string& name, const std::vector<double>& values) {
        runner_.write(name, values);
        runner_.run();
        return runner_.read(built_.loss)[0];
    }

    // d loss / d t of values + t direction.
    double difference(const std::string& name,
                      const std::vector<double>& values,
                      const std::vector<double>& direction) {
        const auto moved = [&](double t) {
            std::vector<double> at = values;
            for (size_t i = 0; i < at.size(); ++i) at[i] += t * direction[i];
            return loss_at(name, at);
        };
        const double near = moved(kStep) - moved(-kStep);
        const double far = moved(2 * kStep) - moved(-2 * kStep);
        runner_.write(name, values);
        return (8 * near - far) / (12 * kStep);
    }

    void check_param(const autodiff::Gradient& gradient) {
        const std::string param = built_.graph.value(gradient.param).name;
        SCOPED_TRACE(param);
        const std::vector<double> values = runner_.read(param);
        const std::vector<double> expected =
            runner_.read(built_.graph.value(gradient.gradient).name);
        double largest = 0;
        for (const double value : expected) largest = std::max(largest, std::abs(value));
        ASSERT_GT(largest, 0) << "a gradient of zeros checks nothing";
        const double bound = kRelativeBound * largest + kAbsoluteBound;
        Rng rng(seed_);
        for (int64_t n = 0; n < std::min<int64_t>(kMaxElements, std::ssize(values)); ++n) {
            const size_t i = std::ssize(values) <= kMaxElements ? static_cast<size_t>(n)
                                                                : rng.below(values.size());
            std::vector<double> direction(values.size(), 0.0);
            direction[i] = 1;
            EXPECT_NEAR(difference(param, values, direction), expected[i], bound)
                << "element " << i;
        }
        // One random direction covers the elements that were not drawn.
        std::vector<double> direction(values.size());
        double slope = 0;
        for (size_t i = 0; i < values.size(); ++i) {
            direction[i] =
                static_cast<double>(rng.normal()) / std::sqrt(static_cast<double>(values.size()));
            slope += direction[i] * expected[i];
        }
        EXPECT_NEAR(difference(param, values, direction), slope, 10 * bound);
    }
};

TEST_P(GradcheckTest, GradientIsTheDifferenceQuotient) {
    SCOPED_TRACE(seed_note(seed_));
    runner_.run();
    int64_t num_params = 0;
    for (const ir::Value& value : built_.graph.values()) {
        num_params += value.kind == ir::ValueKind::kParam ? 1 : 0;
    }
    ASSERT_EQ(std::ssize(built_.gradients), num_params);
    for (const autodiff::Gradient& gradient : built_.gradients) {
        runner_.run();
        check_param(gradient);
    }
}

TEST_P(GradcheckTest, TwoMicroStepsAddTheirGradients) {
    SCOPED_TRACE(seed_note(seed_));
    const CaseGraph adding =
        build_case(GetParam(), {.dtype = DType::kF64, .gradients = true, .accumulate = true});
    GraphRunner sum(*backend_, plan_without_reuse(adding.graph), adding.fills, seed_);
    std::vector<std::vector<double>> expected(built_.gradients.size());
    for (const uint32_t step : {0U, 1U}) {
        runner_.fill_inputs(step);
        runner_.run();
        sum.fill_inputs(step);
        sum.run();
        for (size_t g = 0; g < expected.size(); ++g) {
            const std::vector<double> part =
                runner_.read(built_.graph.value(built_.gradients[g].gradient).name);
            expected[g].resize(part.size());
            for (size_t i = 0; i < part.size(); ++i) expected[g][i] += part[i];
        }
    }
    for (size_t g = 0; g < expected.size(); ++g) {
        EXPECT_EQ(sum.read(adding.graph.value(adding.gradients[g].gradient).name), expected[g]);
    }
}

INSTANTIATE_TEST_SUITE_P(Cases,
                         GradcheckTest,
                         testing::ValuesIn(differentiable_cases()),
                         test_name);

}  // namespace
}  // namespace lora::support

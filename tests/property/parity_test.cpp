// Every backend against the reference: each case forward and with gradients, accumulated over two
// micro-steps, in every compute type that the backend supports.
#include <algorithm>
#include <cmath>
#include <map>

#include <gtest/gtest.h>

#include "backend/reference/reference_backend.h"
#include "support/graph_runner.h"
#include "support/seed.h"
#include "support/tolerance.h"
#ifdef LORA_HAVE_CPU_BACKEND
#include "backend/cpu/cpu_backend.h"
#endif
#ifdef LORA_HAVE_CUDA_BACKEND
#include "backend/cuda/cuda_backend.h"
#endif

namespace lora::support {
namespace {

struct ParityParam {
    OpCase item;
    backend::BackendEntry backend;
    DType dtype = DType::kF32;
    bool gradients = false;
};
void PrintTo(const ParityParam& param, std::ostream* out) {
    *out << param.backend.name << " " << dtype_name(param.dtype) << " " << param.item.name;
}

std::vector<backend::BackendEntry> backends_to_test() {
    std::vector<backend::BackendEntry> list{reference::entry()};  // tests the planner's plans
#ifdef LORA_HAVE_CPU_BACKEND
    list.push_back(cpu::entry());
#endif
#ifdef LORA_HAVE_CUDA_BACKEND
    if (cuda::why_unavailable().empty()) list.push_back(cuda::entry());
#endif
    return list;
}

// Opened once for all cases: a card's context takes a second.
backend::Backend& opened(const backend::BackendEntry& entry) {
    static std::map<std::string, std::unique_ptr<backend::Backend>> backends;
    std::unique_ptr<backend::Backend>& backend = backends[entry.name];
    if (!backend) backend = entry.open({.num_threads = 2});
    return *backend;
}

std::vector<ParityParam> parity_params() {
    std::vector<ParityParam> params;
    for (const backend::BackendEntry& entry : backends_to_test()) {
        const backend::Backend& backend = opened(entry);
        for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
            if (!backend.supports(dtype)) continue;
            for (const OpCase& item : all_cases()) {
                params.push_back({item, entry, dtype, false});
                if (item.differentiable) params.push_back({item, entry, dtype, true});
            }
        }
    }
    return params;
}

std::string test_name(const testing::TestParamInfo<ParityParam>& info) {
    const ParityParam& p = info.param;
    std::string name = p.backend.name + "_" + std::string(dtype_name(p.dtype)) + "_" + p.item.name +
                       (p.gradients ? "_gradients" : "");
    std::replace_if(
        name.begin(), name.end(), [](char c) { return !std::isalnum(c); }, '_');
    return name;
}

using Results = std::vector<std::vector<double>>;

class ParityTest : public testing::TestWithParam<ParityParam> {
protected:
    uint64_t seed_ = test_seed();
    CaseGraph built_ = build_case(GetParam().item,
                                  {.dtype = GetParam().dtype,
                                   .gradients = GetParam().gradients,
                                   .accumulate = GetParam().gradients});

    Results run_twice(backend::Backend& backend, plan::MemoryPlan plan) {
        GraphRunner runner(backend, std::move(plan), built_.fills, seed_);
        for (const uint32_t step : {0U, 1U}) {
            runner.fill_inputs(step);
            runner.run();
        }
        Results results;
        for (const std::string& name : built_.results) results.push_back(runner.read(name));
        return results;
    }

    Tolerance bound_for(const std::string& result) const {
        const ParityParam& p = GetParam();
        // Statistics and sums stay fp32 in a forward graph; gradients passed through the compute
        // type.
        const DType dtype =
            p.gradients ? p.dtype : built_.graph.value(built_.graph.at(result)).dtype;
        if (!is_float(dtype)) return {0, 0};
        int64_t stores = 1;
        for (const ir::Node& node : built_.graph.nodes()) {
            stores += ir::op_info(node.op).is_view ? 0 : 1;
        }
        Tolerance bound = tolerance(dtype, p.item.reduction_length, stores);
        bound.relative_l2 *= p.item.amplification;
        bound.relative_max *= p.item.amplification;
        return bound;
    }
};

TEST_P(ParityTest, MatchesTheReference) {
    SCOPED_TRACE(seed_note(seed_));
    const std::unique_ptr<backend::Backend> reference = reference::open({});
    backend::Backend& tested = opened(GetParam().backend);
    const Results expected = run_twice(*reference, plan_without_reuse(built_.graph));
    const Results actual = run_twice(tested, plan::make_plan(built_.graph, tested.capabilities()));
    for (size_t i = 0; i < expected.size(); ++i) {
        // A few elements may be small by chance (a difference that cancels); they are judged on the
        // scale of the inputs, which is one.
        const double floor_rms = expected[i].size() < 4 ? 1.0 : 0.0;
        const std::string difference =
            describe_difference(actual[i], expected[i], bound_for(built_.results[i]), floor_rms);
        EXPECT_EQ(difference, "") << built_.results[i];
    }
}

TEST_P(ParityTest, SameRunTwiceGivesTheSameBits) {
    SCOPED_TRACE(seed_note(seed_));
    backend::Backend& tested = opened(GetParam().backend);
    const plan::MemoryPlan plan = plan::make_plan(built_.graph, tested.capabilities());
    EXPECT_EQ(run_twice(tested, plan), run_twice(tested, plan));
}

INSTANTIATE_TEST_SUITE_P(Cases, ParityTest, testing::ValuesIn(parity_params()), test_name);

}  // namespace
}  // namespace lora::support

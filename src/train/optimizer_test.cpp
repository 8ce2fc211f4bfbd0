#include "train/optimizer.h"

#include <algorithm>
#include <cmath>
#include <string>

#include <gtest/gtest.h>

#include "backend/reference/reference_backend.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"

namespace lora::train {
namespace {

// Two tensors as in the table: A is 2x3, B has 4 numbers; a module each, only "down" is used.
Network two_tensors() {
    return Network({{"A", Shape{9, 3}, NetworkPart::kUNet, 2, 1.0},
                    {"B", Shape{9, 2}, NetworkPart::kUNet, 2, 1.0}});
}

void run_case(const Json& table, const Json& test_case) {
    const auto backend = reference::open({});
    const Network network = two_tensors();
    const ParameterBuffers buffers = make_parameter_buffers(*backend, network);
    std::vector<float> values(static_cast<size_t>(network.num_elements()), 0.0F);
    std::vector<float> gradients = values;
    const auto put = [&](const Json& numbers, std::vector<float>& dst) {
        for (const char* name : {"A", "B"}) {
            const auto source = numbers[name].get<std::vector<float>>();
            const ParameterEntry* entry = network.find(std::string(name) + ".lora_down.weight");
            std::copy(source.begin(), source.end(), dst.begin() + entry->offset);
        }
    };
    put(table["initial"], values);
    write_floats(*buffers.values, values);
    const Json& params = test_case["params"];
    const AdamWOptions options{.beta1 = params["betas"][0],
                               .beta2 = params["betas"][1],
                               .eps = params["eps"],
                               .weight_decay = params["weight_decay"],
                               .max_grad_norm = 0};
    const auto ranges = trained_ranges(network, {"A.lora_down.weight", "B.lora_down.weight"});
    ASSERT_EQ(ranges.size(), 2U);
    Optimizer optimizer(*backend, buffers, ranges, options);
    const double lr = params["lr"];
    for (size_t step = 0; step < table["gradients"].size(); ++step) {
        put(table["gradients"][step], gradients);
        write_floats(*buffers.gradients, gradients);
        (void)optimizer.update(static_cast<int64_t>(step) + 1, {.text_encoder = 0, .unet = lr});
        values = read_floats(*buffers.values);
        for (const char* name : {"A", "B"}) {
            const Json& expected = test_case["trajectory_f64"][step][name];
            const ParameterEntry* entry = network.find(std::string(name) + ".lora_down.weight");
            for (size_t i = 0; i < expected.size(); ++i) {
                const double want = expected[i];
                EXPECT_NEAR(values[static_cast<size_t>(entry->offset) + i],
                            want,
                            1e-4 * std::abs(want) + 1e-7)
                    << test_case["name"] << " step " << step << " " << name << i;
            }
        }
    }
}

TEST(Optimizer, AdamWFollowsTorch) {
    const std::string path = std::string(LORA_SOURCE_DIR) + "/tests/golden/spec/optimizers.json";
    const Json table = parse_json(read_text_file(path), path);
    int cases = 0;
    for (const Json& test_case : table["optimizers"]) {
        const std::string name = test_case["name"];
        if (!name.starts_with("AdamW ")) continue;
        run_case(table, test_case);
        ++cases;
    }
    EXPECT_EQ(cases, 2);
}

TEST(Optimizer, ClipsByTheNormOverAllRanges) {
    const auto backend = reference::open({});
    const Network network = two_tensors();
    const ParameterBuffers buffers = make_parameter_buffers(*backend, network);
    std::vector<float> gradients(static_cast<size_t>(network.num_elements()), 0.0F);
    gradients[static_cast<size_t>(network.find("A.lora_down.weight")->offset)] = 3.0F;
    gradients[static_cast<size_t>(network.find("B.lora_down.weight")->offset)] = 4.0F;
    write_floats(*buffers.gradients, gradients);
    const auto ranges = trained_ranges(network, {"A.lora_down.weight", "B.lora_down.weight"});
    Optimizer optimizer(*backend, buffers, ranges, {.weight_decay = 0, .max_grad_norm = 1});
    EXPECT_NEAR(optimizer.update(1, {.text_encoder = 0, .unet = 1e-3}), 5.0, 1e-5);
    const std::vector<float> m = read_floats(*buffers.moment1);
    const auto at = [&](const char* key) {
        return m[static_cast<size_t>(network.find(key)->offset)];
    };
    EXPECT_NEAR(at("A.lora_down.weight"), 0.1 * 0.6, 1e-6);
    EXPECT_NEAR(at("B.lora_down.weight"), 0.1 * 0.8, 1e-6);
}

// A parameter without gradient is skipped: no decay, no moments.
TEST(Optimizer, UntrainedParametersStayAsTheyAre) {
    const auto backend = reference::open({});
    const Network network = two_tensors();
    const ParameterBuffers buffers = make_parameter_buffers(*backend, network);
    std::vector<float> ones(static_cast<size_t>(network.num_elements()), 1.0F);
    write_floats(*buffers.values, ones);
    write_floats(*buffers.gradients, ones);
    const auto ranges = trained_ranges(network, {"A.lora_down.weight", "A.lora_up.weight"});
    ASSERT_EQ(ranges.size(), 1U);
    EXPECT_EQ(ranges[0].count,
              network.find("A.lora_up.weight")->offset + network.find("A.lora_up.weight")->count);
    Optimizer optimizer(*backend, buffers, ranges, {});
    (void)optimizer.update(1, {.text_encoder = 0, .unet = 1e-2});
    const std::vector<float> values = read_floats(*buffers.values);
    EXPECT_NE(values[0], 1.0F);
    const auto b = static_cast<size_t>(network.find("B.lora_down.weight")->offset);
    for (size_t i = b; i < values.size(); ++i) ASSERT_EQ(values[i], 1.0F);
}

TEST(Optimizer, ReadsKohyasArguments) {
    const AdamWOptions options = adamw_options({{"betas", "0.9,0.99"}, {"weight_decay", "0.1"}});
    EXPECT_EQ(options.beta1, 0.9);
    EXPECT_EQ(options.beta2, 0.99);
    EXPECT_EQ(options.weight_decay, 0.1);
    EXPECT_EQ(adamw_options({{"betas", "(0.5, 0.6)"}}).beta2, 0.6);
    EXPECT_THROW((void)adamw_options({{"momentum", "1"}}), Error);
    EXPECT_THROW((void)adamw_options({{"eps", "x"}}), Error);
    EXPECT_THROW((void)adamw_options({{"betas", "0.9"}}), Error);
}

}  // namespace
}  // namespace lora::train

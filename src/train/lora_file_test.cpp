#include "train/lora_file.h"

#include <cmath>
#include <filesystem>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"

namespace lora::train {
namespace {

class LoraFileTest : public testing::Test {
protected:
    void SetUp() override {
        folder_ = testing::TempDir() + "lora_file_test";
        make_directories(folder_);
    }
    void TearDown() override { remove_directory(folder_); }

    std::string folder_;
};

Network tiny() { return Network({{"m", Shape{2, 2}, NetworkPart::kUNet, 1, 1.0}}); }

std::vector<float> tiny_values(const Network& network) {
    std::vector<float> values(static_cast<size_t>(network.num_elements()), 0.0F);
    const auto put = [&](const char* key, std::initializer_list<float> numbers) {
        std::copy(numbers.begin(), numbers.end(), values.begin() + network.find(key)->offset);
    };
    put("m.lora_down.weight", {1.0F, -2.0F});
    put("m.lora_up.weight", {0.5F, 0.25F});
    return values;
}

// The worked example of training-semantics 9.3.
TEST_F(LoraFileTest, HashEqualsTheWorkedExample) {
    const Network network = tiny();
    const std::string path = join_path(folder_, "m.safetensors");
    save_lora(path, network, tiny_values(network), DType::kF16, {{"ss_seed", "1"}});
    const io::SafetensorsFile file = io::SafetensorsFile::open(path);
    EXPECT_EQ(file.metadata().at("sshs_model_hash"),
              "0a23f65908b0be6bfa62d3cce77e04724a19b138eb563514637c6eb00e23eeea");
    EXPECT_EQ(file.metadata().at("sshs_legacy_hash"), "e3b0c442");
    EXPECT_EQ(file.metadata().at("ss_seed"), "1");
    ASSERT_EQ(file.tensors().size(), 3U);
    EXPECT_EQ(file.tensors()[0].name, "m.alpha");
    EXPECT_EQ(file.tensors()[0].shape, Shape{});
    EXPECT_EQ(file.tensors()[1].name, "m.lora_down.weight");
    EXPECT_EQ(file.tensors()[2].name, "m.lora_up.weight");
}

TEST_F(LoraFileTest, ConvolutionsKeepFourAxes) {
    const Network network({{"c", Shape{8, 4, 1, 1}, NetworkPart::kUNet, 2, 1.0},
                           {"k", Shape{8, 4, 3, 3}, NetworkPart::kUNet, 2, 1.0}});
    EXPECT_EQ(network.find("c.lora_down.weight")->shape, (Shape{2, 4, 1, 1}));
    EXPECT_EQ(network.find("c.lora_up.weight")->shape, (Shape{8, 2, 1, 1}));
    EXPECT_EQ(network.find("k.lora_down.weight")->shape, (Shape{2, 4, 3, 3}));
    EXPECT_EQ(network.find("k.lora_up.weight")->shape, (Shape{8, 2, 1, 1}));
}

TEST_F(LoraFileTest, RoundTripInSinglePrecision) {
    const Network network({{"lora_te_a", Shape{3, 5}, NetworkPart::kTextEncoder, 2, 4.0},
                           {"lora_unet_b", Shape{7, 3, 1, 1}, NetworkPart::kUNet, 3, 1.5}});
    const std::vector<float> values = initial_values(network, 5);
    const std::string path = join_path(folder_, "x.safetensors");
    save_lora(path, network, values, DType::kF32, {});
    std::vector<float> read(values.size(), 0.0F);
    const LoadReport report = load_lora(path, network, read);
    EXPECT_TRUE(report.missing.empty());
    EXPECT_TRUE(report.unexpected.empty());
    EXPECT_EQ(read, values);
}

TEST_F(LoraFileTest, RefusesAnotherRankAndAnotherAlpha) {
    const std::string path = join_path(folder_, "x.safetensors");
    const Network network({{"a", Shape{3, 5}, NetworkPart::kUNet, 2, 4.0}});
    save_lora(path, network, initial_values(network, 1), DType::kF32, {});
    const auto code_for = [&](int64_t rank, double alpha) {
        const Network other({{"a", Shape{3, 5}, NetworkPart::kUNet, rank, alpha}});
        std::vector<float> values(static_cast<size_t>(other.num_elements()));
        try {
            (void)load_lora(path, other, values);
        } catch (const Error& error) {
            return error.code();
        }
        return ErrorCode::kInternal;
    };
    EXPECT_EQ(code_for(3, 4.0), ErrorCode::kConfig);
    EXPECT_EQ(code_for(2, 2.0), ErrorCode::kConfig);
}

TEST_F(LoraFileTest, ReportsMissingAndUnexpectedKeys) {
    const std::string path = join_path(folder_, "x.safetensors");
    const Network saved({{"a", Shape{3, 5}, NetworkPart::kUNet, 2, 1.0},
                         {"b", Shape{3, 5}, NetworkPart::kUNet, 2, 1.0}});
    save_lora(path, saved, initial_values(saved, 1), DType::kF32, {});
    const Network other({{"a", Shape{3, 5}, NetworkPart::kUNet, 2, 1.0},
                         {"c", Shape{3, 5}, NetworkPart::kUNet, 2, 1.0}});
    std::vector<float> values(static_cast<size_t>(other.num_elements()));
    const LoadReport report = load_lora(path, other, values);
    EXPECT_EQ(report.missing.size(), 2U);
    EXPECT_EQ(report.unexpected.size(), 3U);
}

TEST(Network, StartsAsKaimingUniformWithZeroUp) {
    const Network network({{"lora_unet_a", Shape{8, 100}, NetworkPart::kUNet, 16, 1.0},
                           {"lora_unet_b", Shape{8, 25, 3, 3}, NetworkPart::kUNet, 16, 1.0}});
    const std::vector<float> values = initial_values(network, 3);
    for (const ParameterEntry& entry : network.entries()) {
        float most = 0;
        for (int64_t i = 0; i < entry.count; ++i) {
            most = std::max(most, std::abs(values[static_cast<size_t>(entry.offset + i)]));
        }
        const bool is_up = entry.key.ends_with("lora_up.weight");
        const float bound = entry.key.starts_with("lora_unet_a") ? 0.1F : 1.0F / 15.0F;
        EXPECT_LE(most, is_up ? 0.0F : bound) << entry.key;
        if (!is_up) {
            EXPECT_GT(most, 0.95F * bound) << entry.key;
        }
    }
    EXPECT_NE(values, initial_values(network, 4));
}

TEST(Network, MatricesOfAModuleDoNotDependOnItsNeighbours) {
    const LoraModule a{"a", Shape{4, 6}, NetworkPart::kUNet, 2, 1.0};
    const LoraModule b{"b", Shape{4, 6}, NetworkPart::kTextEncoder, 2, 1.0};
    const Network alone({a});
    const Network both({a, b});
    const std::vector<float> x = initial_values(alone, 9);
    const std::vector<float> y = initial_values(both, 9);
    const int64_t offset = both.find("a.lora_down.weight")->offset;
    EXPECT_GT(offset, 0);  // the text encoder comes first
    EXPECT_TRUE(std::equal(x.begin(), x.begin() + 12, y.begin() + offset));
}

// Names and shapes of the table, really saved (requirements M126 to M129).
TEST_F(LoraFileTest, SizesOfFullModels) {
    const std::string golden = std::string(LORA_SOURCE_DIR) + "/tests/golden/spec/modules.json";
    const Json table = parse_json(read_text_file(golden), golden)["sd1"];
    for (const int64_t rank : {4, 8, 32, 128}) {
        std::vector<LoraModule> modules;
        const auto add = [&](const Json& row, NetworkPart part) {
            modules.push_back({row[0], Shape(row[2].get<std::vector<int64_t>>()), part, rank, 4.0});
        };
        for (const Json& row : table["text_encoder"]) add(row, NetworkPart::kTextEncoder);
        for (const Json& row : table["unet"]) {
            if (row[4] == 1) add(row, NetworkPart::kUNet);
        }
        ASSERT_EQ(modules.size(), 264U);
        const Network network(modules);
        const std::vector<float> values(static_cast<size_t>(network.num_elements()), 0.0F);
        const std::string path = join_path(folder_, "full.safetensors");
        save_lora(path, network, values, DType::kF16, {});
        const io::SafetensorsFile file = io::SafetensorsFile::open(path);
        const double mib = static_cast<double>(file.data_section().size()) / (1 << 20);
        EXPECT_EQ(lora_file_bytes(network, DType::kF16), file.data_section().size());
        EXPECT_NEAR(mib, 1.125 * static_cast<double>(rank), 0.01);
        EXPECT_EQ(file.tensors().size(), 3U * 264U);
    }
}

}  // namespace
}  // namespace lora::train

#include "app/file_info.h"

#include <filesystem>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "tensor/tensor.h"

namespace lora::app {
namespace {

// A network file of the given tensors, all fp32 zeros.
class NetworkFile {
public:
    NetworkFile(const std::vector<std::pair<std::string, Shape>>& tensors, const io::Metadata& meta)
        : path_(from_path(
              std::filesystem::temp_directory_path() /
              ("lora_file_info_" +
               std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()) +
               ".safetensors"))) {
        std::vector<Tensor> storage;
        std::vector<io::NamedTensor> named;
        storage.reserve(tensors.size());
        for (const auto& [name, shape] : tensors) storage.emplace_back(DType::kF32, shape);
        for (size_t i = 0; i < tensors.size(); ++i) {
            named.push_back({tensors[i].first, storage[i].view()});
        }
        io::write_safetensors(path_, named, meta);
    }
    ~NetworkFile() { remove_file_if_exists(path_); }
    NetworkFile(const NetworkFile&) = delete;
    NetworkFile& operator=(const NetworkFile&) = delete;
    [[nodiscard]] const std::string& path() const { return path_; }

private:
    std::string path_;
};

const std::string kToK = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k";

TEST(FileInfo, ALoraTellsRankFamilyAndParts) {
    const NetworkFile file(
        {{kToK + ".lora_down.weight", {8, 768}},
         {kToK + ".lora_up.weight", {320, 8}},
         {kToK + ".alpha", {}},
         {"lora_te_text_model_encoder_layers_0_mlp_fc1.lora_down.weight", {8, 768}},
         {"lora_te_text_model_encoder_layers_0_mlp_fc1.lora_up.weight", {3072, 8}}},
        {{"ss_network_dim", "8"}});
    const FileInfo info = inspect_file(file.path());
    EXPECT_EQ(info.kind, "lora");
    EXPECT_EQ(info.family, "sd1");
    EXPECT_EQ(info.modules, 2);
    EXPECT_EQ(info.text_encoder_modules, 1);
    EXPECT_EQ(info.ranks, std::vector<int64_t>{8});
    EXPECT_EQ(info.alphas, std::vector<double>{0});
    EXPECT_EQ(info.dtypes, std::vector<std::string>{"F32"});
    EXPECT_EQ(info.metadata.at("ss_network_dim"), "8");
}

TEST(FileInfo, TheNumbersOfALora) {
    const NetworkFile file(
        {{kToK + ".lora_down.weight", {8, 768}}, {kToK + ".lora_up.weight", {320, 8}}}, {});
    EXPECT_FALSE(inspect_file(file.path()).analysis.has_value());
    const FileInfo info = inspect_file(file.path(), InspectDepth::kNumbers);
    ASSERT_TRUE(info.analysis.has_value());
    EXPECT_EQ(info.analysis->unmoved, std::vector<std::string>{kToK});
    // A file that cannot be computed with is still told about.
    const NetworkFile half({{kToK + ".lora_down.weight", {8, 768}}}, {});
    const FileInfo told = inspect_file(half.path(), InspectDepth::kNumbers);
    EXPECT_EQ(told.kind, "lora");
    EXPECT_FALSE(told.analysis.has_value());
    ASSERT_EQ(told.notes.size(), 1u);
}

TEST(FileInfo, KindsAreToldApart) {
    const std::string conv = "lora_unet_down_blocks_0_resnets_0_conv1";
    const NetworkFile locon(
        {{conv + ".lora_down.weight", {4, 320, 3, 3}}, {conv + ".lora_up.weight", {320, 4, 1, 1}}},
        {});
    EXPECT_EQ(inspect_file(locon.path()).kind, "locon");
    const NetworkFile loha({{kToK + ".hada_w1_a", {320, 4}}, {kToK + ".hada_w1_b", {4, 1024}}}, {});
    EXPECT_EQ(inspect_file(loha.path()).kind, "loha");
    EXPECT_EQ(inspect_file(loha.path()).family, "sd2");
    const NetworkFile lokr({{kToK + ".lokr_w1", {16, 16}}, {kToK + ".lokr_w2_b", {4, 48}}}, {});
    EXPECT_EQ(inspect_file(lokr.path()).kind, "lokr");
    const NetworkFile other({{"emb_params", {4, 768}}}, {});
    EXPECT_EQ(inspect_file(other.path()).kind, "unknown");
}

TEST(FileInfo, SpellingsOfOtherProgramsAreKnown) {
    const std::string path = "unet.mid_block.attentions.0.transformer_blocks.0.attn2.";
    for (const auto& [down, up] : {
             std::pair{path + "to_k.lora_A.weight", path + "to_k.lora_B.weight"},
             {path + "to_k.lora_A.default.weight", path + "to_k.lora_B.default.weight"},
             {path + "to_k.lora.down.weight", path + "to_k.lora.up.weight"},
             {path + "to_k.lora_linear_layer.down.weight",
              path + "to_k.lora_linear_layer.up.weight"},
             {path + "processor.to_k_lora.down.weight", path + "processor.to_k_lora.up.weight"},
         }) {
        const NetworkFile file({{down, {4, 768}}, {up, {1280, 4}}}, {});
        const FileInfo info = inspect_file(file.path(), InspectDepth::kNumbers);
        EXPECT_EQ(info.kind, "lora") << down;
        EXPECT_EQ(info.family, "sd1") << down;
        EXPECT_EQ(info.ranks, std::vector<int64_t>{4}) << down;
        EXPECT_EQ(info.unet_modules, 1) << down;
        EXPECT_TRUE(info.analysis.has_value()) << down;
    }
}

TEST(FileInfo, WidthsTellTheFamilyAndMetadataWhereTheyAreUnusual) {
    const io::Metadata sd2 = {{"ss_v2", "True"}, {"ss_base_model_version", "sd_v2_v"}};
    const std::vector<std::pair<std::string, Shape>> mini = {{kToK + ".lora_down.weight", {2, 128}},
                                                             {kToK + ".lora_up.weight", {64, 2}}};
    EXPECT_EQ(inspect_file(NetworkFile(mini, sd2).path()).family, "sd2");
    EXPECT_EQ(inspect_file(NetworkFile(mini, {}).path()).family, "sd1");
    const std::vector<std::pair<std::string, Shape>> real = {
        {kToK + ".lora_down.weight", {2, 1024}}, {kToK + ".lora_up.weight", {320, 2}}};
    EXPECT_EQ(inspect_file(NetworkFile(real, {{"ss_v2", "False"}}).path()).family, "sd2");
    // LoKr's factors tell no widths.
    const NetworkFile lokr({{kToK + ".lokr_w1", {16, 16}}, {kToK + ".lokr_w2", {4, 48}}}, sd2);
    EXPECT_EQ(inspect_file(lokr.path()).family, "sd2");
}

TEST(TriggerWords, WordsOfNearlyEveryCaption) {
    const io::Metadata metadata = {
        {"ss_tag_frequency", R"({"5_zorp": {"zorp": 16, "crown": 4, "left": 9}})"},
        {"ss_dataset_dirs", R"({"5_zorp": {"n_repeats": 5, "img_count": 16}})"}};
    const auto words = trigger_words(metadata, 8);
    ASSERT_EQ(words.size(), 1u);
    EXPECT_EQ(words[0].word, "zorp");
    EXPECT_EQ(words[0].count, 16);
}

TEST(TriggerWords, WithoutCountsOfPicturesTheMostFrequent) {
    const io::Metadata metadata = {{"ss_tag_frequency", R"({"a": {"x": 3, "y": 7}})"}};
    const auto words = trigger_words(metadata, 1);
    ASSERT_EQ(words.size(), 1u);
    EXPECT_EQ(words[0].word, "y");
}

TEST(TriggerWords, DamagedMetadataTellsNothing) {
    EXPECT_TRUE(trigger_words({{"ss_tag_frequency", "{\"a\": {"}}, 8).empty());
    EXPECT_TRUE(trigger_words({{"ss_tag_frequency", "[1, 2]"}}, 8).empty());
    EXPECT_TRUE(trigger_words({}, 8).empty());
}

}  // namespace
}  // namespace lora::app

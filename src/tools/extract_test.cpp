#include "tools/extract.h"

#include <cmath>
#include <deque>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/attempt.h"
#include "models/hash_model.h"
#include "models/keymap/kohya.h"
#include "models/tensor_list.h"
#include "tools/internal/lora_maker.h"

namespace lora::tools {
namespace {

using internal::change_of;
using internal::LoraMaker;
using TemporaryFile = LoraMaker::TemporaryFile;

std::string mini() { return std::string(LORA_SOURCE_DIR) + "/assets/mini/mini-sd.safetensors"; }

// The mini model with a LoRA of rank 3 merged into it.
struct Tuned {
    TemporaryFile lora{"lora.safetensors"};
    TemporaryFile model{"model.safetensors"};
    TemporaryFile out{"out.safetensors"};

    explicit Tuned(bool text_encoder = true) {
        const auto base = io::SafetensorsFile::open(mini());
        LoraMaker maker(31);
        for (const auto& target :
             models::list_lora_targets(models::detect_model(base), {.conv = true})) {
            if (target.is_text_encoder && !text_encoder) continue;
            maker.lora(target.lora_name, target.weight_shape, 3);
        }
        maker.save(lora.path());
        MergeOptions options;
        options.inputs = {{lora.path(), 1}};
        options.save_to = model.path();
        merge_into_model(mini(), options);
    }
    [[nodiscard]] ExtractOptions options(int64_t rank) const {
        ExtractOptions options;
        options.model_org = mini();
        options.model_tuned = model.path();
        options.save_to = out.path();
        options.rank = rank;
        options.clamp_quantile = 1;
        return options;
    }
};

// Merged and extracted again with its rank, the LoRA is the same change.
TEST(Extract, FindsTheLoraThatWasMerged) {
    const Tuned tuned;
    ExtractOptions options = tuned.options(3);
    options.conv_rank = 3;
    const ExtractReport report = extract_lora(options);
    EXPECT_TRUE(report.has_text_encoder);
    EXPECT_NEAR(report.kept_share, 1, 1e-6);
    const LoraFile before = open_lora(tuned.lora.path());
    const LoraFile after = open_lora(tuned.out.path());
    EXPECT_EQ(report.layers, static_cast<int64_t>(before.layers.size()));
    for (const LoraLayer& layer : before.layers) {
        const std::vector<float> x = change_of(before, layer.name);
        const std::vector<float> y = change_of(after, layer.name);
        ASSERT_EQ(x.size(), y.size()) << layer.name;
        for (size_t i = 0; i < x.size(); ++i) ASSERT_NEAR(x[i], y[i], 2e-6) << layer.name;
        EXPECT_EQ(after.find(layer.name)->alpha, 3);
    }
    const io::Metadata& metadata = after.file->metadata();
    EXPECT_EQ(metadata.at("ss_network_dim"), "3");
    EXPECT_EQ(metadata.at("ss_base_model_version"), "sd_v1");
    EXPECT_EQ(metadata.at("ss_v2"), "False");
}

TEST(Extract, ASmallerRankKeepsTheLargestPart) {
    const Tuned tuned;
    const ExtractReport report = extract_lora(tuned.options(1));
    EXPECT_GT(report.kept_share, 0.33);
    EXPECT_LT(report.kept_share, 0.9);
    const LoraFile after = open_lora(tuned.out.path());
    const LoraFile before = open_lora(tuned.lora.path());
    for (const LoraLayer& layer : after.layers) {
        const Svd parts = svd(weight_change(*before.find(layer.name)));
        const double kept = squared_norm(weight_change(layer));
        EXPECT_NEAR(kept, parts.s[0] * parts.s[0], 1e-3 * kept) << layer.name;
        EXPECT_EQ(kernel_of_layer(layer.name), 1);  // no conv_rank: no 3x3 layers
    }
}

TEST(Extract, LeavesAnUnchangedTextEncoderOut) {
    const Tuned tuned(false);
    const ExtractReport report = extract_lora(tuned.options(2));
    EXPECT_FALSE(report.has_text_encoder);
    ASSERT_EQ(report.notes.size(), 1u);
    for (const LoraLayer& layer : open_lora(tuned.out.path()).layers) {
        EXPECT_FALSE(is_text_encoder_layer(layer.name));
    }
}

TEST(Extract, ClampsToTheQuantileOfBothFactors) {
    const Tuned tuned;
    ExtractOptions options = tuned.options(2);
    extract_lora(options);
    const LoraFile whole = open_lora(tuned.out.path());
    std::map<std::string, float> limits;
    for (const LoraLayer& layer : whole.layers) {
        const FactorPair pair = factor_pair(layer);
        std::vector<float> all = pair.up.values;
        all.insert(all.end(), pair.down.values.begin(), pair.down.values.end());
        std::sort(all.begin(), all.end());
        limits[layer.name] =
            all[static_cast<size_t>(0.9 * static_cast<double>(all.size() - 1)) + 1];
    }
    options.clamp_quantile = 0.9;
    extract_lora(options);
    const LoraFile clamped = open_lora(tuned.out.path());
    for (const LoraLayer& layer : clamped.layers) {
        const FactorPair pair = factor_pair(layer);
        for (const Matrix* factor : {&pair.up, &pair.down}) {
            for (const float value : factor->values) {
                ASSERT_LE(std::abs(value), limits[layer.name] * 1.0001F) << layer.name;
            }
        }
    }
}

// Stable Diffusion 2.x: queries, keys and values are thirds of one tensor, projections are linear
// while the LoRA's are 1x1.
TEST(Extract, ThereAndBackInSd2) {
    models::ModelInfo info = models::sd21_mini_info();
    models::ClipTextConfig text = info.text;
    ++text.layers;  // the last one is in the file and does not run
    std::deque<Tensor> storage;
    std::vector<io::NamedTensor> tensors;
    for (const auto& part : {models::unet_tensors(info.unet), models::clip_text_tensors(text)}) {
        for (const models::TensorSpec& spec : part) {
            storage.push_back(models::hash_weight(spec.name, spec.shape));
            tensors.push_back({spec.name, storage.back().view()});
        }
    }
    const TemporaryFile base("base.safetensors");
    const TemporaryFile lora("lora.safetensors");
    const TemporaryFile merged("merged.safetensors");
    const TemporaryFile out("out.safetensors");
    io::write_safetensors(base.path(), tensors, {});
    LoraMaker maker(32);
    for (const auto& target : models::list_lora_targets(info, {})) {
        maker.lora(target.lora_name, target.weight_shape, 2);
    }
    maker.save(lora.path());
    MergeOptions options;
    options.inputs = {{lora.path(), 1}};
    options.save_to = merged.path();
    merge_into_model(base.path(), options);

    const LoraFile before = open_lora(lora.path());
    const std::string whole = "cond_stage_model.model.transformer.resblocks.1.attn.in_proj_weight";
    const std::vector<float> x = to_floats(io::SafetensorsFile::open(base.path()).at(whole));
    const std::vector<float> y = to_floats(io::SafetensorsFile::open(merged.path()).at(whole));
    size_t third = 0;
    for (const char* name : {"q", "k", "v"}) {
        const std::vector<float> change = change_of(
            before, fmt::format("lora_te_text_model_encoder_layers_1_self_attn_{}_proj", name));
        ASSERT_EQ(3 * change.size(), x.size());
        for (size_t i = 0; i < change.size(); ++i) {
            const size_t at = third * change.size() + i;
            ASSERT_NEAR(y[at] - x[at], change[i], 1e-6) << name;
        }
        ++third;
    }
    ExtractOptions extract;
    extract.model_org = base.path();
    extract.model_tuned = merged.path();
    extract.save_to = out.path();
    extract.rank = 2;
    extract.clamp_quantile = 1;
    extract_lora(extract);
    const LoraFile after = open_lora(out.path());
    ASSERT_EQ(after.layers.size(), before.layers.size());
    EXPECT_EQ(after.file->metadata().at("ss_v2"), "True");
    for (const LoraLayer& layer : before.layers) {
        const std::vector<float> a = change_of(before, layer.name);
        const std::vector<float> b = change_of(after, layer.name);
        for (size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], 5e-6) << layer.name;
    }
}

TEST(Extract, ModelsThatAreEqualOrNoModels) {
    const Tuned tuned;
    ExtractOptions options = tuned.options(2);
    options.model_tuned = mini();
    auto error = attempt([&] { extract_lora(options); });
    ASSERT_TRUE(error.has_value());
    EXPECT_EQ(error->code(), ErrorCode::kData);
    options.model_tuned = tuned.lora.path();
    error = attempt([&] { extract_lora(options); });
    ASSERT_TRUE(error.has_value());
    EXPECT_EQ(error->code(), ErrorCode::kFormat);
}

}  // namespace
}  // namespace lora::tools

// Stable Diffusion 2.x: its tensors, and files recognised by them.
#include <functional>
#include <map>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "models/hash_model.h"
#include "models/lora_file_weights.h"
#include "models/tensor_list.h"

namespace lora::models {
namespace {

int64_t count_parameters(const std::vector<TensorSpec>& specs) {
    int64_t count = 0;
    for (const TensorSpec& spec : specs) count += spec.shape.num_elements();
    return count;
}

Shape shape_of(const std::vector<TensorSpec>& specs, const std::string& name) {
    for (const TensorSpec& spec : specs) {
        if (spec.name == name) return spec.shape;
    }
    ADD_FAILURE() << "no tensor " << name;
    return {};
}

// As published: 865.91 million in the UNet; 340,387,840 in the 23 layers of the text encoder that
// diffusers keeps.
TEST(Sd2Tensors, AreAsManyNumbersAsPublished) {
    const ModelInfo info = sd21_info();
    EXPECT_EQ(count_parameters(unet_tensors(info.unet)), 865910724);
    EXPECT_EQ(count_parameters(clip_text_tensors(info.text)), 340387840);
}

TEST(Sd2Tensors, KeepOpenClipsNamesAndShapes) {
    const ModelInfo info = sd21_info();
    const std::vector<TensorSpec> text = clip_text_tensors(info.text);
    EXPECT_EQ(text.size(), 23U * 12U + 4U);
    const std::string block = "cond_stage_model.model.transformer.resblocks.22.";
    EXPECT_EQ(shape_of(text, block + "attn.in_proj_weight"), (Shape{3072, 1024}));
    EXPECT_EQ(shape_of(text, block + "attn.in_proj_bias"), (Shape{3072}));
    EXPECT_EQ(shape_of(text, block + "mlp.c_fc.weight"), (Shape{4096, 1024}));
    EXPECT_EQ(shape_of(text, "cond_stage_model.model.positional_embedding"), (Shape{77, 1024}));
    const std::vector<TensorSpec> unet = unet_tensors(info.unet);
    const std::string transformer = "model.diffusion_model.input_blocks.1.1.";
    EXPECT_EQ(shape_of(unet, transformer + "proj_in.weight"), (Shape{320, 320}));
    EXPECT_EQ(shape_of(unet, transformer + "transformer_blocks.0.attn2.to_k.weight"),
              (Shape{320, 1024}));
    EXPECT_EQ(shape_of(unet, "model.diffusion_model.output_blocks.3.0.skip_connection.weight"),
              (Shape{1280, 2560, 1, 1}));
}

TEST(StoredTensor, TellsTheThirdsOfOpenClipsMatrix) {
    const std::string block = "cond_stage_model.model.transformer.resblocks.7.attn.";
    const StoredTensor keys = stored_tensor(block + "k_proj.weight");
    EXPECT_EQ(keys.name, block + "in_proj_weight");
    EXPECT_EQ(keys.part, 1);
    EXPECT_EQ(keys.num_parts, 3);
    EXPECT_EQ(stored_tensor(block + "v_proj.bias").name, block + "in_proj_bias");
    for (const std::string& whole :
         {block + "out_proj.weight",
          std::string(
              "cond_stage_model.transformer.text_model.encoder.layers.0.self_attn.q_proj.bias"),
          std::string("first_stage_model.decoder.mid.attn_1.q.weight"),
          std::string("x.attn.q_proj.weight")}) {
        EXPECT_EQ(stored_tensor(whole).name, whole);
        EXPECT_EQ(stored_tensor(whole).num_parts, 1);
    }
}

// The mini model as files have it, with one text layer more than runs.
struct MiniFile {
    ModelInfo info = sd21_mini_info();
    io::Metadata metadata;
    int64_t text_layers = 4;
    std::map<std::string, Shape> extra;
    std::function<bool(const std::string&)> keep = [](const std::string&) { return true; };

    [[nodiscard]] std::string write() const {
        std::vector<TensorSpec> specs = unet_tensors(info.unet);
        ClipTextConfig text = info.text;
        text.layers = text_layers;
        for (const auto& part : {vae_tensors(info.vae), clip_text_tensors(text)}) {
            specs.insert(specs.end(), part.begin(), part.end());
        }
        for (const auto& [name, shape] : extra) specs.push_back({name, shape});
        std::vector<Tensor> storage;
        std::vector<io::NamedTensor> tensors;
        storage.reserve(specs.size());
        for (const TensorSpec& spec : specs) {
            if (!keep(spec.name)) continue;
            storage.emplace_back(DType::kF16, spec.shape);
            tensors.push_back({spec.name, storage.back().view()});
        }
        std::string path = ::testing::TempDir() + "sd2_test.safetensors";
        io::write_safetensors(path, tensors, metadata);
        return path;
    }
    [[nodiscard]] ModelInfo detect() const {
        return detect_model(io::SafetensorsFile::open(write()));
    }
    [[nodiscard]] std::string message() const {
        try {
            static_cast<void>(detect());
        } catch (const Error& error) {
            EXPECT_EQ(error.code(), ErrorCode::kFormat);
            return error.message();
        }
        return "accepted";
    }
};

TEST(DetectSd2, ReadsSizesFromShapes) {
    MiniFile file;
    file.extra = {{"cond_stage_model.model.text_projection", {128, 128}},
                  {"cond_stage_model.model.logit_scale", {}}};
    const ModelInfo info = file.detect();
    EXPECT_EQ(info.family, Family::kSD2);
    EXPECT_EQ(info.unet.channels, (std::vector<int64_t>{64, 64, 128, 128}));
    EXPECT_EQ(info.unet.heads_of(128), 2);
    EXPECT_TRUE(info.unet.linear_projection);
    EXPECT_EQ(info.unet.context_size, 128);
    EXPECT_EQ(info.text.layout, TextLayout::kOpenClip);
    EXPECT_TRUE(info.text.exact_gelu);
    EXPECT_EQ(info.text.layers, 3) << "the last layer of the file is not used";
    EXPECT_EQ(info.text.heads, 2);
    EXPECT_EQ(info.text.hidden, 512);
    EXPECT_EQ(info.clip_skip, 1);
}

// Such files lack the last layer already.
TEST(DetectSd2, TakesAllLayersOfAFileMadeFromDiffusers) {
    MiniFile file;
    file.text_layers = 23;
    EXPECT_EQ(file.detect().text.layers, 23);
    file.text_layers = 24;
    EXPECT_EQ(file.detect().text.layers, 23);
}

TEST(DetectSd2, PredictionComesFromMetadata) {
    MiniFile file;
    ModelInfo info = file.detect();
    EXPECT_FALSE(info.tells_prediction);
    EXPECT_FALSE(info.v_prediction);
    EXPECT_EQ(info.native_resolution_px, 512);
    const std::pair<io::Metadata, bool> rows[] = {
        {{{"modelspec.prediction_type", "v"}}, true},
        {{{"modelspec.prediction_type", "epsilon"}}, false},
        {{{"modelspec.architecture", "stable-diffusion-v2-768-v"}}, true},
        {{{"modelspec.architecture", "stable-diffusion-v2-512"}}, false},
        {{{"lora_cpp.model", R"({"prediction": "v_prediction"})"}}, true}};
    for (const auto& [metadata, v] : rows) {
        file.metadata = metadata;
        info = file.detect();
        EXPECT_TRUE(info.tells_prediction) << metadata.begin()->first;
        EXPECT_EQ(info.v_prediction, v) << metadata.begin()->second;
        EXPECT_EQ(info.native_resolution_px, v ? 768 : 512);
    }
    file.metadata.clear();
    file.extra = {{"v_pred", {}}};
    EXPECT_TRUE(file.detect().v_prediction);
}

TEST(DetectSd2, NamesWhatIsMissing) {
    MiniFile file;
    const std::string gone = "cond_stage_model.model.transformer.resblocks.1.attn.in_proj_bias";
    file.keep = [&gone](const std::string& name) { return name != gone; };
    EXPECT_NE(file.message().find(gone), std::string::npos) << file.message();
}

TEST(DetectSd2, RefusesItsRelatives) {
    MiniFile depth;
    depth.info.unet.in_channels = 5;
    EXPECT_NE(depth.message().find("depth"), std::string::npos) << depth.message();
    MiniFile unclip;
    unclip.extra = {{"model.diffusion_model.label_emb.0.0.weight", {256, 128}}};
    EXPECT_NE(unclip.message().find("unCLIP"), std::string::npos) << unclip.message();
    MiniFile inpainting;
    inpainting.info.unet.in_channels = 9;
    EXPECT_NE(inpainting.message().find("inpainting"), std::string::npos);
}

TEST(DetectSd2, SdxlIsNamedAndRefused) {
    MiniFile sdxl;
    sdxl.keep = [](const std::string& name) { return !name.starts_with("cond_stage_model."); };
    sdxl.extra = {{"conditioner.embedders.0.transformer.text_model.final_layer_norm.weight", {64}},
                  {"conditioner.embedders.1.model.ln_final.weight", {128}},
                  {"model.diffusion_model.label_emb.0.0.weight", {256, 2816}}};
    EXPECT_NE(sdxl.message().find("is a Stable Diffusion XL model"), std::string::npos)
        << sdxl.message();
    EXPECT_EQ(sdxl.message().find('\n'), std::string::npos);
}

// sd-scripts writes the projections' LoRA with 1x1 kernels for single files, without for folders.
TEST(Sd2LoraFile, ProjectionsMayHaveEitherShape) {
    const ModelInfo info = sd21_mini_info();
    const std::string name = "lora_unet_down_blocks_0_attentions_0_proj_in";
    const std::string path = ::testing::TempDir() + "sd2_lora.safetensors";
    for (const bool kernels : {true, false}) {
        const Tensor down(DType::kF32, kernels ? Shape{2, 64, 1, 1} : Shape{2, 64});
        const Tensor up(DType::kF32, kernels ? Shape{64, 2, 1, 1} : Shape{64, 2});
        io::write_safetensors(
            path,
            {{name + ".lora_down.weight", down.view()}, {name + ".lora_up.weight", up.view()}},
            {});
        const LoraFileContent content = read_lora_file(io::SafetensorsFile::open(path), info);
        ASSERT_EQ(content.modules.size(), 1U);
        EXPECT_EQ(content.modules[0].target.weight_shape, (Shape{64, 64, 1, 1}));
    }
    remove_file_if_exists(path);
}

}  // namespace
}  // namespace lora::models

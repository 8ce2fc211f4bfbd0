// Recognition of model files and the list of tensors, against the published SD 1.5 layout.
#include <set>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/json.h"
#include "models/hash_model.h"
#include "models/lora_file_weights.h"
#include "models/tensor_list.h"
#include "tensor/half.h"

namespace lora::models {
namespace {

std::string source_path(const std::string& name) {
    return std::string(LORA_SOURCE_DIR) + "/" + name;
}

io::SafetensorsFile mini_model() {
    return io::SafetensorsFile::open(source_path("assets/mini/mini-sd.safetensors"));
}

Shape shape_of(const Json& sizes) { return Shape(sizes.get<std::vector<int64_t>>()); }

TEST(TensorList, IsStableDiffusion15) {
    const Json keys =
        parse_json(read_text_file(source_path("tests/golden/spec/sd15_keys.json")), "sd15_keys");
    const std::vector<TensorSpec> specs = model_tensors(sd15_info());
    std::set<std::string> names;
    for (const TensorSpec& spec : specs) {
        names.insert(spec.name);
        ASSERT_TRUE(keys.contains(spec.name)) << spec.name;
        EXPECT_EQ(spec.shape, shape_of(keys[spec.name])) << spec.name;
    }
    EXPECT_EQ(names.size(), specs.size());
    for (const auto& [name, value] : keys.items()) {
        EXPECT_TRUE(names.contains(name)) << name;
    }
}

TEST(DetectModel, ReadsSizesAndMetadataOfTheMiniModel) {
    const ModelInfo info = detect_model(mini_model());
    EXPECT_EQ(info.family, Family::kSD1);
    EXPECT_EQ(info.unet.channels, (std::vector<int64_t>{64, 96, 96, 96}));
    EXPECT_EQ(info.unet.has_attention, (std::vector<bool>{true, true, true, false}));
    EXPECT_EQ(info.unet.heads, 4);
    EXPECT_EQ(info.unet.context_size, 64);
    EXPECT_EQ(info.text.layers, 4);
    EXPECT_EQ(info.text.heads, 4);
    EXPECT_EQ(info.text.hidden, 256);
    EXPECT_EQ(info.vae.channels, (std::vector<int64_t>{32, 64, 64, 64}));
    EXPECT_EQ(info.native_resolution_px, 128);
    EXPECT_FALSE(info.v_prediction);
}

TEST(DetectModel, FindsTheVaeInsideAModel) {
    EXPECT_EQ(detect_vae(mini_model()).prefix, "first_stage_model.");
}

// A file with some of the mini model's tensors, in a folder of the test.
std::string write_part(const std::string& name, const std::function<bool(std::string_view)>& keep) {
    const io::SafetensorsFile model = mini_model();
    std::vector<io::NamedTensor> tensors;
    for (const io::TensorInfo& info : model.tensors()) {
        if (keep(info.name)) tensors.push_back({info.name, model.view(info)});
    }
    std::string path = ::testing::TempDir() + name;
    io::write_safetensors(path, tensors, model.metadata());
    return path;
}

std::string detect_message(const std::string& path) {
    try {
        static_cast<void>(detect_model(io::SafetensorsFile::open(path)));
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kFormat);
        return error.message();
    }
    return "accepted";
}

TEST(DetectModel, SaysThatAVaeIsNoModel) {
    const std::string path = write_part("only_vae.safetensors", [](std::string_view name) {
        return name.starts_with("first_stage_model.");
    });
    EXPECT_NE(detect_message(path).find("is a VAE"), std::string::npos) << detect_message(path);
}

TEST(DetectModel, NamesTheMissingTensor) {
    const std::string gone = "model.diffusion_model.middle_block.1.norm.bias";
    const std::string path =
        write_part("no_norm.safetensors", [&](std::string_view name) { return name != gone; });
    EXPECT_NE(detect_message(path).find(gone), std::string::npos) << detect_message(path);
}

TEST(DetectModel, RefusesWhatItDoesNotKnow) {
    const std::string path = ::testing::TempDir() + "unknown.safetensors";
    const Tensor tensor(DType::kF32, Shape{2});
    io::write_safetensors(path, {{"something", tensor.view()}}, {});
    EXPECT_NE(detect_message(path).find("no model that is known"), std::string::npos);
}

TEST(DetectModel, RefusesAWrongShape) {
    const io::SafetensorsFile model = mini_model();
    std::vector<io::NamedTensor> tensors;
    const Tensor wrong(DType::kF16, Shape{3});
    const std::string name = "model.diffusion_model.out.0.bias";
    for (const io::TensorInfo& info : model.tensors()) {
        tensors.push_back({info.name, info.name == name ? wrong.view() : model.view(info)});
    }
    const std::string path = ::testing::TempDir() + "wrong_shape.safetensors";
    io::write_safetensors(path, tensors, model.metadata());
    EXPECT_NE(detect_message(path).find(name), std::string::npos) << detect_message(path);
}

TEST(LoraFile, ReadsRankAlphaAndReportsStrangers) {
    const ModelInfo info = detect_model(mini_model());
    const LoraTarget target = list_lora_targets(info)[3];
    const LoraModule module = make_lora_module(target, 8, 2);
    const Tensor down(DType::kF32, module.factors[0].shape);
    const Tensor up(DType::kF32, module.factors[1].shape);
    const Tensor alpha = Tensor::from_floats(Shape{}, std::vector<float>{2.0F});
    const std::string path = ::testing::TempDir() + "some_lora.safetensors";
    io::write_safetensors(path,
                          {{module.key("lora_down.weight"), down.view()},
                           {module.key("lora_up.weight"), up.view()},
                           {module.key("alpha"), alpha.view()},
                           {"lora_unet_stranger.lora_up.weight", up.view()}},
                          {});
    const LoraFileContent content = read_lora_file(io::SafetensorsFile::open(path), info);
    ASSERT_EQ(content.modules.size(), 1U);
    EXPECT_EQ(content.modules[0].rank, 8);
    EXPECT_EQ(content.modules[0].alpha, 2.0);
    EXPECT_EQ(content.unknown, (std::vector<std::string>{"lora_unet_stranger"}));
    nn::LoraAttachments attachments;
    attach_frozen(content, 0.5, "lora0/", attachments);
    ASSERT_EQ(attachments.find(target.weight_name).size(), 1U);
    EXPECT_EQ(attachments.find(target.weight_name)[0].scale, 0.125);
}

// The rule written out for one element, in 64-bit arithmetic that Python would show as well.
TEST(HashModel, FollowsTheRule) {
    const Tensor values = hash_tensor("in.noise.a", Shape{4}, 1.0F);
    for (const float value : values.data<float>()) {
        EXPECT_GE(value, -1.0F);
        EXPECT_LT(value, 1.0F);
    }
    std::vector<float> tail(2);
    fill_hash_uniform("in.noise.a", 2, tail);
    EXPECT_EQ(tail[0], values.data<float>()[2]);
    const Tensor norm = hash_weight("x.norm.weight", Shape{64});
    for (const uint16_t bits : norm.data<uint16_t>()) {
        EXPECT_NEAR(f16_to_float(bits), 1.0F, 0.1002F);
    }
}

}  // namespace
}  // namespace lora::models

// Tensors found in files: parts of them, and a VAE of its own.
#include "train/weight_binding.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"

namespace lora::train {
namespace {

using FilePointer = std::shared_ptr<const io::SafetensorsFile>;

// Tensors of counting numbers, the first of each given.
FilePointer write_file(const std::string& name,
                       const std::vector<std::tuple<std::string, Shape, float>>& tensors) {
    std::vector<Tensor> storage;
    std::vector<io::NamedTensor> named;
    for (const auto& [tensor_name, shape, first] : tensors) {
        Tensor tensor(DType::kF32, shape);
        float value = first;
        for (float& number : tensor.data<float>()) number = value++;
        storage.push_back(std::move(tensor));
    }
    for (size_t i = 0; i < tensors.size(); ++i) {
        named.push_back({std::get<0>(tensors[i]), storage[i].view()});
    }
    const std::string path = testing::TempDir() + name;
    io::write_safetensors(path, named, {});
    return std::make_shared<const io::SafetensorsFile>(io::SafetensorsFile::open(path));
}

const std::string kAttention = "cond_stage_model.model.transformer.resblocks.0.attn.";

TEST(FileSource, CutsOpenClipsMatrixIntoThirds) {
    const auto file = write_file("thirds.safetensors",
                                 {{kAttention + "in_proj_weight", {6, 2}, 0.0F},
                                  {kAttention + "in_proj_bias", {6}, 100.0F}});
    const TensorSource source = file_source(file);
    const auto values = source(kAttention + "v_proj.weight");
    ASSERT_TRUE(values.has_value());
    EXPECT_EQ(values->view.shape, (Shape{2, 2}));
    EXPECT_EQ(to_floats(values->view), (std::vector<float>{8, 9, 10, 11}));
    EXPECT_EQ(to_floats(source(kAttention + "q_proj.weight")->view),
              (std::vector<float>{0, 1, 2, 3}));
    EXPECT_EQ(to_floats(source(kAttention + "k_proj.bias")->view), (std::vector<float>{102, 103}));
    EXPECT_FALSE(source(kAttention + "out_proj.weight").has_value());
}

TEST(FileSource, RefusesRowsThatDoNotSplit) {
    const auto file =
        write_file("odd.safetensors", {{kAttention + "in_proj_weight", {4, 2}, 0.0F}});
    EXPECT_THROW(static_cast<void>(file_source(file)(kAttention + "q_proj.weight")), Error);
}

// A whole model given as VAE: nothing but its VAE is taken.
TEST(VaeSource, TakesOnlyTheVae) {
    const std::string conv = "decoder.conv_in.weight";
    const auto whole = write_file("whole.safetensors",
                                  {{"first_stage_model." + conv, {2}, 1.0F},
                                   {"model.diffusion_model.out.0.bias", {2}, 5.0F}});
    const TensorSource source = vae_source(whole, "first_stage_model.");
    EXPECT_EQ(to_floats(source("first_stage_model." + conv)->view), (std::vector<float>{1, 2}));
    EXPECT_FALSE(source("model.diffusion_model.out.0.bias").has_value());
    const auto plain = write_file("plain.safetensors", {{conv, {2}, 3.0F}, {"loss.x", {1}, 0.0F}});
    EXPECT_EQ(to_floats(vae_source(plain, "")(conv)->view), (std::vector<float>{3, 4}));
    EXPECT_FALSE(vae_source(plain, "")("loss.x").has_value());
}

}  // namespace
}  // namespace lora::train

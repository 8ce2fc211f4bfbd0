#include "tools/convert.h"

#include <cmath>

#include <gtest/gtest.h>

#include "base/attempt.h"
#include "tools/internal/lora_maker.h"

namespace lora::tools {
namespace {

using internal::change_of;
using internal::LoraMaker;
using TemporaryFile = LoraMaker::TemporaryFile;

const std::string kToOut = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_out_0";
const std::string kConv = "lora_unet_down_blocks_1_resnets_0_conv1";
const std::string kText = "lora_te_text_model_encoder_layers_0_self_attn_q_proj";

class Convert : public ::testing::Test {
protected:
    void SetUp() override {
        LoraMaker maker(41);
        maker.lora(kToOut, {12, 10}, 4, 2);
        maker.lora(kConv, {9, 4, 3, 3}, 4, 8);
        maker.lora(kText, {16, 8}, 4);
        maker.save(in_.path(), {{"ss_output_name", "cat"}, {"sshs_model_hash", "0"}});
    }
    TemporaryFile in_{"in.safetensors"};
    TemporaryFile middle_{"middle.safetensors"};
    TemporaryFile back_{"back.safetensors"};
};

// sd-scripts' names to diffusers' and back: the same changes, with the alphas folded in.
TEST_F(Convert, NamesThereAndBack) {
    const ConvertReport there = convert_file(
        {.path = in_.path(), .save_to = middle_.path(), .key_style = KeyStyle::kDiffusers});
    EXPECT_EQ(there.tensors, 6);
    const auto file = io::SafetensorsFile::open(middle_.path());
    EXPECT_EQ(file.tensors().size(), 6u);
    const std::string path = "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_out.0";
    EXPECT_EQ(file.at(path + ".lora_A.weight").shape, (Shape{4, 10}));
    EXPECT_EQ(file.at(path + ".lora_B.weight").shape, (Shape{12, 4}));
    EXPECT_TRUE(file.find("unet.down_blocks.1.resnets.0.conv1.lora_A.weight"));
    EXPECT_TRUE(
        file.find("text_encoder.text_model.encoder.layers.0.self_attn.q_proj.lora_A.weight"));
    EXPECT_EQ(file.metadata().at("ss_output_name"), "cat");
    convert_file({.path = middle_.path(), .save_to = back_.path(), .key_style = KeyStyle::kKohya});
    const LoraFile before = open_lora(in_.path());
    const LoraFile after = open_lora(back_.path());
    for (const std::string& layer : {kToOut, kConv, kText}) {
        ASSERT_NE(after.find(layer), nullptr);
        EXPECT_EQ(after.find(layer)->alpha, 4);
        EXPECT_EQ(after.find(layer)->weight_shape, before.find(layer)->weight_shape);
        const std::vector<float> x = change_of(before, layer);
        const std::vector<float> y = change_of(after, layer);
        for (size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(x[i], y[i], 1e-7);
    }
}

TEST_F(Convert, FormatsThereAndBackLoseNothing) {
    const TemporaryFile ckpt("middle.ckpt");
    const ConvertReport report = convert_file({.path = in_.path(), .save_to = ckpt.path()});
    ASSERT_EQ(report.notes.size(), 1u);  // the metadata
    EXPECT_EQ(report.tensors, 8);
    convert_file({.path = ckpt.path(), .save_to = back_.path()});
    const auto before = io::SafetensorsFile::open(in_.path());
    const auto after = io::SafetensorsFile::open(back_.path());
    ASSERT_EQ(before.tensors().size(), after.tensors().size());
    for (const io::TensorInfo& info : before.tensors()) {
        const TensorView x = before.view(info);
        const TensorView y = after.at(info.name);
        EXPECT_EQ(x.dtype, y.dtype);
        EXPECT_EQ(x.shape, y.shape);
        EXPECT_TRUE(std::equal(x.bytes.begin(), x.bytes.end(), y.bytes.begin()));
    }
}

TEST_F(Convert, PrecisionDropsHashesAndTellsOfOverflow) {
    convert_file({.path = in_.path(), .save_to = middle_.path(), .save_precision = DType::kBF16});
    const auto file = io::SafetensorsFile::open(middle_.path());
    EXPECT_EQ(file.tensors()[0].dtype, DType::kBF16);
    EXPECT_FALSE(file.metadata().contains("sshs_model_hash"));
    LoraMaker maker(42);
    maker.lora(kText, {16, 8}, 4);
    maker.add("large", {3}, 0).data<float>()[1] = 1e6F;
    maker.save(in_.path());
    const ConvertReport report = convert_file(
        {.path = in_.path(), .save_to = middle_.path(), .save_precision = DType::kF16});
    ASSERT_EQ(report.notes.size(), 1u);
    EXPECT_NE(report.notes[0].find("1 numbers"), std::string::npos);
}

TEST_F(Convert, WhatCannotBeDoneIsSaid) {
    auto error = attempt([&] { convert_file({.path = in_.path(), .save_to = "x.gguf"}); });
    ASSERT_TRUE(error.has_value());
    EXPECT_EQ(error->code(), ErrorCode::kConfig);
    LoraMaker maker(43);
    maker.add(kToOut + ".lokr_w1", {2, 2});
    maker.add(kToOut + ".lokr_w2", {3, 3});
    maker.save(in_.path());
    error = attempt([&] {
        convert_file(
            {.path = in_.path(), .save_to = middle_.path(), .key_style = KeyStyle::kDiffusers});
    });
    ASSERT_TRUE(error.has_value());
    EXPECT_EQ(error->code(), ErrorCode::kConfig);
    EXPECT_FALSE(path_exists(middle_.path()));
}

}  // namespace
}  // namespace lora::tools

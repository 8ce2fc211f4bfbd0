#include "tools/verify_lora.h"

#include <cmath>

#include <gtest/gtest.h>

#include "base/attempt.h"
#include "tools/convert.h"
#include "tools/internal/lora_maker.h"

namespace lora::tools {
namespace {

using internal::LoraMaker;

const std::string kToQ = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q";
const std::string kConv = "lora_unet_mid_block_resnets_0_conv1";
const std::string kText = "lora_te_text_model_encoder_layers_0_mlp_fc1";
const std::vector<Program> kAll = {Program::kAutomatic1111, Program::kComfyUI, Program::kDiffusers};

struct Verified {
    LoraMaker maker{51};
    LoraMaker::TemporaryFile file{"verify.safetensors"};

    VerifyReport run() {
        maker.save(file.path());
        return verify_lora(file.path(), kAll);
    }
};

// Which of the three load it, as "101".
std::string loaders(const VerifyReport& report) {
    std::string out;
    for (const ProgramVerdict& verdict : report.programs) {
        out += report.errors.empty() && verdict.problems.empty() ? '1' : '0';
    }
    return out;
}

TEST(VerifyLora, AFileOfSdScriptsLoadsEverywhere) {
    Verified v;
    v.maker.lora(kToQ, {12, 10}, 4, 2);
    v.maker.lora(kConv, {9, 4, 3, 3}, 4, 2);
    v.maker.lora(kText, {16, 8}, 4, 2);
    const VerifyReport report = v.run();
    EXPECT_TRUE(report.ok());
    EXPECT_EQ(loaders(report), "111");
    EXPECT_EQ(report.layers, 3);
    EXPECT_EQ(report.programs[0].layers_found, 3);
    EXPECT_TRUE(report.warnings.empty());
}

TEST(VerifyLora, OtherKindsAndNamesLoadInSome) {
    Verified loha;
    for (const char* w : {"1", "2"}) {
        loha.maker.add(kToQ + ".hada_w" + w + "_a", {12, 2});
        loha.maker.add(kToQ + ".hada_w" + w + "_b", {2, 10});
    }
    EXPECT_EQ(loaders(loha.run()), "110");
    Verified ia3;
    ia3.maker.add(kToQ + ".weight", {12});
    ia3.maker.set(kToQ + ".on_input", 0);
    EXPECT_EQ(loaders(ia3.run()), "100");
    Verified ends;
    ends.maker.lora("lora_unet_conv_in", {9, 4, 3, 3}, 4, 2);
    EXPECT_EQ(loaders(ends.run()), "110");
    Verified odd;
    odd.maker.lora(kToQ, {12, 10}, 4, 2);
    odd.maker.lora("lora_unet_single_blocks_0_linear1", {12, 10}, 4, 2);
    EXPECT_EQ(loaders(odd.run()), "000");
}

TEST(VerifyLora, DiffusersNamesAndTheWayBack) {
    Verified v;
    v.maker.lora(kToQ, {12, 10}, 4, 2);
    v.maker.lora(kText, {16, 8}, 4, 2);
    v.run();
    const LoraMaker::TemporaryFile there("there.safetensors");
    const LoraMaker::TemporaryFile back("back.safetensors");
    convert_file(
        {.path = v.file.path(), .save_to = there.path(), .key_style = KeyStyle::kDiffusers});
    EXPECT_EQ(loaders(verify_lora(there.path(), kAll)), "001");
    convert_file({.path = there.path(), .save_to = back.path(), .key_style = KeyStyle::kKohya});
    EXPECT_EQ(loaders(verify_lora(back.path(), kAll)), "111");
}

TEST(VerifyLora, DamageIsNamed) {
    Verified half;
    half.maker.add(kToQ + ".lora_down.weight", {4, 10});
    VerifyReport report = half.run();
    ASSERT_EQ(report.errors.size(), 1u);
    EXPECT_NE(report.errors[0].find("lacks lora_up.weight"), std::string::npos);
    EXPECT_EQ(loaders(report), "000");
    Verified nan;
    nan.maker.lora(kToQ, {12, 10}, 4, 2);
    nan.maker.add(kText + ".lora_down.weight", {4, 8}).data<float>()[0] = NAN;
    nan.maker.add(kText + ".lora_up.weight", {16, 4});
    report = nan.run();
    ASSERT_EQ(report.errors.size(), 1u);
    EXPECT_NE(report.errors[0].find("not finite"), std::string::npos);
    Verified none;
    none.maker.add("first_stage_model.decoder.conv_in.weight", {4, 8});
    EXPECT_FALSE(none.run().ok());
}

TEST(VerifyLora, AFileThatIsNoneIsAnAnswerAndAMissingOneAnError) {
    const LoraMaker::TemporaryFile file("text.safetensors");
    write_file_atomically(file.path(), std::string_view("hello"));
    EXPECT_FALSE(verify_lora(file.path(), kAll).ok());
    const auto error = attempt([&] { static_cast<void>(verify_lora("no/such/file", kAll)); });
    ASSERT_TRUE(error.has_value());
    EXPECT_EQ(error->code(), ErrorCode::kIo);
}

}  // namespace
}  // namespace lora::tools

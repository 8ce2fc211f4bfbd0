#include "config/sample_prompts.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"

namespace lora::config {
namespace {

using diffusion::SamplerKind;

std::vector<train::SamplePrompt> load_text(const std::string& name,
                                           const std::string& text,
                                           Diagnostics& findings) {
    const std::string path = ::testing::TempDir() + name;
    write_file_atomically(path, std::string_view(text));
    return load_sample_prompts(path, findings);
}

TEST(SamplePrompts, LinesWithFlags) {
    Diagnostics findings;
    const auto prompts = load_text(
        "prompts.txt",
        "# a note\n\n  \n"
        "a cat, sofa --n low quality, bad --w 513 --H 768 --d 7 --s 12 --l 5.5 --ss k_euler_a\r\n"
        "a dog-eared book --g 2\n",
        findings);
    EXPECT_TRUE(findings.empty());
    ASSERT_EQ(prompts.size(), 2U);
    EXPECT_EQ(prompts[0].prompt, "a cat, sofa");
    EXPECT_EQ(prompts[0].negative_prompt, "low quality, bad");
    EXPECT_EQ(prompts[0].width_px, 513);
    EXPECT_EQ(prompts[0].height_px, 768);
    EXPECT_EQ(prompts[0].seed, 7U);
    EXPECT_EQ(prompts[0].num_steps, 12);
    EXPECT_EQ(prompts[0].cfg_scale, 5.5);
    EXPECT_EQ(prompts[0].sampler, SamplerKind::kEulerA);
    EXPECT_EQ(prompts[1].prompt, "a dog-eared book");
    EXPECT_EQ(prompts[1].num_steps, 30);
    EXPECT_EQ(prompts[1].cfg_scale, 7.5);
    EXPECT_FALSE(prompts[1].seed.has_value());
}

// M98 to M100: a file as the package ships one: notes, blank lines, and four prompts that climb
// from no trigger to the trigger in another outfit, with one seed. Any case, spaces and commas too
// many.
TEST(SamplePrompts, FourPromptsOfALadder) {
    Diagnostics findings;
    const auto prompts = load_text(
        "ladder.txt",
        "# without the trigger\n"
        "1girl, solo,   --n lowres, bad hands, --w 512 --h 768 --l 9 --s 40 --d 4711\n"
        "\n   \n# with it\n"
        "zorp, 1girl, --N lowres, bad hands --W 512  --H 768 --L 9 --S 40 --D 4711,\n"
        "zorp, uniform --n lowres, bad hands --w 512 --h 768   --l 9 --s 40 --d 4711  \n"
        "  zorp, swimsuit --n lowres, bad hands --w 512, --h 768, --l 9, --s 40, --d 4711\n",
        findings);
    for (const Diagnostic& finding : findings) ADD_FAILURE() << finding.text;
    ASSERT_EQ(prompts.size(), 4U);
    for (const train::SamplePrompt& prompt : prompts) {
        EXPECT_TRUE(prompt.negative_prompt.starts_with("lowres, bad hands")) << prompt.prompt;
        EXPECT_EQ(prompt.width_px, 512) << prompt.prompt;
        EXPECT_EQ(prompt.height_px, 768) << prompt.prompt;
        EXPECT_EQ(prompt.cfg_scale, 9) << prompt.prompt;
        EXPECT_EQ(prompt.num_steps, 40) << prompt.prompt;
        EXPECT_EQ(prompt.seed, 4711U) << prompt.prompt;
    }
    EXPECT_TRUE(prompts[0].prompt.starts_with("1girl, solo"));
    EXPECT_EQ(prompts[2].prompt, "zorp, uniform");
    EXPECT_EQ(prompts[3].prompt, "zorp, swimsuit");
}

TEST(SamplePrompts, WhatIsNotUnderstoodIsSaid) {
    Diagnostics findings;
    const auto prompt =
        parse_prompt_line("a --w wide --zz 3 --ss magic --s 5000", "p.txt:1", findings);
    EXPECT_EQ(prompt.prompt, "a");
    EXPECT_EQ(prompt.width_px, 0);
    EXPECT_EQ(prompt.num_steps, 1000);
    EXPECT_FALSE(prompt.sampler.has_value());
    ASSERT_EQ(findings.size(), 3U);
    EXPECT_EQ(findings[0].place, "p.txt:1");
}

TEST(SamplePrompts, JsonAndToml) {
    Diagnostics findings;
    const auto json =
        load_text("prompts.json",
                  R"(["a --s 5", {"prompt": "b", "width": 640, "scale": 3, "seed": 4}])",
                  findings);
    ASSERT_EQ(json.size(), 2U);
    EXPECT_EQ(json[0].num_steps, 5);
    EXPECT_EQ(json[1].width_px, 640);
    EXPECT_EQ(json[1].cfg_scale, 3);
    const auto toml = load_text("prompts.toml",
                                "[prompt]\nheight = 320\nsample_steps = 9\n[[prompt.subset]]\n"
                                "prompt = 'x'\n[[prompt.subset]]\nprompt = 'y'\nheight = 64\n",
                                findings);
    ASSERT_EQ(toml.size(), 2U);
    EXPECT_EQ(toml[0].height_px, 320);
    EXPECT_EQ(toml[1].height_px, 64);
    EXPECT_EQ(toml[1].num_steps, 9);
    EXPECT_TRUE(findings.empty());
    EXPECT_THROW((void)load_text("bad.json", "{}", findings), Error);
    EXPECT_THROW((void)load_text("bad.toml", "[prompt", findings), Error);
    EXPECT_THROW((void)load_text("none.toml", "a = 1", findings), Error);
}

}  // namespace
}  // namespace lora::config

#include "config/validate.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "config/load.h"

namespace lora::config {
namespace {

Diagnostics judge(std::vector<std::string> args) {
    args.insert(args.begin(), {"--pretrained_model", "m.safetensors", "--train_data_dir", "d"});
    const Loaded loaded = load(Command::kTrain, args);
    EXPECT_TRUE(loaded.findings.empty());
    return validate_train(loaded.settings);
}

bool mentions(const Diagnostics& list, Severity severity, std::string_view text) {
    for (const Diagnostic& finding : list) {
        if (finding.severity == severity && finding.text.find(text) != std::string::npos)
            return true;
    }
    return false;
}

TEST(Validate, ThreeValuesAreEnough) { EXPECT_FALSE(has_errors(judge({"--output_name", "cat"}))); }

TEST(Validate, WhatIsMissingIsNamed) {
    const Diagnostics list = validate_train(load(Command::kTrain, {}).settings);
    EXPECT_TRUE(mentions(list, Severity::kError, "pretrained_model_name_or_path is missing"));
    EXPECT_TRUE(mentions(list, Severity::kError, "train_data_dir is missing"));
}

TEST(Validate, ResolutionIsAMultipleOf64) {
    EXPECT_TRUE(mentions(judge({"--resolution=500"}), Severity::kError, "multiple of 64"));
    EXPECT_TRUE(mentions(judge({"--resolution=500,500"}), Severity::kError, "multiple of 64"));
    EXPECT_FALSE(has_errors(judge({"--resolution=512,768"})));
    EXPECT_TRUE(mentions(judge({"--resolution=5x5"}), Severity::kError, "no size"));
}

// Requirements M101, M102.
TEST(Validate, AdviceOnDimAndAlpha) {
    EXPECT_FALSE(mentions(judge({}), Severity::kNote, "network_"));
    EXPECT_TRUE(mentions(judge({"--network_dim=128", "--network_alpha=64"}),
                         Severity::kNote,
                         "network_dim 128 is large"));
    EXPECT_TRUE(mentions(judge({"--network_alpha=32"}), Severity::kNote, "quarter to a half"));
    EXPECT_TRUE(mentions(judge({"--network_alpha=4"}), Severity::kNote, "quarter to a half"));
}

// Requirements M140 to M143.
TEST(Validate, AdviceAndRatesByAlgorithm) {
    const std::vector<std::string> loha{
        "--network_module", "lycoris.kohya", "--network_args", "algo=loha", "conv_dim=4"};
    EXPECT_TRUE(mentions(judge(loha), Severity::kNote, "styles rather than characters"));
    EXPECT_TRUE(mentions(judge(loha), Severity::kNote, "overfits easily"));
    const Diagnostics of_loha = judge(loha);
    EXPECT_TRUE(std::any_of(of_loha.begin(), of_loha.end(), [](const Diagnostic& finding) {
        return finding.hint.find("square root of a LoCon's dim: 6 for 32") != std::string::npos;
    }));
    const auto rate = [](std::vector<std::string> args) {
        args.insert(args.end(), {"--train_batch_size", "1"});
        return load(Command::kTrain, args).settings.number("learning_rate");
    };
    EXPECT_EQ(rate({}), 1e-4);
    EXPECT_EQ(rate({"--network_module", "lycoris.kohya"}), 8e-5);
    EXPECT_EQ(rate(loha), 5e-5);
    EXPECT_EQ(rate({"--learning_rate", "3e-4", "--network_module", "lycoris.kohya"}), 3e-4);
}

TEST(Validate, CombinationsThatClash) {
    EXPECT_TRUE(has_errors(judge({"--lr_scheduler=constant", "--lr_warmup_steps=10"})));
    EXPECT_TRUE(
        has_errors(judge({"--network_train_unet_only", "--network_train_text_encoder_only"})));
    EXPECT_TRUE(has_errors(judge({"--min_bucket_reso=1024", "--max_bucket_reso=512"})));
    EXPECT_TRUE(has_errors(judge({"--resolution=128"})));
    EXPECT_FALSE(has_errors(judge({"--resolution=128", "--min_bucket_reso=64"})));
    EXPECT_TRUE(has_errors(judge({"--lr_scheduler=polynomial", "--learning_rate=1e-8"})));
    EXPECT_TRUE(has_errors(judge({"--random_seed", "--seed=4"})));
    EXPECT_TRUE(has_errors(judge({"--use_8bit_adam", "--use_lion_optimizer"})));
    EXPECT_TRUE(has_errors(judge({"--use_8bit_adam", "--optimizer_type=Lion"})));
    EXPECT_TRUE(has_errors(judge({"--optimizer_type=Prodigy", "--unet_lr=0.5"})));
    EXPECT_FALSE(has_errors(judge({"--optimizer_type=Prodigy", "--text_encoder_lr=0"})));
    EXPECT_TRUE(has_errors(judge({"--optimizer_type=AdamW", "--optimizer_args", "momentum=1"})));
    EXPECT_TRUE(has_errors(judge({"--network_args", "algo=loha"})));
    EXPECT_TRUE(has_errors(judge({"--network_args", "down_lr_weight"})));
    EXPECT_TRUE(has_errors(judge({"--lr_scheduler=adafactor"})));
    EXPECT_FALSE(has_errors(judge({"--lr_scheduler=adafactor", "--optimizer_type=Adafactor"})));
    EXPECT_TRUE(has_errors(judge({"--optimizer_type=Adafactor", "--lr_warmup_steps=9"})));
    EXPECT_TRUE(has_errors(judge({"--lr_scheduler=piecewise_constant"})));
    EXPECT_TRUE(mentions(judge({"--optimizer_type=Prodigy", "--learning_rate=1e-4"}),
                         Severity::kWarning,
                         "finds the learning rate itself"));
    EXPECT_TRUE(has_errors(judge({"--output_name=a/b"})));
}

// M38: advised against in train.ps1.
TEST(Validate, MinSnrMisleadsDAdaptation) {
    const auto warns = [](std::vector<std::string> args) {
        return mentions(judge(std::move(args)), Severity::kWarning, "do not go together");
    };
    EXPECT_TRUE(warns({"--optimizer_type=dadaptadam", "--min_snr_gamma=5"}));
    EXPECT_TRUE(warns({"--optimizer_type=DAdaptLion", "--min_snr_gamma=1"}));
    EXPECT_FALSE(warns({"--optimizer_type=DAdaptAdam"}));
    EXPECT_FALSE(warns({"--optimizer_type=AdamW8bit", "--min_snr_gamma=5"}));
}

// Pictures that differ at every draw are encoded as they are trained, never from kept latents.
TEST(Validate, AugmentationAndKeptLatents) {
    for (const char* option : {"--color_aug", "--random_crop"}) {
        EXPECT_FALSE(has_errors(judge({option})));
        EXPECT_TRUE(has_errors(judge({option, "--cache_latents"})));
        EXPECT_TRUE(has_errors(judge({option, "--cache_latents_to_disk"})));
    }
    EXPECT_FALSE(has_errors(judge({"--face_crop_aug_range=2.0,4.0", "--no_enable_bucket"})));
    EXPECT_TRUE(has_errors(judge({"--face_crop_aug_range=2.0,4.0"})));
    EXPECT_TRUE(has_errors(judge({"--face_crop_aug_range=4,2", "--no_enable_bucket"})));
    EXPECT_TRUE(has_errors(judge({"--face_crop_aug_range=wide", "--no_enable_bucket"})));
    EXPECT_FALSE(has_errors(judge({"--flip_aug", "--cache_latents"})));
}

// M103: rates follow a batch that the program chooses.
TEST(Validate, AnotherBatchSize) {
    const Settings s = load(Command::kTrain, std::vector<std::string>{}).settings;
    EXPECT_DOUBLE_EQ(with_batch_size(s, 4).number("unet_lr"), 4e-4);
    EXPECT_EQ(with_batch_size(s, 4).integer("train_batch_size"), 4);
}

TEST(Validate, SeveralMistakesShowTogether) {
    const Diagnostics list = judge({"--resolution=500",
                                    "--random_seed",
                                    "--seed=4",
                                    "--min_timestep=900",
                                    "--max_timestep=100"});
    int errors = 0;
    for (const Diagnostic& finding : list) errors += finding.severity == Severity::kError ? 1 : 0;
    EXPECT_EQ(errors, 3);
}

TEST(Validate, OptionsArriveInTheRun) {
    const Loaded loaded = load(Command::kTrain,
                               std::vector<std::string>{"--pretrained_model",
                                                        "m",
                                                        "--train_data_dir",
                                                        "d",
                                                        "--resolution",
                                                        "512,768",
                                                        "--optimizer_args",
                                                        "weight_decay=0.1",
                                                        "--max_memory",
                                                        "2G",
                                                        "--lr_warmup_steps",
                                                        "10%"});
    const train::TrainOptions options = train_options(loaded.settings);
    EXPECT_EQ(options.bucket.resolution.width_px, 512);
    EXPECT_EQ(options.bucket.resolution.height_px, 768);
    EXPECT_EQ(options.model.pretrained_model_name_or_path, "m");
    ASSERT_EQ(options.optimizer.optimizer_args.size(), 1u);
    EXPECT_EQ(options.optimizer.optimizer_args[0].second, "0.1");
    EXPECT_EQ(options.device.max_memory_bytes, uint64_t{2} << 30);
    EXPECT_DOUBLE_EQ(options.optimizer.lr_warmup_steps, 0.1);
    EXPECT_EQ(options.seed, 1337u);
}

}  // namespace
}  // namespace lora::config

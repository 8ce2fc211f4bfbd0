#include "config/load.h"

#include <filesystem>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"

namespace lora::config {
namespace {

using Args = std::vector<std::string>;

Loaded load_train(const Args& args) { return load(Command::kTrain, args); }

// A config file that goes away with the test.
class TempFile {
public:
    explicit TempFile(std::string_view text)
        : path_(from_path(
              std::filesystem::temp_directory_path() /
              ("lora_load_test_" +
               std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()) +
               ".toml"))) {
        write_file_atomically(path_, text);
    }
    ~TempFile() { remove_file_if_exists(path_); }
    TempFile(const TempFile&) = delete;
    TempFile& operator=(const TempFile&) = delete;
    [[nodiscard]] const std::string& path() const { return path_; }

private:
    std::string path_;
};

TEST(Load, TheGuidesPresetIsTheDefault) {
    const Settings s = load_train({}).settings;
    EXPECT_EQ(s.integer("network_dim"), 32);
    EXPECT_EQ(s.number("network_alpha"), 16);
    EXPECT_EQ(s.integer("clip_skip"), 2);
    EXPECT_EQ(s.integer("max_token_length"), 225);
    EXPECT_EQ(s.integer("max_train_epochs"), 12);
    EXPECT_EQ(s.integer("save_every_n_epochs"), 2);
    EXPECT_EQ(s.integer("train_batch_size"), 2);
    EXPECT_EQ(s.text("lr_scheduler"), "cosine_with_restarts");
    EXPECT_EQ(s.text("save_precision"), "fp16");
    EXPECT_EQ(s.text("caption_extension"), ".txt");
    EXPECT_EQ(s.integer("seed"), 1337);
    EXPECT_TRUE(s.flag("shuffle_caption"));
    EXPECT_TRUE(s.flag("enable_bucket"));
    EXPECT_EQ(s.integer("min_bucket_reso"), 256);
    EXPECT_EQ(s.integer("max_bucket_reso"), 1024);
    EXPECT_DOUBLE_EQ(s.number("learning_rate"), 2e-4);
    EXPECT_DOUBLE_EQ(s.number("unet_lr"), 2e-4);
    EXPECT_DOUBLE_EQ(s.number("text_encoder_lr"), 2e-5);
}

// What train.ps1 fixes: M19, M71, M72, M74, M75 and the network of M80.
TEST(Load, TheGuidesFixedFlags) {
    const Settings s = load_train({}).settings;
    EXPECT_EQ(s.text("output_dir"), "./output");
    EXPECT_EQ(s.text("logging_dir"), "./logs");
    EXPECT_EQ(s.number("prior_loss_weight"), 1);
    EXPECT_TRUE(s.flag("cache_latents"));
    EXPECT_EQ(s.integer("bucket_reso_steps"), 64);
    EXPECT_FALSE(s.flag("bucket_no_upscale"));
    EXPECT_EQ(s.text("network_module"), "networks.lora");
    EXPECT_EQ(s.integer("max_data_loader_n_workers"), 8);
    EXPECT_EQ(
        load_train({"--max_data_loader_n_workers=3"}).settings.integer("max_data_loader_n_workers"),
        3);
}

// M40: off means 1337, on means that the run draws one.
TEST(Load, RandomSeedLeavesTheSeedToTheRun) {
    EXPECT_EQ(load_train({}).settings.integer("seed"), 1337);
    EXPECT_FALSE(load_train({"--random_seed"}).settings.has("seed"));
}

TEST(Load, RatesFollowTheBatchAndTheGivenRate) {
    EXPECT_DOUBLE_EQ(load_train({"--train_batch_size=4"}).settings.number("unet_lr"), 4e-4);
    EXPECT_DOUBLE_EQ(
        load_train({"--train_batch_size=4", "--lr_scaling=sqrt"}).settings.number("unet_lr"), 2e-4);
    const Settings s = load_train({"--learning_rate", "5E-05"}).settings;
    EXPECT_DOUBLE_EQ(s.number("unet_lr"), 5e-5);
    EXPECT_DOUBLE_EQ(s.number("text_encoder_lr"), 5e-6);
}

// M60: what train.ps1 forces for DAdaptAdam.
TEST(Load, OptimizersThatFindTheirRateGetRatesOfOne) {
    const Settings s = load_train({"--optimizer_type", "dadaptadam"}).settings;
    EXPECT_EQ(s.number("learning_rate"), 1);
    EXPECT_EQ(s.number("unet_lr"), 1);
    EXPECT_EQ(s.number("text_encoder_lr"), 1);
    EXPECT_EQ(s.text("lr_scheduler"), "constant");
    EXPECT_EQ(s.list("optimizer_args"),
              (Args{"decouple=True", "weight_decay=0.01", "betas=0.9,0.99"}));
    const Settings prodigy = load_train({"--optimizer_type", "Prodigy"}).settings;
    EXPECT_EQ(prodigy.number("text_encoder_lr"), 1);
    EXPECT_TRUE(prodigy.list("optimizer_args").empty());
    const Settings given =
        load_train({"--optimizer_type", "Prodigy", "--lr_scheduler", "cosine"}).settings;
    EXPECT_EQ(given.text("lr_scheduler"), "cosine");
}

TEST(Load, OldWordsNameAnOptimizer) {
    EXPECT_EQ(load_train({"--use_8bit_adam"}).settings.text("optimizer_type"), "AdamW8bit");
    EXPECT_EQ(load_train({"--use_lion_optimizer"}).settings.text("optimizer_type"), "Lion");
}

TEST(Load, SdScriptsPresetHasItsDefaults) {
    const Settings s = load_train({"--preset", "sd-scripts"}).settings;
    EXPECT_DOUBLE_EQ(s.number("learning_rate"), 2e-6);
    EXPECT_FALSE(s.has("unet_lr"));
    EXPECT_FALSE(s.has("clip_skip"));
    EXPECT_FALSE(s.has("max_train_epochs"));
    EXPECT_FALSE(s.has("seed"));
    EXPECT_EQ(s.integer("max_train_steps"), 1600);
    EXPECT_EQ(s.integer("network_dim"), 4);
    EXPECT_EQ(s.number("network_alpha"), 1);
    EXPECT_EQ(s.text("caption_extension"), ".caption");
    EXPECT_EQ(s.text("lr_scheduler"), "constant");
    EXPECT_FALSE(s.flag("shuffle_caption"));
    EXPECT_FALSE(s.flag("enable_bucket"));
}

// Presets differ from the guide in what docs/guide/presets.md says, and people's values win.
TEST(Load, PresetsForAPurpose) {
    const Settings low = load_train({"--preset", "low_memory"}).settings;
    EXPECT_EQ(low.integer("train_batch_size"), 1);
    EXPECT_TRUE(low.flag("network_train_unet_only"));
    EXPECT_TRUE(low.flag("gradient_checkpointing"));
    EXPECT_EQ(low.text("optimizer_type"), "AdamW8bit");
    EXPECT_EQ(low.text("base_quant"), "int8");
    EXPECT_DOUBLE_EQ(low.number("learning_rate"), 1e-4);
    EXPECT_EQ(low.integer("clip_skip"), 2);
    const Settings character = load_train({"--preset=character", "--keep_tokens=2"}).settings;
    EXPECT_EQ(character.integer("keep_tokens"), 2);
    EXPECT_EQ(character.text("concept_trigger"), "prepend");
    EXPECT_EQ(character.integer("network_dim"), 32);
    const Settings style = load_train({"--preset", "style"}).settings;
    EXPECT_EQ(style.list("network_args"), (Args{"algo=locon", "conv_dim=4", "conv_alpha=1"}));
    EXPECT_DOUBLE_EQ(style.number("learning_rate"), 2 * 8e-5);
    EXPECT_TRUE(style.flag("flip_aug"));
    EXPECT_EQ(load_train({"--preset", "guide"}).settings.text("concept_trigger"), "auto");
    EXPECT_EQ(load_train({"--preset", "sd-scripts"}).settings.text("concept_trigger"), "fallback");
    EXPECT_EQ(load_train({"--preset", "sd-scripts"}).settings.text("folder_names"), "literal");
}

TEST(Load, CommandLineBeatsFileBeatsPreset) {
    const TempFile file("network_dim = 8\n[train]\nnetwork_alpha = 4.0\nseed = 7\n");
    const Settings s = load_train({"--config_file", file.path(), "--seed=9"}).settings;
    EXPECT_EQ(s.integer("network_dim"), 8);
    EXPECT_EQ(s.number("network_alpha"), 4);
    EXPECT_EQ(s.integer("seed"), 9);
    EXPECT_EQ(s.origin("network_dim"), Origin::kFile);
    EXPECT_EQ(s.origin("seed"), Origin::kCommandLine);
    EXPECT_EQ(s.origin("clip_skip"), Origin::kPreset);
    EXPECT_EQ(s.place("network_alpha"), file.path() + ":3");
}

TEST(Load, TheExtensionOfTheConfigFileMayBeLeftOut) {
    const TempFile file("network_dim = 8\n");
    const std::string bare = without_extension(file.path());
    EXPECT_EQ(load_train({"--config_file", bare}).settings.integer("network_dim"), 8);
}

TEST(Load, GivenStepsTakeThePlaceOfThePresetsEpochs) {
    const Settings s = load_train({"--max_train_steps", "20"}).settings;
    EXPECT_FALSE(s.has("max_train_epochs"));
    EXPECT_TRUE(load_train({"--max_train_steps", "20", "--max_train_epochs", "3"})
                    .settings.has("max_train_epochs"));
}

TEST(Load, FlagsCanBeSwitchedOff) {
    EXPECT_FALSE(load_train({"--no-shuffle_caption"}).settings.flag("shuffle_caption"));
    EXPECT_FALSE(load_train({"--shuffle_caption=false"}).settings.flag("shuffle_caption"));
    EXPECT_TRUE(load_train({"--no_metadata"}).settings.flag("no_metadata"));
}

TEST(Load, ListsTakeWordsUpToTheNextOption) {
    const Loaded loaded =
        load_train({"--optimizer_args", "betas=0.9,0.99", "eps=1e-7", "--seed", "3"});
    EXPECT_EQ(loaded.settings.list("optimizer_args"), (Args{"betas=0.9,0.99", "eps=1e-7"}));
    EXPECT_EQ(loaded.settings.integer("seed"), 3);
}

TEST(Load, EveryMistakeIsReportedAtOnce) {
    const Loaded loaded = load_train(
        {"--network_dmi", "8", "--seed", "x", "--lr_scheduler=cosinus", "--clip_skip", "99"});
    ASSERT_EQ(loaded.findings.size(), 4u);
    EXPECT_EQ(loaded.findings[0].hint, "did you mean network_dim?");
    EXPECT_NE(loaded.findings[1].text.find("not a whole number"), std::string::npos);
    EXPECT_NE(loaded.findings[2].hint.find("cosine"), std::string::npos);
    EXPECT_NE(loaded.findings[3].text.find("out of range"), std::string::npos);
}

TEST(Load, ImplementationChoicesAreTakenAndMissingFeaturesRefusedByName) {
    const Args harmless = {"--xformers",
                           "--lowram",
                           "--persistent_data_loader_workers",
                           "--max_data_loader_n_workers=2",
                           "--mem_eff_attn"};
    EXPECT_TRUE(load_train(harmless).findings.empty());
    const Loaded loaded = load_train({"--fused_backward_pass", "--optimizer_type", "Sophia"});
    ASSERT_EQ(loaded.findings.size(), 2u);
    EXPECT_NE(loaded.findings[0].text.find("fused_backward_pass"), std::string::npos);
}

TEST(Load, BrokenTomlNamesTheLine) {
    const TempFile file("network_dim = 8\nseed = = 3\n");
    try {
        (void)load_train({"--config_file", file.path()});
        FAIL() << "accepted";
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kFormat);
        EXPECT_NE(error.message().find(":2:"), std::string::npos) << error.message();
    }
}

TEST(Load, AMissingConfigFileIsAnIoError) {
    try {
        (void)load_train({"--config_file", "there-is-no-such-file"});
        FAIL() << "accepted";
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kIo);
    }
}

TEST(Load, WrittenSettingsReadBackTheSame) {
    const Settings first = load_train({"--output_name",
                                       "it's \"貓\" \\",
                                       "--optimizer_args",
                                       "eps=1e-7",
                                       "--learning_rate",
                                       "3e-4",
                                       "--train_data_dir",
                                       "D:\\圖 片\\cat"})
                               .settings;
    const TempFile file(to_toml(first));
    const Loaded second = load_train({"--config_file", file.path()});
    EXPECT_TRUE(second.findings.empty());
    for (const auto& [name, setting] : first.all()) {
        if (name == "lang" || name == "json" || name == "help" || name == "dry_run") continue;
        EXPECT_EQ(second.settings.list(name), setting.words) << name;
    }
}

TEST(Load, BackslashesInPathsBecomeSlashes) {
    const Settings s = load_train({"--pretrained_model", ".\\sd-models\\x.safetensors"}).settings;
    EXPECT_EQ(s.text("pretrained_model_name_or_path"), "./sd-models/x.safetensors");
}

TEST(Load, BytesAreReadWithUnits) {
    EXPECT_EQ(parse_bytes("3G"), uint64_t{3} << 30);
    EXPECT_EQ(parse_bytes("800MiB"), uint64_t{800} << 20);
    EXPECT_EQ(parse_bytes("4096"), 4096u);
    EXPECT_FALSE(parse_bytes("many"));
    EXPECT_FALSE(parse_bytes("3X"));
}

}  // namespace
}  // namespace lora::config

#include "config/foreign.h"

#include <gtest/gtest.h>

#include "base/attempt.h"
#include "base/file.h"
#include "config/internal/foreign.h"
#include "config/validate.h"

namespace lora::config {
namespace {

using Args = std::vector<std::string>;

std::string sample(const std::string& name) {
    return std::string(LORA_SOURCE_DIR) + "/tests/e2e/data/foreign/" + name;
}

Loaded load_from(const std::string& name, Args more = {}) {
    more.insert(more.begin(), {"--from", sample(name)});
    return load(Command::kTrain, more);
}

std::string in_program(const std::string& path) { return join_path(program_folder(), path); }

bool warned(const Loaded& loaded, std::string_view text) {
    for (const Diagnostic& finding : loaded.findings) {
        if (finding.severity == Severity::kWarning && finding.text.find(text) != std::string::npos)
            return true;
    }
    return false;
}

int64_t count_warnings(const Loaded& loaded) {
    int64_t count = 0;
    for (const Diagnostic& finding : loaded.findings) {
        count += finding.severity == Severity::kWarning ? 1 : 0;
    }
    return count;
}

std::string value_of(std::string_view expression, const ScriptVariables& variables = {}) {
    return evaluate_powershell(expression, variables).value_or("?");
}

TEST(Foreign, PowerShellValues) {
    const ScriptVariables v = {{"batch_size", {"4", 1}}, {"name", {"cat", 2}}};
    EXPECT_EQ(value_of(" 1e-4 # note"), "1e-4");
    EXPECT_EQ(value_of("1e-4 * $batch_size", v), "0.0004");
    EXPECT_EQ(value_of("1e-4*[Math]::Round([Math]::Sqrt($Batch_Size),4)", v), "0.0002");
    EXPECT_EQ(value_of("(1 + 2) * -3 - 1"), "-10");
    EXPECT_EQ(value_of("\"./train/$name\" + '_$x'", v), "./train/cat_$x");
    EXPECT_EQ(value_of("\"${name}s # 1\"", v), "cats # 1");
    EXPECT_EQ(value_of("$false"), "false");
    EXPECT_EQ(value_of("@(1, 2,3)"), "1,2,3");
    EXPECT_EQ(value_of("[System.Collections.ArrayList]::new()"), "?");
    EXPECT_EQ(value_of("$unknown * 2"), "?");
    EXPECT_EQ(value_of("1 / 0"), "?");
    EXPECT_EQ(value_of("\"open"), "?");
    EXPECT_EQ(value_of(std::string(5000, '(')), "?");
}

// Rows M21 to M69 as the package's script says them.
TEST(Foreign, TrainPs1) {
    const Loaded loaded = load_from("train.ps1");
    const Settings& s = loaded.settings;
    EXPECT_EQ(s.text("pretrained_model_name_or_path"), in_program("sd-models/anime.ckpt"));
    EXPECT_EQ(s.text("train_data_dir"), in_program("train/Yuki"));
    EXPECT_EQ(s.text("output_dir"), in_program("output"));
    EXPECT_EQ(s.text("logging_dir"), in_program("logs"));
    EXPECT_EQ(s.text("sample_prompts"), in_program("train/sample_prompts.txt"));
    EXPECT_FALSE(s.has("reg_data_dir"));
    EXPECT_EQ(s.text("output_name"), "Yuki");
    EXPECT_EQ(s.text("log_prefix"), "Yuki_");
    EXPECT_EQ(s.text("resolution"), "512,768");
    EXPECT_EQ(s.integer("train_batch_size"), 4);
    EXPECT_EQ(s.integer("max_train_epochs"), 14);
    EXPECT_EQ(s.integer("network_dim"), 16);
    EXPECT_EQ(s.number("network_alpha"), 8);
    EXPECT_EQ(s.integer("keep_tokens"), 1);
    EXPECT_EQ(s.text("mixed_precision"), "bf16");
    EXPECT_DOUBLE_EQ(s.number("noise_offset"), 0.1);
    EXPECT_TRUE(s.flag("flip_aug"));
    EXPECT_DOUBLE_EQ(s.number("learning_rate"), 2e-4);
    EXPECT_DOUBLE_EQ(s.number("unet_lr"), 4e-4);
    EXPECT_DOUBLE_EQ(s.number("text_encoder_lr"), 4e-5);
    EXPECT_EQ(s.integer("lr_scheduler_num_cycles"), 2);
    EXPECT_EQ(s.text("optimizer_type"), "Lion");
    EXPECT_EQ(s.list("network_args"),
              (Args{"down_lr_weight=0,1,1,0,1,1,0,1,1,0,0,0",
                    "mid_lr_weight=1",
                    "up_lr_weight=0,0,0,1,1,1,1,1,1,1,1,1"}));
    EXPECT_EQ(s.text("sample_sampler"), "euler_a");
    EXPECT_EQ(s.integer("sample_every_n_epochs"), 2);
    // Changed by hand in the command line at the end; --shuffle_caption was taken out.
    EXPECT_EQ(s.integer("seed"), 4711);
    EXPECT_DOUBLE_EQ(s.number("prior_loss_weight"), 0.3);
    EXPECT_FALSE(s.flag("shuffle_caption"));
    EXPECT_TRUE(s.flag("enable_bucket"));
    EXPECT_EQ(s.text("preset"), "guide");
    EXPECT_TRUE(warned(loaded, "my_own_note"));
    EXPECT_EQ(count_warnings(loaded), 1);
    EXPECT_FALSE(has_errors(validate_train(s)));
}

TEST(Foreign, ThreeLinesOfPowerShellAreEnough) {
    const ForeignSettings found = read_foreign(
        "$pretrained_model = \"m.ckpt\"\n$train_data_dir = './train/x'\n$output_name=\"x\"", "t");
    EXPECT_EQ(found.kind, ForeignKind::kPowerShell);
    ForeignSettings copy = found;
    const auto text = [&](std::string_view name) {
        for (const FileValue& value : copy.values) {
            if (value.name == name) return value.words.front();
        }
        return std::string();
    };
    EXPECT_EQ(text("shuffle_caption"), "true");
    EXPECT_EQ(text("max_token_length"), "225");
    EXPECT_EQ(text("seed"), "1337");
    EXPECT_EQ(text("save_precision"), "fp16");
}

// M60 and its Akegarasu spelling.
TEST(Foreign, ScriptsForceTheSettingsOfDAdaptAdam) {
    for (const char* type : {"DAdaptAdam", "dadaptadam"}) {
        const ForeignSettings found = read_foreign(
            std::string("$lr = 1e-4\n$lr_scheduler = \"cosine\"\n$optimizer_type = \"") + type +
                "\"\n",
            "t");
        std::string rate;
        std::string schedule;
        for (const FileValue& value : found.values) {
            if (value.name == "learning_rate") rate = value.words.front();
            if (value.name == "lr_scheduler") schedule = value.words.front();
        }
        EXPECT_EQ(rate, "1");
        EXPECT_EQ(schedule, "constant");
    }
}

TEST(Foreign, TrainSh) {
    const Loaded loaded = load_from("train.sh");
    const Settings& s = loaded.settings;
    EXPECT_EQ(s.text("pretrained_model_name_or_path"), in_program("sd-models/model.safetensors"));
    EXPECT_EQ(s.text("network_module"), "lycoris.kohya");
    EXPECT_EQ(s.list("network_args"), (Args{"conv_dim=4", "conv_alpha=4", "algo=loha"}));
    EXPECT_TRUE(s.flag("network_train_unet_only"));
    EXPECT_TRUE(s.flag("save_state"));
    EXPECT_TRUE(s.flag("shuffle_caption"));
    EXPECT_EQ(s.text("mixed_precision"), "fp16");
    EXPECT_EQ(s.text("log_prefix"), "aki");
    EXPECT_EQ(s.number("min_snr_gamma"), 5);
    EXPECT_EQ(s.integer("network_dim"), 16);
    EXPECT_TRUE(warned(loaded, "multi_gpu"));
    EXPECT_EQ(count_warnings(loaded), 1);
    EXPECT_FALSE(has_errors(validate_train(s)));
}

TEST(Foreign, ABatchFile) {
    const Loaded loaded = load_from("train.bat");
    const Settings& s = loaded.settings;
    EXPECT_EQ(s.text("pretrained_model_name_or_path"), "D:/sd models/base.safetensors");
    EXPECT_EQ(s.text("train_data_dir"), "D:/pictures/my cat");
    EXPECT_EQ(s.text("output_name"), "cat");
    EXPECT_EQ(s.integer("network_dim"), 8);
    EXPECT_EQ(s.list("network_args"), (Args{"conv_dim=4", "conv_alpha=1"}));
    EXPECT_EQ(s.list("optimizer_args"), (Args{"decouple=True", "weight_decay=0.01"}));
    EXPECT_EQ(s.integer("max_train_steps"), 400);
    EXPECT_TRUE(s.flag("shuffle_caption"));
    // What the command leaves out has the value of sd-scripts.
    EXPECT_EQ(s.text("preset"), "sd-scripts");
    EXPECT_EQ(s.text("caption_extension"), ".caption");
    EXPECT_FALSE(s.has("max_train_epochs"));
    EXPECT_TRUE(warned(loaded, "block_size=4"));
    EXPECT_TRUE(warned(loaded, "sdxl_magic"));
    EXPECT_TRUE(warned(loaded, "fp8_base"));
    EXPECT_EQ(count_warnings(loaded), 3);
}

TEST(Foreign, OptionsAloneInATextFile) {
    const ForeignSettings found = read_foreign(
        "# mine\n--network_dim 8\n--network_args algo=loha 'preset=full'\n--flip_aug\n", "t");
    EXPECT_EQ(found.kind, ForeignKind::kArguments);
    ASSERT_EQ(found.values.size(), 3U);
    EXPECT_EQ(found.values[1].words, (Args{"algo=loha", "preset=full"}));
    EXPECT_EQ(found.values[1].line, 3);
    EXPECT_EQ(found.values[2].words, (Args{"true"}));
}

TEST(Foreign, TomlOfSdScripts) {
    const Loaded loaded = load_from("sd_scripts.toml");
    const Settings& s = loaded.settings;
    EXPECT_EQ(s.text("resolution"), "512,640");
    EXPECT_EQ(s.list("optimizer_args"), (Args{"weight_decay=0.1", "betas=0.9,0.99"}));
    EXPECT_EQ(s.integer("max_train_epochs"), 3);
    EXPECT_EQ(s.text("preset"), "sd-scripts");
    EXPECT_TRUE(warned(loaded, "deepspeed"));
    EXPECT_EQ(count_warnings(loaded), 1);
}

TEST(Foreign, TomlOfLoraScripts) {
    const Loaded loaded = load_from("lora_scripts.toml");
    const Settings& s = loaded.settings;
    EXPECT_EQ(s.list("network_args"),
              (Args{"algo=lokr", "conv_dim=4", "conv_alpha=1", "factor=8"}));
    EXPECT_EQ(s.list("optimizer_args"), (Args{"weight_decay=0.05"}));
    EXPECT_EQ(s.integer("lr_scheduler_num_cycles"), 2);
    EXPECT_FALSE(s.has("save_n_epoch_ratio"));
    EXPECT_TRUE(warned(loaded, "enable_contrastive"));
    EXPECT_EQ(count_warnings(loaded), 1);
    EXPECT_FALSE(has_errors(validate_train(s)));
}

TEST(Foreign, JsonOfKohyaSs) {
    const Loaded loaded = load_from("kohya_ss.json");
    const Settings& s = loaded.settings;
    EXPECT_EQ(s.text("network_module"), "lycoris.kohya");
    EXPECT_EQ(
        s.list("network_args"),
        (Args{"algo=loha", "preset=attn-mlp", "use_tucker=true", "conv_dim=4", "conv_alpha=1"}));
    EXPECT_EQ(s.integer("max_train_epochs"), 5);
    EXPECT_DOUBLE_EQ(s.number("lr_warmup_steps"), 0.1);
    EXPECT_EQ(s.text("resolution"), "512,640");
    EXPECT_EQ(s.text("optimizer_type"), "AdamW8bit");
    EXPECT_EQ(s.list("optimizer_args"), (Args{"weight_decay=0.05", "eps=1e-7"}));
    EXPECT_TRUE(s.flag("network_train_unet_only"));
    EXPECT_EQ(s.integer("multires_noise_iterations"), 0);
    EXPECT_DOUBLE_EQ(s.number("noise_offset"), 0.05);
    EXPECT_EQ(s.integer("max_timestep"), 900);
    EXPECT_EQ(s.text("caption_prefix"), "a photo");
    EXPECT_EQ(s.integer("save_every_n_epochs"), 1);
    EXPECT_FALSE(s.has("save_every_n_steps"));
    EXPECT_EQ(s.integer("vae_batch_size"), 1);
    EXPECT_TRUE(warned(loaded, "use_scalar"));
    EXPECT_TRUE(warned(loaded, "use_wandb"));
    EXPECT_TRUE(warned(loaded, "sample_prompts"));
    EXPECT_EQ(count_warnings(loaded), 3);
    EXPECT_FALSE(has_errors(validate_train(s)));
}

TEST(Foreign, TheCommandLineWins) {
    const Loaded loaded = load_from("train.ps1", {"--network_dim=4", "--preset=sd-scripts"});
    EXPECT_EQ(loaded.settings.integer("network_dim"), 4);
    EXPECT_EQ(loaded.settings.text("preset"), "sd-scripts");
    EXPECT_EQ(loaded.settings.integer("train_batch_size"), 4);
    EXPECT_EQ(loaded.settings.place("train_batch_size"), sample("train.ps1") + ":11");
}

TEST(Foreign, AValueThatIsWrongIsNamedAndLeftOut) {
    const std::string path = testing::TempDir() + "foreign_wrong.txt";
    write_file_atomically(path, "--network_dim=many\n--lr_scheduler cosinus\n--clip_skip=1\n");
    const Loaded loaded = load(Command::kTrain, Args{"--from", path});
    remove_file_if_exists(path);
    EXPECT_TRUE(warned(loaded, "network_dim"));
    EXPECT_TRUE(warned(loaded, "cosinus"));
    EXPECT_EQ(loaded.settings.integer("clip_skip"), 1);
    EXPECT_FALSE(has_errors(loaded.findings));
}

TEST(Foreign, WhatIsNoneOfThemIsRefused) {
    for (const char* text : {"", "{", "[1, 2", "just some words", "{}"}) {
        const auto error = attempt([&] { (void)read_foreign(text, "t"); });
        ASSERT_TRUE(error) << text;
        EXPECT_EQ(error->code(), ErrorCode::kFormat) << text;
    }
}

TEST(Foreign, ADataSetsDescriptionIsTaken) {
    const ForeignSettings found = read_foreign("[[datasets]]\n[[datasets.subsets]]\n", "d.toml");
    EXPECT_EQ(found.kind, ForeignKind::kDatasetConfig);
    EXPECT_EQ(found.values.front().name, "dataset_config");
}

}  // namespace
}  // namespace lora::config

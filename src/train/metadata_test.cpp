#include "train/metadata.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "base/python_text.h"
#include "train/events.h"
#include "train/loss_average.h"
#include "train/save_names.h"

namespace lora::train {
namespace {

struct Example {
    TrainOptions options;
    data::BucketedDataset data;
    MetadataInputs inputs;

    Example() {
        data.dataset.folders.push_back({.path = "x/10_Graf",
                                        .name = "10_Graf",
                                        .concept_name = "Graf",
                                        .repeats = 10,
                                        .num_images = 24,
                                        .tag_counts = {{"1girl", 24}, {"\xC3\xA9", 1}}});
        data.dataset.num_train_images = 240;
        data.buckets = {{{512, 512}, 200}, {{512, 640}, 40}};
        data.mean_ar_error = 0.0125;
        options.save.output_name = "graf";
        options.optimizer.learning_rate = 1e-4;
        options.optimizer.text_encoder_lr = 2e-5;
        options.network.network_dim = 32;
        options.network.network_alpha = 16;
        options.model.clip_skip = 2;
        inputs = {.options = &options,
                  .data = &data,
                  .steps = {.num_batches = 120,
                            .steps_per_epoch = 120,
                            .num_epochs = 3,
                            .max_train_steps = 360},
                  .identity = {.seed = 1337, .session_id = 77, .started_at = 1700000000.25},
                  .model = {"model.safetensors", "0123abcd", "ff00"}};
    }
};

TEST(Metadata, HasPythonTextForms) {
    const Example example;
    const io::Metadata m =
        make_metadata(example.inputs, {.step = 240, .epoch = 2, .finished_at = 1700000100});
    EXPECT_EQ(m.at("ss_learning_rate"), "0.0001");
    EXPECT_EQ(m.at("ss_text_encoder_lr"), "2e-05");
    EXPECT_EQ(m.at("ss_unet_lr"), "None");
    EXPECT_EQ(m.at("ss_network_dim"), "32");
    EXPECT_EQ(m.at("ss_network_alpha"), "16.0");
    EXPECT_EQ(m.at("ss_resolution"), "(512, 512)");
    EXPECT_EQ(m.at("ss_training_started_at"), "1700000000.25");
    EXPECT_EQ(m.at("ss_training_finished_at"), "1700000100.0");
    EXPECT_EQ(m.at("ss_steps"), "240");
    EXPECT_EQ(m.at("ss_epoch"), "2");
    EXPECT_EQ(m.at("ss_seed"), "1337");
    EXPECT_EQ(m.at("ss_session_id"), "77");
    EXPECT_EQ(m.at("ss_optimizer"), "torch.optim.adamw.AdamW");
    EXPECT_EQ(m.at("ss_tag_frequency"), R"({"10_Graf": {"1girl": 24, "\u00e9": 1}})");
    EXPECT_EQ(m.at("ss_dataset_dirs"), R"({"10_Graf": {"n_repeats": 10, "img_count": 24}})");
    EXPECT_EQ(m.at("ss_reg_dataset_dirs"), "{}");
    EXPECT_EQ(m.at("ss_bucket_info"),
              R"({"buckets": {"0": {"resolution": [512, 512], "count": 200}, "1": {"resolution": )"
              R"([512, 640], "count": 40}}, "mean_img_ar_error": 0.0125})");
    EXPECT_EQ(m.at("ss_max_grad_norm"), "1.0");
    EXPECT_EQ(m.at("modelspec.title"), "graf");
    EXPECT_EQ(m.at("modelspec.encoder_layer"), "2");
    EXPECT_FALSE(m.contains("ss_network_args"));
    EXPECT_FALSE(m.contains("ss_vae_name"));
}

TEST(Metadata, NamesTheFamilyAsSdScriptsDoes) {
    Example example;
    const auto expect = [&example](const char* version, const char* v2, const char* architecture) {
        const io::Metadata m = make_metadata(example.inputs, {});
        EXPECT_EQ(m.at("ss_base_model_version"), version);
        EXPECT_EQ(m.at("ss_v2"), v2);
        EXPECT_EQ(m.at("modelspec.architecture"), architecture);
        EXPECT_EQ(m.at("modelspec.prediction_type"),
                  example.options.model.v_parameterization.value_or(false) ? "v" : "epsilon");
    };
    expect("sd_v1", "False", "stable-diffusion-v1/lora");
    example.options.model.v_parameterization = true;
    expect("sd_v1_v", "False", "stable-diffusion-v1/lora");
    example.inputs.family = models::Family::kSD2;
    expect("sd_v2_v", "True", "stable-diffusion-v2-768-v/lora");
    example.options.model.v_parameterization = false;
    expect("sd_v2", "True", "stable-diffusion-v2-512/lora");
}

TEST(Metadata, OptimizerArgumentsFollowTheClass) {
    Example example;
    example.options.optimizer.optimizer_args = {{"weight_decay", "0.1"}, {"betas", "0.9,0.99"}};
    const io::Metadata m = make_metadata(example.inputs, {});
    EXPECT_EQ(m.at("ss_optimizer"), "torch.optim.adamw.AdamW(weight_decay=0.1,betas=(0.9, 0.99))");
}

TEST(Metadata, NoMetadataKeepsTheNetwork) {
    Example example;
    example.options.save.no_metadata = true;
    example.options.network.network_args = {{"block_dims", "1"}};
    const io::Metadata m = make_metadata(example.inputs, {});
    EXPECT_TRUE(m.contains("ss_network_module"));
    EXPECT_TRUE(m.contains("ss_base_model_version"));
    EXPECT_EQ(m.at("ss_network_args"), R"({"block_dims": "1", "dropout": null})");
    EXPECT_FALSE(m.contains("ss_learning_rate"));
    EXPECT_FALSE(m.contains("ss_tag_frequency"));
}

TEST(PythonText, Floats) {
    EXPECT_EQ(python_float(1.0), "1.0");
    EXPECT_EQ(python_float(1e-4), "0.0001");
    EXPECT_EQ(python_float(1e-5), "1e-05");
    EXPECT_EQ(python_float(1e16), "1e+16");
    EXPECT_EQ(python_float(123456789.0), "123456789.0");
    EXPECT_EQ(python_float(0.1 + 0.2), "0.30000000000000004");
    EXPECT_EQ(python_bool(true), "True");
    EXPECT_EQ(python_optional(std::nullopt), "None");
}

TEST(SaveNames, FollowKohya) {
    SaveOptions options;
    options.output_name = "cat";
    EXPECT_EQ(epoch_file_name(options, 2), "cat-000002.safetensors");
    EXPECT_EQ(step_file_name(options, 120), "cat-step00000120.safetensors");
    EXPECT_EQ(final_file_name(options), "cat.safetensors");
    EXPECT_EQ(epoch_state_name(options, 2), "cat-000002-state");
    EXPECT_EQ(step_state_name(options, 120), "cat-step00000120-state");
    EXPECT_EQ(final_state_name(options), "cat-state");
    options.output_name = "";
    EXPECT_EQ(epoch_file_name(options, 2), "epoch-000002.safetensors");
    EXPECT_EQ(step_file_name(options, 1), "at-step00000001.safetensors");
    EXPECT_EQ(final_file_name(options), "last.safetensors");
}

TEST(SaveNames, WhatIsDue) {
    EXPECT_TRUE(saves_epoch(2, 4, 12));
    EXPECT_FALSE(saves_epoch(2, 5, 12));
    EXPECT_FALSE(saves_epoch(2, 12, 12));  // the last epoch writes the plain name only
    EXPECT_FALSE(saves_epoch(0, 4, 12));
    EXPECT_EQ(old_epoch(6, 2, 2), 2);
    EXPECT_EQ(old_epoch(2, 2, 2), std::nullopt);
    EXPECT_EQ(old_epoch(6, 2, 0), std::nullopt);
    EXPECT_EQ(old_step(300, 100, 100), 100);
    EXPECT_EQ(old_step(100, 100, 200), std::nullopt);
}

TEST(LossAverage, NewestValueReplacesTheOlder) {
    LossAverage average;
    average.add(0, 1.0);
    EXPECT_EQ(average.average(), 1.0);
    average.add(1, 3.0);
    EXPECT_EQ(average.average(), 2.0);
    average.add(0, 2.0);  // second epoch
    EXPECT_EQ(average.average(), 2.5);
}

TEST(Events, AreJsonObjectsWithEventAndTime) {
    const Json json = parse_json(event_json(StepDone{.step = 3, .loss = 0.25}, 12.5), "event");
    EXPECT_EQ(json["event"], "step_done");
    EXPECT_EQ(json["time"], 12.5);
    EXPECT_EQ(json["step"], 3);
    EXPECT_EQ(json["loss"], 0.25);
    const Json saved = parse_json(event_json(FileSaved{"a\"b", 1, 2}, 0), "event");
    EXPECT_EQ(saved["path"], "a\"b");
}

}  // namespace
}  // namespace lora::train

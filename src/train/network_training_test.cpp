// Whole runs with what changes the network or the loss: dropouts, limits of norms, magnitudes,
// averages, merged LoRA files, masks, other losses, weighted captions.
#include <cmath>
#include <set>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "io/png.h"
#include "io/safetensors.h"
#include "tensor/tensor.h"
#include "train/latents.h"
#include "train/lora_file.h"
#include "train/state.h"
#include "train/tiny_run_test.h"

namespace lora::train {
namespace {

class NetworkTraining : public TinyRun {
protected:
    static std::string file_of(const TrainOptions& options) {
        return read_text_file(train(options).output_file);
    }
    // The file of a run that was stopped after two of its four updates and went on.
    static std::string interrupted(TrainOptions options) {
        options.save.output_dir += "-stopped";
        options.save.resume = "auto";
        EXPECT_EQ(stop_after(options, 2), ErrorCode::kCancelled);
        return file_of(options);
    }
    static std::vector<double> losses_of(const TrainOptions& options) {
        std::vector<double> losses;
        CallbackSink sink([&](const Event& event) {
            if (const auto* step = std::get_if<StepDone>(&event)) losses.push_back(step->loss);
        });
        train(options, sink);
        return losses;
    }
    static std::string message_of(const TrainOptions& options) {
        try {
            train(options);
        } catch (const Error& error) {
            return error.message() + " / " + error.hint();
        }
        return "";
    }
    static TensorView tensor(const io::SafetensorsFile& file, const std::string& key) {
        return file.at(key);
    }
};

constexpr const char* kModule = "lora_te_text_model_encoder_layers_0_mlp_fc1";

TEST_F(NetworkTraining, DropoutsDrawTheSameAgain) {
    const std::string plain = file_of(options("plain"));
    TrainOptions o = options("dropout");
    o.network.network_dropout = 0.3;
    const std::string elements = file_of(o);
    EXPECT_NE(elements, plain);
    EXPECT_EQ(interrupted(o), elements);
    o = options("rank_dropout");
    o.network.network_args = {{"rank_dropout", "0.4"}, {"module_dropout", "0.2"}};
    const std::string ranks = file_of(o);
    EXPECT_NE(ranks, elements);
    EXPECT_NE(ranks, plain);
    EXPECT_EQ(interrupted(o), ranks);
    o.seed = 4;
    o.save.output_dir = join_path(root(), "rank_dropout_again");
    EXPECT_NE(file_of(o), ranks);
}

TEST_F(NetworkTraining, LycorisDropsOutputs) {
    for (const std::string algo : {"locon", "loha", "lokr", "ia3"}) {
        TrainOptions o = options("lycoris-" + algo);
        o.network.network_module = "lycoris.kohya";
        o.network.network_args = {{"algo", algo}};
        o.length = {.max_train_steps = 1};
        const std::string plain = file_of(o);
        o.network.network_args.insert(
            o.network.network_args.end(),
            {{"dropout", "0.2"}, {"rank_dropout", "0.2"}, {"module_dropout", "0.1"}});
        EXPECT_NE(file_of(o), plain) << algo;
    }
}

TEST_F(NetworkTraining, NormsStayBelowTheirLimit) {
    TrainOptions o = options("norms");
    o.network.scale_weight_norms = 0.02;
    o.optimizer.learning_rate = 0.01;
    o.optimizer.lr_scheduler = "constant";
    std::vector<MaxNorm> seen;
    CallbackSink sink([&](const Event& event) {
        const auto* step = std::get_if<StepDone>(&event);
        if (step != nullptr && step->max_norm) seen.push_back(*step->max_norm);
    });
    const auto file = io::SafetensorsFile::open(train(o, sink).output_file);
    ASSERT_EQ(seen.size(), 4U);
    EXPECT_GT(seen.back().keys_scaled, 0);
    EXPECT_LE(seen.back().largest, 0.02 * (1 + 1e-5));
    EXPECT_LE(seen.back().average, seen.back().largest);
    // The norm of scale * up * down of one module, from the file.
    const std::vector<float> up = to_floats(file.at(std::string(kModule) + ".lora_up.weight"));
    const std::vector<float> down = to_floats(file.at(std::string(kModule) + ".lora_down.weight"));
    double sum = 0;
    for (size_t i = 0; i < up.size() / 2; ++i) {
        for (size_t j = 0; j < down.size() / 2; ++j) {
            const double change =
                0.5 * (static_cast<double>(up[2 * i]) * static_cast<double>(down[j]) +
                       static_cast<double>(up[2 * i + 1]) *
                           static_cast<double>(down[down.size() / 2 + j]));
            sum += change * change;
        }
    }
    EXPECT_LE(std::sqrt(sum), 0.02 * (1 + 1e-5));
    EXPECT_GT(std::sqrt(sum), 0.001);
    EXPECT_EQ(file.metadata().at("ss_scale_weight_norms"), "0.02");
    EXPECT_EQ(interrupted(o), read_text_file(join_path(root(), "norms/dot.safetensors")));
    o.network.network_module = "lycoris.kohya";
    o.network.network_args = {{"algo", "ia3"}};
    EXPECT_NE(message_of(o).find("does not go with IA3"), std::string::npos);
}

TEST_F(NetworkTraining, LossesDiffer) {
    TrainOptions o = options("l2");
    o.length = {.max_train_steps = 1};
    const double squared = losses_of(o)[0];
    std::set<double> found{squared};
    for (const std::string type : {"l1", "huber", "smooth_l1"}) {
        o.loss.loss_type = type;
        o.save.output_dir = join_path(root(), type);
        found.insert(losses_of(o)[0]);
    }
    EXPECT_EQ(found.size(), 4U);
    // With a border far beyond every error a Huber loss is the square.
    o.loss.loss_type = "huber";
    o.loss.huber_schedule = "constant";
    o.loss.huber_c = 300;
    EXPECT_NEAR(losses_of(o)[0] / squared, 1, 1e-3);
    const auto file = io::SafetensorsFile::open(train(o).output_file);
    EXPECT_EQ(file.metadata().at("ss_loss_type"), "huber");
    EXPECT_EQ(file.metadata().at("ss_huber_schedule"), "constant");
    EXPECT_EQ(file.metadata().at("ss_huber_c"), "300.0");
    o.loss.huber_schedule = "sometimes";
    EXPECT_NE(message_of(o).find("constant, exponential or snr"), std::string::npos);
}

io::Image grey(int64_t side_px, uint8_t value) {
    io::Image image{side_px, side_px, {}};
    image.rgb.assign(static_cast<size_t>(side_px * side_px * 3), value);
    return image;
}

TEST_F(NetworkTraining, MasksWeighTheLoss) {
    TrainOptions o = options("masked");
    o.latents.flip_aug = true;
    o.length = {.max_train_steps = 2};
    const std::vector<double> whole = losses_of(o);
    const std::string masks = join_path(root(), "masks");
    make_directories(join_path(masks, "2_dot"));
    o.loss.masked_loss = true;
    EXPECT_NE(message_of(o).find("masked_loss has no masks"), std::string::npos);
    o.dataset.mask.conditioning_data_dir = masks;
    EXPECT_NE(message_of(o).find("3 pictures have no mask"), std::string::npos);
    // Half grey counts half, everywhere.
    io::write_png(join_path(masks, "2_dot/0.png"), grey(64, 51));
    io::write_png(join_path(masks, "1.png"), grey(64, 51));
    io::write_png(join_path(masks, "wide.png"), grey(64, 51));
    EXPECT_NE(message_of(o).find("is 64x64, its picture 128x128"), std::string::npos);
    io::write_png(join_path(masks, "wide.png"), grey(128, 51));
    const std::vector<double> part = losses_of(o);
    EXPECT_NEAR(part[0] / whole[0], 0.2, 1e-6);
    EXPECT_EQ(losses_of(o), part);  // from the cache
    // The left half of every picture: neither nothing nor all; mirrored with its picture.
    for (const auto& [name, side] :
         {std::pair{"2_dot/0.png", 64}, {"1.png", 64}, {"wide.png", 128}}) {
        io::Image half = grey(side, 0);
        for (int64_t i = 0; i < side * side; ++i) {
            if (i % side < side / 2) half.rgb[static_cast<size_t>(3 * i)] = 255;
        }
        io::write_png(join_path(masks, name), half);
    }
    const double left = losses_of(o)[0];
    EXPECT_GT(left, 0.2 * whole[0]);
    EXPECT_LT(left, 0.8 * whole[0]);
}

// Test of M75 and M147: regularisation pictures count prior_loss_weight times as much.
TEST_F(NetworkTraining, RegularisationCountsAtItsWeight) {
    for (const char* name : {"weighed/1_dot", "weighed_reg/1_dots"}) {
        const std::string folder = join_path(root(), name);
        make_directories(folder);
        write_tiny_picture(join_path(folder, "dot.png"), 64, 7);
    }
    TrainOptions o = options("weighed_out");
    o.length = {.max_train_steps = 2};
    o.latents.train_batch_size = 1;
    o.optimizer.learning_rate = 1e-12;
    o.dataset.train_data_dir = join_path(root(), "weighed");
    o.dataset.reg_data_dir = join_path(root(), "weighed_reg");
    const std::vector<double> whole = losses_of(o);
    o.dataset.prior_loss_weight = 0.3;
    const std::vector<double> part = losses_of(o);
    std::vector<double> ratios{part.at(0) / whole.at(0), part.at(1) / whole.at(1)};
    std::sort(ratios.begin(), ratios.end());
    EXPECT_NEAR(ratios[0], 0.3, 1e-6);
    EXPECT_NEAR(ratios[1], 1, 1e-6);
}

// Masks of one described folder weigh its pictures alone.
TEST_F(NetworkTraining, MasksOfOneFolder) {
    const std::string masks = join_path(root(), "masks of a folder");
    std::vector<data::SubsetPlan> subsets;
    for (const char* name : {"masked", "free"}) {
        const std::string folder = join_path(root(), name);
        make_directories(folder);
        write_tiny_picture(join_path(folder, "dot.png"), 64, 7);
        write_file_atomically(join_path(folder, "dot.txt"), "dot");
        subsets.push_back({.image_dir = folder, .num_repeats = 1, .caption_extension = ".txt"});
    }
    make_directories(masks);
    io::write_png(join_path(masks, "dot.png"), grey(64, 51));
    TrainOptions o = options("folder_masks");
    o.length = {.max_train_steps = 2};
    o.latents.train_batch_size = 1;
    o.optimizer.learning_rate = 1e-12;
    o.dataset.train_data_dir.clear();
    o.dataset.dataset_config = "a description";
    const auto losses = [&] {
        o.dataset.plans = {{.batch_size = 1, .bucket = o.bucket, .subsets = subsets}};
        return losses_of(o);
    };
    const std::vector<double> whole = losses();
    subsets[0].options.mask.conditioning_data_dir = masks;
    o.loss.masked_loss = true;
    o.loss.folder_masks = true;
    const std::vector<double> part = losses();
    std::vector<double> ratios;
    for (size_t i = 0; i < 2; ++i) ratios.push_back(part[i] / whole[i]);
    std::sort(ratios.begin(), ratios.end());
    EXPECT_NEAR(ratios[0], 0.2, 1e-6);
    EXPECT_NEAR(ratios[1], 1, 1e-6);
    // Crops that differ from draw to draw are refused in the folder with masks, not in the other.
    o.latents.cache_latents = false;
    subsets[1].options.augment.random_crop = true;
    losses();
    subsets[0].options.augment.random_crop = true;
    o.dataset.plans = {{.batch_size = 1, .bucket = o.bucket, .subsets = subsets}};
    EXPECT_NE(message_of(o).find("do not follow the crops"), std::string::npos);
}

// The pictures of the fixture have no transparency: nothing changes.
TEST_F(NetworkTraining, OpaquePicturesCountWhole) {
    TrainOptions o = options("opaque");
    o.length = {.max_train_steps = 1};
    const std::vector<double> whole = losses_of(o);
    o.loss.alpha_mask = true;
    EXPECT_EQ(losses_of(o), whole);
}

TEST_F(NetworkTraining, MagnitudesAreTrainedAndSaved) {
    TrainOptions o = options("dora");
    o.network.network_args = {{"dora_wd", "True"}, {"conv_dim", "2"}};
    const std::vector<double> plain = losses_of(options("no_dora"));
    const std::vector<double> losses = losses_of(o);
    EXPECT_NEAR(losses[0] / plain[0], 1, 1e-5);  // a fresh network changes nothing
    const auto file = io::SafetensorsFile::open(join_path(root(), "dora/dot.safetensors"));
    const TensorView linear = file.at(std::string(kModule) + ".dora_scale");
    EXPECT_EQ(linear.shape, (Shape{64, 1}));
    const TensorView conv = file.at("lora_unet_down_blocks_0_resnets_0_conv1.dora_scale");
    EXPECT_EQ(conv.shape, (Shape{32, 1, 1, 1}));
    // Moved from the lengths of the weight's rows, a little.
    const auto model = io::SafetensorsFile::open(join_path(root(), "model.safetensors"));
    const std::vector<float> weight = to_floats(
        model.at("cond_stage_model.transformer.text_model.encoder.layers.0.mlp.fc1.weight"));
    double sum = 0;
    for (size_t i = 0; i < 64; ++i)
        sum += static_cast<double>(weight[i]) * static_cast<double>(weight[i]);
    const auto first = static_cast<double>(to_floats(linear)[0]);
    EXPECT_NEAR(first / std::sqrt(sum), 1, 0.1);
    EXPECT_NE(first, static_cast<double>(static_cast<float>(std::sqrt(sum))));
    EXPECT_EQ(interrupted(o), read_text_file(join_path(root(), "dora/dot.safetensors")));
    // From the file it goes on as it ended.
    o.save.output_dir = join_path(root(), "dora_again");
    o.network.network_weights = join_path(root(), "dora/dot.safetensors");
    o.network.dim_from_weights = true;
    o.optimizer.learning_rate = 1e-12;
    const auto again = io::SafetensorsFile::open(train(o).output_file);
    for (const io::TensorInfo& info : file.tensors()) {
        EXPECT_LT(relative_error(again.at(info.name), file.view(info)), 1e-5) << info.name;
    }
}

TEST_F(NetworkTraining, EveryAlgoHasMagnitudes) {
    for (const std::string algo : {"locon", "loha", "lokr"}) {
        TrainOptions o = options("dora-" + algo);
        o.network.network_module = "lycoris.kohya";
        o.network.network_args = {{"algo", algo}, {"use_tucker", "True"}};
        o.length = {.max_train_steps = 2};
        const std::vector<double> plain = losses_of(o);
        o.network.network_args.push_back({"dora_wd", "True"});
        const std::vector<double> losses = losses_of(o);
        EXPECT_NEAR(losses[0] / plain[0], 1, 1e-5) << algo;
        EXPECT_NE(losses[1], plain[1]) << algo;
    }
    TrainOptions o = options("dora-ia3");
    o.network.network_module = "lycoris.kohya";
    o.network.network_args = {{"algo", "ia3"}, {"dora_wd", "True"}};
    EXPECT_NE(message_of(o).find("IA3 has no magnitudes"), std::string::npos);
}

TEST_F(NetworkTraining, CaptionsAreWeighed) {
    const std::string folder = join_path(root(), "weighted");
    make_directories(join_path(folder, "1_dot"));
    write_tiny_picture(join_path(folder, "1_dot/a.png"), 64, 3);
    for (const bool unet_only : {true, false}) {
        TrainOptions o = options("weighted_out");
        o.dataset.train_data_dir = folder;
        o.caption.shuffle_caption = false;
        o.network.network_train_unet_only = unet_only;
        o.length = {.max_train_steps = 1};
        const auto loss = [&](const char* caption, bool weighted) {
            write_file_atomically(join_path(folder, "1_dot/a.txt"), std::string_view(caption));
            o.model.weighted_captions = weighted;
            return losses_of(o)[0];
        };
        const double plain = loss("red dot", false);
        EXPECT_EQ(loss("red dot", true), plain);
        EXPECT_EQ(loss("(red dot:1)", true), plain);
        EXPECT_NE(loss("(red dot:1)", false), plain);
        EXPECT_NE(loss("(red:1.4) dot", true), plain);
    }
}

TEST_F(NetworkTraining, TheAverageIsSavedAndResumed) {
    TrainOptions o = options("ema");
    const std::string plain = file_of(options("no_ema"));
    o.optimizer.ema = "extra";
    o.save.save_every_n_epochs = 1;
    EXPECT_EQ(file_of(o), plain);
    EXPECT_EQ(names_in("ema"),
              (std::set<std::string>{"dot-000001-ema.safetensors",
                                     "dot-000001.safetensors",
                                     "dot-ema.safetensors",
                                     "dot.safetensors"}));
    const auto file = io::SafetensorsFile::open(join_path(root(), "ema/dot.safetensors"));
    const auto average = io::SafetensorsFile::open(join_path(root(), "ema/dot-ema.safetensors"));
    const std::string key = std::string(kModule) + ".lora_up.weight";
    EXPECT_NE(to_floats(average.at(key)), to_floats(file.at(key)));
    EXPECT_LT(relative_error(average.at(key), file.at(key)), 0.9);
    interrupted(o);
    EXPECT_EQ(read_text_file(join_path(root(), "ema-stopped/dot-ema.safetensors")),
              read_text_file(join_path(root(), "ema/dot-ema.safetensors")));
    o.optimizer.ema = "instead";
    o.save.output_dir = join_path(root(), "ema_instead");
    EXPECT_EQ(file_of(o), read_text_file(join_path(root(), "ema/dot-ema.safetensors")));
    // One step: (1 + 1) / (10 + 1) of the start, which is zero, stays.
    o.length = {.max_train_steps = 1};
    o.optimizer.ema = "extra";
    o.save.output_dir = join_path(root(), "ema_one");
    train(o);
    const auto one = io::SafetensorsFile::open(join_path(root(), "ema_one/dot.safetensors"));
    const auto first = io::SafetensorsFile::open(join_path(root(), "ema_one/dot-ema.safetensors"));
    EXPECT_NEAR(to_floats(first.at(key))[5] / to_floats(one.at(key))[5], 9.0 / 11.0, 1e-5);
}

// Merged into the base model a LoRA gives the loss that it gives as the network to start from:
// whole changed weights are what the branches compute.
TEST_F(NetworkTraining, BaseWeightsAreMerged) {
    using Args = std::vector<std::pair<std::string, std::string>>;
    const std::vector<Args> kinds = {
        {{"algo", "locon"}, {"use_tucker", "1"}},
        {{"algo", "locon"}, {"dora_wd", "1"}},
        {{"algo", "loha"}, {"use_tucker", "1"}, {"dora_wd", "1"}},
        {{"algo", "lokr"}, {"use_tucker", "1"}, {"dora_wd", "1"}},
        {{"algo", "ia3"}},
    };
    for (const Args& kind : kinds) {
        TrainOptions o = options("base");
        o.network.network_module = "lycoris.kohya";
        o.network.network_args = kind;
        o.optimizer.learning_rate = 0.05;
        o.length = {.max_train_steps = 2};
        const std::string file = train(o).output_file;
        o.save.output_dir += "-next";
        o.length = {.max_train_steps = 1};
        o.network.network_weights = file;
        const double wanted = losses_of(o)[0];
        o.network.network_weights.clear();
        o.network.base_weights = {file};
        const std::string what = kind[0].second;
        EXPECT_NEAR(losses_of(o)[0] / wanted, 1, 1e-5) << what;
        o.network.base_weights_multiplier = {0.3};
        EXPECT_GT(std::abs(losses_of(o)[0] / wanted - 1), 1e-4) << what;
    }
}

TEST(LatentStore, MasksFollowTheirPictures) {
    LatentStore store({}, 3);
    data::Batch batch;
    batch.latents = Tensor(DType::kF32, {4, 4, 1, 2});
    batch.image_idx = {0, 2, 2, 1};
    batch.flipped = {false, false, true, true};
    store.fill_masks(batch);
    EXPECT_EQ(batch.mask.shape().num_axes(), 0);
    store.put_mask(0, Tensor::from_floats({1, 2}, std::vector<float>{0.5F, 0.25F}));
    store.put_mask(2, Tensor::from_floats({1, 2}, std::vector<float>{0, 1}));
    store.fill_masks(batch);
    ASSERT_EQ(batch.mask.shape(), (Shape{4, 1, 1, 2}));
    const std::span<const float> mask = batch.mask.data<float>();
    EXPECT_EQ(std::vector<float>(mask.begin(), mask.end()),
              (std::vector<float>{0.5F, 0.25F, 0, 1, 1, 0, 1, 1}));
}

TEST(CheckOptions, JudgesNetworkAndLoss) {
    TrainOptions o;
    o.network.network_dropout = 1;
    o.network.scale_weight_norms = -1;
    o.network.base_weights_multiplier = {1};
    o.loss.loss_type = "l3";
    o.loss.huber_c = 0;
    o.loss.masked_loss = true;
    o.optimizer.ema = "maybe";
    o.optimizer.ema_decay = 1;
    std::set<std::string> places;
    for (const Diagnostic& item : check_options(o)) places.insert(item.place);
    for (const char* place : {"network_dropout",
                              "scale_weight_norms",
                              "base_weights_multiplier",
                              "loss_type",
                              "huber_c",
                              "masked_loss",
                              "ema",
                              "ema_decay"}) {
        EXPECT_TRUE(places.contains(place)) << place;
    }
}

}  // namespace
}  // namespace lora::train

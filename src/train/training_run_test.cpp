// Whole runs on the reference backend with a model of a few thousand weights.
#include "train/training_run.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "backend/reference/reference_backend.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "io/png.h"
#include "train/lora_file.h"
#include "train/state.h"
#include "train/tiny_run_test.h"

namespace lora::train {
namespace {

class TrainingRunTest : public TinyRun {};

TEST_F(TrainingRunTest, WritesKohyasFilesAndEvents) {
    TrainOptions o = options("plain");
    o.length.max_train_epochs = 3;
    o.save.save_every_n_epochs = 1;
    o.save.save_last_n_epochs = 1;
    o.log.logging_dir = join_path(root(), "logs");
    std::vector<double> losses;
    CallbackSink sink([&](const Event& event) {
        if (const auto* step = std::get_if<StepDone>(&event)) losses.push_back(step->loss);
    });
    const RunResult result = train(o, sink);
    EXPECT_EQ(result.steps, 6);
    ASSERT_EQ(losses.size(), 6U);
    EXPECT_EQ(names_in("plain"),
              (std::set<std::string>{"dot-000002.safetensors", "dot.safetensors"}));
    const auto file = io::SafetensorsFile::open(result.output_file);
    EXPECT_EQ(file.metadata().at("ss_steps"), "6");
    EXPECT_EQ(file.metadata().at("ss_epoch"), "3");
    EXPECT_EQ(file.metadata().at("ss_num_train_images"), "6");
    EXPECT_EQ(file.metadata().at("ss_network_dim"), "2");
    // The file holds every module; up has moved away from zero.
    const TensorView up = file.at("lora_te_text_model_encoder_layers_0_mlp_fc1.lora_up.weight");
    EXPECT_EQ(up.shape, (Shape{64, 2}));
    double norm = 0;
    for (const float value : to_floats(up)) norm += std::abs(value);
    EXPECT_GT(norm, 0);
    // Events: one JSON object a line, ending with run_ended.
    const std::string run = list_directory(join_path(root(), "logs")).front().name;
    const std::string text = read_text_file(join_path(root(), "logs/" + run + "/events.jsonl"));
    std::vector<std::string> kinds;
    for (size_t begin = 0; begin < text.size();) {
        const size_t end = text.find('\n', begin);
        kinds.push_back(parse_json(text.substr(begin, end - begin), "line")["event"]);
        begin = end + 1;
    }
    EXPECT_EQ(kinds.front(), "run_started");
    EXPECT_EQ(kinds.back(), "run_ended");
    EXPECT_EQ(std::count(kinds.begin(), kinds.end(), "step_done"), 6);
    EXPECT_EQ(std::count(kinds.begin(), kinds.end(), "epoch_started"), 3);
}

TEST_F(TrainingRunTest, StoppedAndResumedGivesTheSameFile) {
    const std::string undisturbed = read_text_file(train(options("whole")).output_file);
    for (const int64_t last : {1, 2, 3}) {  // inside and at the end of an epoch
        TrainOptions o = options(fmt::format("resumed{}", last));
        o.save.resume = "auto";
        EXPECT_EQ(stop_after(o, last), ErrorCode::kCancelled);
        EXPECT_EQ(names_in(fmt::format("resumed{}", last)),
                  std::set<std::string>{fmt::format("dot-rolling-step{:08}-state", last)});
        EXPECT_EQ(read_text_file(train(o).output_file), undisturbed) << "stopped after " << last;
        EXPECT_EQ(names_in(fmt::format("resumed{}", last)),
                  std::set<std::string>{"dot.safetensors"});
    }
}

TEST_F(TrainingRunTest, AccumulationResumesToo) {
    TrainOptions o = options("accumulated");
    o.length.gradient_accumulation_steps = 2;
    o.latents.train_batch_size = 2;  // three batches an epoch: updates of two and of one
    o.latents.flip_aug = true;
    o.latents.cache_latents = false;
    const RunResult whole = train(o);
    EXPECT_EQ(whole.steps, 4);
    const std::string undisturbed = read_text_file(whole.output_file);
    o.save.output_dir = join_path(root(), "accumulated2");
    o.save.resume = "auto";
    EXPECT_EQ(stop_after(o, 3), ErrorCode::kCancelled);
    EXPECT_EQ(read_text_file(train(o).output_file), undisturbed);
}

// States in bytes, of the whole run, and a file that is not what the state holds.
TEST_F(TrainingRunTest, EveryKindOfOptimizerStateResumes) {
    for (const std::string type : {"AdamW8bit", "Prodigy", "AdamWScheduleFree", "CAME"}) {
        TrainOptions o = options(type);
        o.optimizer.optimizer_type = type;
        o.network.network_dim = 32;  // some tensors have more than 4096 elements, others fewer
        if (type == "Prodigy") o.optimizer.learning_rate = 1;
        const std::string undisturbed = read_text_file(train(o).output_file);
        o.save.output_dir += "2";
        o.save.resume = "auto";
        EXPECT_EQ(stop_after(o, 3), ErrorCode::kCancelled) << type;
        EXPECT_EQ(read_text_file(train(o).output_file), undisturbed) << type;
    }
}

// Test of M47 to M50: rates by block are told, and a block of weight 0 is not in the file.
TEST_F(TrainingRunTest, BlocksHaveTheirRatesOrAreLeftOut) {
    TrainOptions o = options("blocks");
    o.network.network_args = {
        {"down_lr_weight", "zeros"}, {"mid_lr_weight", "0.5"}, {"loraplus_unet_lr_ratio", "4"}};
    o.optimizer.lr_scheduler = "constant";
    o.length = {.max_train_steps = 1};
    std::map<std::string, double> rates;
    CallbackSink sink([&](const Event& event) {
        if (const auto* step = std::get_if<StepDone>(&event)) {
            rates.insert(step->group_rates.begin(), step->group_rates.end());
        }
    });
    const auto file = io::SafetensorsFile::open(train(o, sink).output_file);
    EXPECT_EQ(rates.at("textencoder"), 1e-3);
    EXPECT_EQ(rates.at("unet_block12"), 0.5e-3);
    EXPECT_EQ(rates.at("unet_block12 plus"), 2e-3);
    size_t mid = 0;
    for (const io::TensorInfo& info : file.tensors()) {
        EXPECT_EQ(info.name.find("lora_unet_down_blocks"), std::string::npos) << info.name;
        if (info.name.starts_with("lora_unet_mid_block")) ++mid;
    }
    EXPECT_GT(mid, 0U);
}

TEST_F(TrainingRunTest, ResumeRefusesOtherSettings) {
    TrainOptions o = options("refused");
    EXPECT_EQ(stop_after(o, 1), ErrorCode::kCancelled);
    o.save.resume = join_path(root(), "refused/dot-rolling-step00000001-state");
    const auto message_for = [](const TrainOptions& changed) -> std::string {
        try {
            train(changed);
        } catch (const Error& error) {
            EXPECT_EQ(error.code(), ErrorCode::kConfig);
            return error.message();
        }
        return "accepted";
    };
    TrainOptions changed = o;
    changed.loss.weight.min_snr_gamma = 1;
    EXPECT_NE(message_for(changed).find("min_snr_gamma: 5.0 in the state, 1.0 now"),
              std::string::npos);
    changed = o;
    changed.seed = 4;
    EXPECT_NE(message_for(changed).find("seed"), std::string::npos);
}

TEST_F(TrainingRunTest, TextEncoderCanStayFrozen) {
    TrainOptions o = options("unet_only");
    o.network.network_train_unet_only = true;
    o.caption.shuffle_caption = false;
    o.length = {.max_train_steps = 2};
    const auto file = io::SafetensorsFile::open(train(o).output_file);
    for (const io::TensorInfo& info : file.tensors()) {
        EXPECT_TRUE(info.name.starts_with("lora_unet_")) << info.name;
    }
    // In less memory (M35), and of the size that was told before (M129).
    TrainOptions both = o;
    both.network.network_train_unet_only = false;
    TestDevice device;
    const RunPlan plan = TrainingRun::open(o, device)->plan();
    EXPECT_LT(plan.planned_peak_bytes, TrainingRun::open(both, device)->plan().planned_peak_bytes);
    EXPECT_EQ(plan.file_bytes, file.data_section().size());
}

// Test of M36.
TEST_F(TrainingRunTest, TheUNetCanStayFrozen) {
    TrainOptions o = options("text_encoder_only");
    o.network.network_train_text_encoder_only = true;
    o.length = {.max_train_steps = 1};
    const auto file = io::SafetensorsFile::open(train(o).output_file);
    EXPECT_FALSE(file.tensors().empty());
    for (const io::TensorInfo& info : file.tensors()) {
        EXPECT_TRUE(info.name.starts_with("lora_te_")) << info.name;
    }
}

// Test of M34: a type that the device has not is noted, and the run goes on in one that it has.
TEST_F(TrainingRunTest, TypesThatADeviceHasNot) {
    for (const char* wanted : {"bf16", "fp16"}) {
        TrainOptions o = options("types");
        o.device.mixed_precision = wanted;
        o.length = {.max_train_steps = 1};
        TestDevice device;
        device.only_fp32 = true;
        const auto run = TrainingRun::open(o, device);
        const Diagnostics& found = run->plan().warnings;
        const bool is_noted = std::any_of(found.begin(), found.end(), [](const Diagnostic& d) {
            return d.severity == Severity::kNote && d.place == "mixed_precision";
        });
        EXPECT_TRUE(is_noted) << wanted;
        CallbackSink nothing([](const Event&) {});
        EXPECT_EQ(run->train({}, nothing).steps, 1);
    }
}

// M26 and M70: pictures of several shapes, none of them cut to one beforehand.
TEST_F(TrainingRunTest, PicturesOfSeveralShapes) {
    const std::string folder = join_path(root(), "shapes");
    make_directories(join_path(folder, "1_dot"));
    const std::pair<int64_t, int64_t> sizes[] = {{64, 128}, {128, 64}, {90, 90}, {60, 140}};
    for (size_t i = 0; i < std::size(sizes); ++i) {
        io::Image image{sizes[i].second, sizes[i].first, {}};
        image.rgb.assign(static_cast<size_t>(image.height_px * image.width_px * 3), 100);
        io::write_png(join_path(folder, fmt::format("1_dot/{}.png", i)), image);
    }
    TrainOptions o = options("shapes_out");
    o.dataset.train_data_dir = folder;
    o.bucket.resolution = {64, 128};
    o.latents.train_batch_size = 2;
    o.length.max_train_epochs = 1;
    TestDevice device;
    const auto run = TrainingRun::open(o, device);
    EXPECT_EQ(run->plan().num_images, 4);
    EXPECT_GE(run->plan().buckets.size(), 2U);
    CallbackSink nothing([](const Event&) {});
    EXPECT_EQ(run->train({}, nothing).steps, run->plan().steps);
}

// M40: a seed that is drawn is told and kept in the file.
TEST_F(TrainingRunTest, ADrawnSeedIsTold) {
    std::set<uint64_t> seeds;
    for (int i = 0; i < 2; ++i) {
        TrainOptions o = options(fmt::format("drawn{}", i));
        o.seed.reset();
        o.length = {.max_train_steps = 1};
        uint64_t told = 0;
        CallbackSink sink([&](const Event& event) {
            if (const auto* started = std::get_if<RunStarted>(&event)) told = started->seed;
        });
        const auto file = io::SafetensorsFile::open(train(o, sink).output_file);
        EXPECT_EQ(file.metadata().at("ss_seed"), fmt::format("{}", told));
        seeds.insert(told);
    }
    EXPECT_EQ(seeds.size(), 2U);
}

// M74: the VAE has left the device before the first step. The second run finds the latents kept and
// needs no VAE; both have the same weights on the device while they train.
TEST_F(TrainingRunTest, TheVaeLeavesTheDeviceAfterCaching) {
    const auto weights_of_a_run = [](const std::string& output) {
        TrainOptions o = options(output);
        o.latents.cache_dir = join_path(root(), "vae_cache");
        o.latents.cache_latents_to_disk = true;
        o.length = {.max_train_steps = 1};
        TestDevice device;
        int64_t alive = 0;
        device.before_step = [&](int64_t, int64_t) {
            alive = std::count_if(device.weights.begin(), device.weights.end(), [](const auto& w) {
                return !w.expired();
            });
        };
        CallbackSink nothing([](const Event&) {});
        TrainingRun::open(o, device)->train({}, nothing);
        return std::pair{std::ssize(device.weights), alive};
    };
    const auto [made_first, alive_first] = weights_of_a_run("vae_first");
    const auto [made_again, alive_again] = weights_of_a_run("vae_again");
    EXPECT_GT(made_first, made_again) << "the first run has encoded the pictures";
    EXPECT_GT(alive_first, 0);
    EXPECT_EQ(alive_first, alive_again);
}

// M78: four times the tokens take four times the memory; a matrix of scores would take sixteen.
TEST_F(TrainingRunTest, MemoryGrowsWithTheTokensNotTheirSquare) {
    const auto peak = [](int64_t side_px) {
        TrainOptions o = options("tokens");
        o.latents.train_batch_size = 1;
        o.bucket = {.resolution = {side_px, side_px},
                    .min_bucket_reso_px = side_px,
                    .max_bucket_reso_px = side_px};
        TestDevice device;
        return static_cast<double>(TrainingRun::open(o, device)->plan().planned_peak_bytes);
    };
    const double small = peak(256);  // 32 x 32 tokens
    const double middle = peak(512);
    const double large = peak(1024);
    EXPECT_GT(middle - small, 0);
    EXPECT_LT((large - middle) / (middle - small), 4.5);
}

// "stop training a part after N epochs": from then on it is the one that was saved, and the other
// goes on.
TEST_F(TrainingRunTest, APartStopsAfterItsEpochs) {
    TrainOptions o = options("stops");
    o.optimizer.lr_scheduler = "constant";
    o.length.max_train_epochs = 3;
    o.save.save_every_n_epochs = 1;
    o.network.stop_text_encoder_training = 1;
    std::vector<std::pair<double, double>> rates;
    CallbackSink sink([&](const Event& event) {
        const auto* step = std::get_if<StepDone>(&event);
        if (step != nullptr) rates.emplace_back(step->lr_text_encoder, step->lr_unet);
    });
    const std::string whole = train(o, sink).output_file;
    EXPECT_EQ(rates.front(), (std::pair{1e-3, 1e-3}));
    EXPECT_EQ(rates.back(), (std::pair{0.0, 1e-3}));
    const auto first = io::SafetensorsFile::open(join_path(root(), "stops/dot-000001.safetensors"));
    const auto last = io::SafetensorsFile::open(whole);
    for (const io::TensorInfo& info : first.tensors()) {
        if (info.name.ends_with("alpha")) continue;
        const bool same = to_floats(first.view(info)) == to_floats(last.at(info.name));
        EXPECT_EQ(same, info.name.starts_with("lora_te_")) << info.name;
    }
    // Resumed after the border it goes on in the same way.
    o.save.output_dir = join_path(root(), "stops2");
    EXPECT_EQ(stop_after(o, 4), ErrorCode::kCancelled);
    o.save.resume = "auto";
    EXPECT_EQ(read_text_file(train(o).output_file), read_text_file(whole));
    // And the step is compiled once, without the part that has stopped.
    const auto num_compiled = [](const TrainOptions& wanted) {
        TestDevice device;
        CallbackSink nothing([](const Event&) {});
        TrainingRun::open(wanted, device)->train({}, nothing);
        return device.arenas.size();
    };
    TrainOptions never = options("stops4");
    never.length.max_train_epochs = 3;
    const size_t shapes = num_compiled(never);
    o.save.output_dir = join_path(root(), "stops5");
    o.save.resume.clear();
    EXPECT_EQ(stop_after(o, 4), ErrorCode::kCancelled);
    o.save.resume = "auto";
    EXPECT_EQ(num_compiled(o), shapes);
    // The UNet too, but not both.
    o = options("stops3");
    o.network.stop_unet_training = 1;
    EXPECT_EQ(train(o).steps, 4);
    o.network.stop_text_encoder_training = 1;
    EXPECT_THROW(train(o), Error);
}

TEST_F(TrainingRunTest, LayersWithoutGradientStayAsTheyStarted) {
    TrainOptions o = options("skip");
    o.model.clip_skip = 2;  // layer 1 of 2 is not run
    o.length = {.max_train_steps = 2};
    const auto file = io::SafetensorsFile::open(train(o).output_file);
    const auto sum = [&](const char* key) {
        double total = 0;
        for (const float value : to_floats(file.at(key))) total += std::abs(value);
        return total;
    };
    EXPECT_GT(sum("lora_te_text_model_encoder_layers_0_mlp_fc1.lora_up.weight"), 0);
    EXPECT_EQ(sum("lora_te_text_model_encoder_layers_1_mlp_fc1.lora_up.weight"), 0);
    EXPECT_GT(sum("lora_te_text_model_encoder_layers_1_mlp_fc1.lora_down.weight"), 0);
}

TEST_F(TrainingRunTest, UnreadablePictureIsLeftOut) {
    const std::string folder = join_path(root(), "broken");
    make_directories(join_path(folder, "1_dot"));
    write_tiny_picture(join_path(folder, "1_dot/good.png"), 64, 1);
    write_tiny_picture(join_path(folder, "1_dot/bad.png"), 64, 2);
    const std::string bytes = read_text_file(join_path(folder, "1_dot/bad.png"));
    write_file_atomically(join_path(folder, "1_dot/bad.png"),
                          std::string_view(bytes).substr(0, bytes.size() / 2));
    TrainOptions o = options("left_out");
    o.dataset.train_data_dir = folder;
    o.length = {.max_train_steps = 1};
    const auto file = io::SafetensorsFile::open(train(o).output_file);
    EXPECT_EQ(file.metadata().at("ss_num_train_images"), "1");
}

// A picture that was whole when the folder was scanned and is gone when it is wanted.
TEST_F(TrainingRunTest, VanishedPictureIsLeftOutAndStepsArePlannedAnew) {
    const std::string folder = join_path(root(), "vanishing");
    make_directories(join_path(folder, "1_dot"));
    write_tiny_picture(join_path(folder, "1_dot/stays.png"), 64, 1);
    write_tiny_picture(join_path(folder, "1_dot/goes.png"), 64, 2);
    TrainOptions o = options("vanished");
    o.dataset.train_data_dir = folder;
    o.latents.train_batch_size = 1;
    o.length = {.max_train_epochs = 1};
    const auto backend = reference::open({});
    const auto run = TrainingRun::open(o, *backend);
    EXPECT_EQ(run->plan().steps, 2);
    remove_file_if_exists(join_path(folder, "1_dot/goes.png"));
    CallbackSink sink([](const Event&) {});
    const RunResult result = run->train({}, sink);
    EXPECT_EQ(result.steps, 1);
    EXPECT_EQ(io::SafetensorsFile::open(result.output_file).metadata().at("ss_num_train_images"),
              "1");
}

TEST_F(TrainingRunTest, GoesOnFromAFile) {
    TrainOptions o = options("first");
    o.length = {.max_train_steps = 1};
    o.network.network_dim = 3;
    o.network.network_alpha = 2;
    o.network.network_train_unet_only = true;
    const std::string first = train(o).output_file;
    o.save.output_dir = join_path(root(), "second");
    o.network.network_weights = first;
    o.network.network_dim = 8;
    EXPECT_THROW(train(o), Error);  // another rank
    o.network.dim_from_weights = true;
    o.optimizer.learning_rate = 1e-12;
    // Its first loss is that of the base model with this LoRA in it (M54).
    const auto first_loss = [](const TrainOptions& wanted) {
        std::optional<double> loss;
        CallbackSink sink([&](const Event& event) {
            const auto* step = std::get_if<StepDone>(&event);
            if (step != nullptr && !loss) loss = step->loss;
        });
        train(wanted, sink);
        return loss.value_or(0);
    };
    TrainOptions merged = o;
    merged.save.output_dir = join_path(root(), "merged");
    merged.network.network_weights.clear();
    merged.network.dim_from_weights = false;
    const double plain = first_loss(merged);
    merged.network.base_weights = {first};
    const double with_lora = first_loss(merged);
    EXPECT_NE(with_lora, plain);
    EXPECT_NEAR(first_loss(o), with_lora, 1e-3 * std::abs(with_lora - plain) + 1e-6);
    const auto before = io::SafetensorsFile::open(first);
    const auto after = io::SafetensorsFile::open(train(o).output_file);
    ASSERT_EQ(before.tensors().size(), after.tensors().size());
    for (const io::TensorInfo& info : before.tensors()) {
        EXPECT_LT(relative_error(after.at(info.name), before.view(info)), 1e-5) << info.name;
    }
}

TEST_F(TrainingRunTest, MoreEpochsAfterAFinishedRun) {
    TrainOptions o = options("longer");
    o.optimizer.lr_scheduler = "constant";
    const std::string whole = read_text_file(train(o).output_file);
    o.save.output_dir = join_path(root(), "longer2");
    o.save.save_state_on_train_end = true;
    o.length.max_train_epochs = 1;
    train(o);
    EXPECT_EQ(names_in("longer2"), (std::set<std::string>{"dot-state", "dot.safetensors"}));
    o.length.max_train_epochs = 2;
    o.save.save_state_on_train_end = false;
    o.save.resume = join_path(root(), "longer2/dot-state");
    EXPECT_EQ(read_text_file(train(o).output_file), whole);
}

TEST_F(TrainingRunTest, DryRunPlansAndWritesNothing) {
    const auto backend = reference::open({});
    const auto run = TrainingRun::open(options("dry"), *backend);
    EXPECT_EQ(run->plan().num_images, 3);
    EXPECT_EQ(run->plan().steps, 4);
    EXPECT_EQ(run->plan().epochs, 2);
    ASSERT_EQ(run->plan().buckets.size(), 1U);
    EXPECT_EQ(run->plan().buckets[0].count, 6);
    EXPECT_GT(run->plan().planned_peak_bytes, 100000U);
    EXPECT_FALSE(path_exists(join_path(root(), "dry")));
}

TEST_F(TrainingRunTest, ADeviceWithoutRoomGetsASmallerPlan) {
    const std::string whole = read_text_file(train(options("roomy")).output_file);
    TestDevice device;
    CallbackSink sink([](const Event&) {});
    TrainingRun::open(options("wide"), device)->train({}, sink);
    const size_t wanted = *std::max_element(device.arenas.begin(), device.arenas.end());
    device.arenas.clear();
    device.room = wanted / 10 * 9;
    const RunResult result = TrainingRun::open(options("narrow"), device)->train({}, sink);
    EXPECT_EQ(*std::max_element(device.arenas.begin(), device.arenas.end()), wanted);
    EXPECT_LE(device.arenas.back(), wanted / 5 * 4);
    EXPECT_EQ(read_text_file(result.output_file), whole);
}

TEST_F(TrainingRunTest, ALimitIsKeptOrNamesWhatWouldFit) {
    TestDevice device;
    TrainOptions o = options("limit");
    const size_t peak = TrainingRun::open(o, device)->plan().planned_peak_bytes;
    o.device.max_memory_bytes = peak + (size_t{8} << 20);
    EXPECT_EQ(TrainingRun::open(o, device)->plan().slowdown, 1);
    // Weights in 8 bits and everything recomputed: what lies between the two needs is named.
    TrainOptions small = o;
    small.device.base_quant = "int8";
    small.device.gradient_checkpointing = true;
    const auto least = TrainingRun::open(small, device);
    EXPECT_LT(least->plan().planned_peak_bytes, peak);
    o.device.max_memory_bytes = least->plan().planned_peak_bytes + (size_t{4} << 20) + 10000;
    try {
        const auto run = TrainingRun::open(o, device);
        FAIL() << "fits in " << run->plan().planned_peak_bytes << " of " << peak;
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kOutOfMemory);
        EXPECT_NE(error.hint().find("--base_quant int8 would fit"), std::string::npos)
            << error.hint();
    }
    o.device.max_memory_bytes = 1000;
    try {
        static_cast<void>(TrainingRun::open(o, device));
        FAIL();
    } catch (const Error& error) {
        EXPECT_NE(error.hint().find("lower resolution"), std::string::npos) << error.hint();
    }
}

TEST_F(TrainingRunTest, WeightsInEightBitsTrainNearlyAlike) {
    TrainOptions o = options("int8");
    const double exact = train(options("exact")).average_loss;
    o.device.base_quant = "int8";
    const double quantized = train(o).average_loss;
    EXPECT_NE(quantized, exact);
    EXPECT_NEAR(quantized, exact, 0.02 * exact);
}

TEST_F(TrainingRunTest, Fp16ScalesItsLossAndResumes) {
    TrainOptions o = options("fp16");
    o.device.mixed_precision = "fp16";
    o.save.save_state_on_train_end = true;
    std::vector<double> norms;
    CallbackSink sink([&](const Event& event) {
        if (const auto* step = std::get_if<StepDone>(&event)) norms.push_back(step->grad_norm);
    });
    train(o, sink);
    const std::string whole = read_text_file(join_path(root(), "fp16/dot.safetensors"));
    const StateSummary state = read_state_summary(join_path(root(), "fp16/dot-state"));
    ASSERT_TRUE(state.loss_scale.has_value());
    EXPECT_EQ(state.loss_scale->good_updates + state.loss_scale->skipped_updates, 4);
    // Norms are those of the gradients themselves, whatever the scale.
    std::vector<double> exact;
    CallbackSink exact_sink([&](const Event& event) {
        if (const auto* step = std::get_if<StepDone>(&event)) exact.push_back(step->grad_norm);
    });
    train(options("fp32"), exact_sink);
    ASSERT_EQ(norms.size(), exact.size());
    EXPECT_NEAR(norms[0], exact[0], 0.02 * exact[0]);

    o.save.output_dir = join_path(root(), "fp16-stopped");
    ASSERT_EQ(stop_after(o, 2), ErrorCode::kCancelled);
    o.save.resume = "auto";
    EXPECT_EQ(read_text_file(train(o).output_file), whole);
}

TEST(CheckOptions, WhatBelongsToOnePrediction) {
    LossOptions loss;
    loss.weight.scale_v_pred_loss_like_noise_pred = true;
    EXPECT_FALSE(has_errors(check_prediction_options(loss, true)));
    EXPECT_TRUE(has_errors(check_prediction_options(loss, false)));
    loss = {};
    loss.weight.v_pred_like_loss = 0.5;
    EXPECT_TRUE(has_errors(check_prediction_options(loss, true)));
    loss = {};
    loss.zero_terminal_snr = true;
    EXPECT_TRUE(check_prediction_options(loss, true).empty());
    const Diagnostics told = check_prediction_options(loss, false);
    ASSERT_EQ(told.size(), 1U);
    EXPECT_EQ(told[0].severity, Severity::kWarning);
}

TEST(CheckOptions, FindsEveryMistakeAtOnce) {
    TrainOptions o;
    o.latents.random_crop = true;
    o.optimizer.lr_scheduler = "zigzag";
    o.save.save_precision = "fp8";
    o.bucket.resolution = {500, 500};
    std::set<std::string> places;
    for (const Diagnostic& item : check_options(o)) places.insert(item.place);
    for (const char* place : {"pretrained_model_name_or_path",
                              "train_data_dir",
                              "random_crop",
                              "lr_scheduler",
                              "save_precision"}) {
        EXPECT_TRUE(places.contains(place)) << place;
    }
    EXPECT_GE(places.size(), 6U);
}

}  // namespace
}  // namespace lora::train

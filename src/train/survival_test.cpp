// Runs that meet what should not happen: steps that are not finite, a device without room.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "base/file.h"
#include "data/npz_file.h"
#include "io/safetensors.h"
#include "train/lr_schedule.h"
#include "train/recovery.h"
#include "train/state.h"
#include "train/tiny_run_test.h"

namespace lora::train {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// Collects what a run tells.
struct Story {
    std::vector<StepDone> steps;
    std::vector<WentBack> back;
    std::string ended;
    CallbackSink sink{[this](const Event& event) {
        if (const auto* step = std::get_if<StepDone>(&event)) steps.push_back(*step);
        if (const auto* gone = std::get_if<WentBack>(&event)) back.push_back(*gone);
        if (const auto* end = std::get_if<RunEnded>(&event)) ended = end->status;
    }};
};

class SurvivalTest : public TinyRun {
protected:
    static TrainOptions constant(const std::string& output) {
        TrainOptions o = options(output);
        o.optimizer.lr_scheduler = "constant";
        o.length.max_train_epochs = 3;  // of two updates each
        return o;
    }
    // One picture twice an epoch, the UNet alone.
    static TrainOptions cheap(const std::string& output) {
        TrainOptions o = options(output);
        const std::string folder = join_path(root(), "one/2_dot");
        make_directories(folder);
        write_tiny_picture(join_path(folder, "dot.png"), 64, 7);
        write_file_atomically(join_path(folder, "dot.txt"), "dot");
        o.dataset.train_data_dir = join_path(root(), "one");
        o.latents.train_batch_size = 1;
        o.network.network_train_unet_only = true;
        o.caption.shuffle_caption = false;
        return o;
    }
    static RunResult run(const TrainOptions& o, TestDevice& device, Story& story) {
        return TrainingRun::open(o, device)->train({}, story.sink);
    }
};

// Test of M125: what the screen and other programs have taken of a card is shown apart from what
// the run will take, and what it took is told at the end.
TEST_F(SurvivalTest, MemoryOfTheRunAndOfOthers) {
    TestDevice device;
    device.memory = {.total_bytes = size_t{8} << 30U, .taken_bytes = size_t{1} << 30U};
    const auto run = TrainingRun::open(constant("memory"), device);
    ASSERT_TRUE(run->plan().device_memory.has_value());
    EXPECT_EQ(run->plan().device_memory->total_bytes, size_t{8} << 30U);
    EXPECT_EQ(run->plan().device_memory->taken_bytes, size_t{1} << 30U);
    EXPECT_TRUE(run->plan().peak_includes_weights);
    const size_t planned = run->plan().planned_peak_bytes;
    device.memory->taken_bytes = size_t{5} << 30U;  // no part of the peak
    EXPECT_EQ(TrainingRun::open(constant("memory"), device)->plan().planned_peak_bytes, planned);
}

TEST_F(SurvivalTest, OneLossThatIsNotFiniteCostsTheStepsSinceTheLastGoodState) {
    TestDevice device;
    device.change_loss = [](int64_t run, float loss) { return run == 3 ? kNan : loss; };
    Story story;
    const RunResult result = run(constant("once"), device, story);
    EXPECT_EQ(result.steps, 6);
    ASSERT_EQ(story.back.size(), 1U);
    EXPECT_EQ(story.back[0].failed_step, 4);
    EXPECT_EQ(story.back[0].step, 0);
    EXPECT_EQ(story.back[0].rate_factor, 0.5);
    // The pictures of the batch are named, and the parameters are looked at.
    EXPECT_NE(story.back[0].cause.find("the loss is nan"), std::string::npos);
    EXPECT_NE(story.back[0].cause.find("2_dot/"), std::string::npos) << story.back[0].cause;
    EXPECT_NE(story.back[0].cause.find("largest parameter"), std::string::npos);
    std::vector<int64_t> numbers;
    for (const StepDone& step : story.steps) numbers.push_back(step.step);
    EXPECT_EQ(numbers, (std::vector<int64_t>{1, 2, 3, 1, 2, 3, 4, 5, 6}));
    EXPECT_EQ(story.steps[2].lr_unet, 1e-3);
    EXPECT_EQ(story.steps[3].lr_unet, 0.5e-3);
    EXPECT_EQ(story.ended, "done");
    // What came out is the run at half the rate: nothing of the failed attempt is left in it.
    TrainOptions half = constant("half");
    half.optimizer.learning_rate = 0.5e-3;
    const auto file = io::SafetensorsFile::open(result.output_file);
    const auto wanted = io::SafetensorsFile::open(train(half).output_file);
    for (const io::TensorInfo& info : wanted.tensors()) {
        EXPECT_EQ(to_floats(file.at(info.name)), to_floats(wanted.view(info))) << info.name;
    }
}

TEST_F(SurvivalTest, AGradientThatIsNotFiniteIsNamedAndUndone) {
    TestDevice device;
    device.change_gradients = [](int64_t run, backend::Buffer& gradients) {
        if (run == 2) gradients.write(0, std::as_bytes(std::span(&kNan, 1)));
    };
    Story story;
    TrainOptions o = constant("gradient");
    run(o, device, story);
    ASSERT_EQ(story.back.size(), 1U);
    EXPECT_EQ(story.back[0].failed_step, 3);
    EXPECT_NE(story.back[0].cause.find("the gradient of lora_te_text_model"), std::string::npos)
        << story.back[0].cause;
    const auto file = io::SafetensorsFile::open(join_path(o.save.output_dir, "dot.safetensors"));
    for (const io::TensorInfo& info : file.tensors()) {
        for (const float value : to_floats(file.view(info))) ASSERT_TRUE(std::isfinite(value));
    }
}

TEST_F(SurvivalTest, RepeatedFailureEndsWithTheLastGoodStateKept) {
    TestDevice device;
    device.change_loss = [](int64_t run, float loss) {
        return run >= 3 && run % 4 == 3 ? kNan : loss;  // always the fourth update
    };
    Story story;
    TrainOptions o = constant("hopeless");
    try {
        run(o, device, story);
        FAIL() << "went on";
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kNumeric);
        EXPECT_EQ(exit_code(error.code()), 7);
        EXPECT_NE(error.hint().find("--resume"), std::string::npos);
    }
    ASSERT_EQ(story.back.size(), 2U);
    EXPECT_EQ(story.back[1].rate_factor, 0.25);
    EXPECT_EQ(story.ended, "failed");
    EXPECT_EQ(names_in("hopeless"), std::set<std::string>{"dot-rolling-step00000000-state"});
    // And it can be gone on from.
    o.save.resume = "auto";
    device.change_loss = nullptr;
    EXPECT_EQ(run(o, device, story).steps, 6);
    EXPECT_EQ(story.steps.back().lr_unet, 0.25e-3);
}

// The second failure goes back to what is on disk, before the copy in memory.
TEST_F(SurvivalTest, GoesFurtherBackToAStateOnDisk) {
    TrainOptions o = cheap("disk");
    o.length = {.max_train_steps = 110};
    o.save.save_every_n_steps = 40;
    o.save.save_state = true;
    TestDevice device;
    device.change_loss = [](int64_t run, float loss) {
        // The first at step 103, after the copy of step 100; the second at the same place.
        return run == 102 || run == 105 ? kNan : loss;
    };
    Story story;
    run(o, device, story);
    ASSERT_EQ(story.back.size(), 2U);
    EXPECT_EQ(story.back[0].failed_step, 103);
    EXPECT_EQ(story.back[0].step, 100);
    EXPECT_EQ(story.back[1].failed_step, 103);
    EXPECT_EQ(story.back[1].step, 80);
    EXPECT_EQ(story.steps.back().step, 110);
}

// A latent file of kohya's with a NaN in it does not reach the training.
TEST_F(SurvivalTest, LatentsThatAreNotFiniteAreEncodedAnew) {
    TrainOptions o = cheap("latents");
    const std::string folder = join_path(root(), "npz/2_dot");
    make_directories(folder);
    const std::string picture = join_path(folder, "dot.png");
    write_tiny_picture(picture, 64, 7);
    write_file_atomically(join_path(folder, "dot.txt"), "dot");
    o.dataset.train_data_dir = join_path(root(), "npz");
    o.latents.cache_latents_to_disk = true;
    const std::string clean = read_text_file(train(o).output_file);
    Tensor bad(DType::kF32, Shape{4, 8, 8});
    bad.data<float>()[17] = kNan;
    const data::ImageSize size{64, 64};
    data::store_kohya_latents(data::kohya_npz_path(picture, size),
                              {.latents = bad,
                               .original_size = size,
                               .crop_ltrb = data::kohya_crop_ltrb(size, size),
                               .latents_flipped = std::nullopt});
    EXPECT_EQ(read_text_file(train(o).output_file), clean);
}

// Test of M57: the loader runs ahead over the border of two epochs.
TEST_F(SurvivalTest, NoPauseBetweenEpochs) {
    using Clock = std::chrono::steady_clock;
    TrainOptions o = cheap("gaps");
    o.length.max_train_epochs = 4;
    Clock::time_point last;
    double longest_s = 0;
    CallbackSink sink([&](const Event& event) {
        if (std::holds_alternative<StepDone>(event)) last = Clock::now();
        const auto* epoch = std::get_if<EpochStarted>(&event);
        if (epoch == nullptr || epoch->epoch == 1) return;
        const std::chrono::duration<double> gap = Clock::now() - last;
        longest_s = std::max(longest_s, gap.count());
    });
    train(o, sink);
    EXPECT_LT(longest_s, 1);
}

// The rule of docs/continue.md: a longer run follows the schedule of the new length from where it
// stands, whatever the schedule.
TEST_F(SurvivalTest, MoreEpochsFollowTheLongerSchedule) {
    for (const std::string_view schedule : lr_schedule_names()) {
        const std::string name(schedule);
        TrainOptions o = cheap("whole_" + name);
        o.optimizer.lr_scheduler = name;
        const bool is_flat = name == "constant" || name == "adafactor";
        o.optimizer.lr_warmup_steps = is_flat ? 0 : 0.25;
        o.optimizer.lr_scheduler_num_cycles = 2;
        if (name == "warmup_stable_decay") o.optimizer.lr_decay_steps = 0.5;
        if (name == "adafactor") o.optimizer.optimizer_type = "Adafactor";
        if (name == "piecewise_constant") {
            o.optimizer.lr_scheduler_args = {{"step_rules", "1:1,0.5:3,0.25"}};
        }
        const auto rates = [](const TrainOptions& options) {
            TestDevice device;
            Story story;
            run(options, device, story);
            std::vector<double> found;
            for (const StepDone& step : story.steps) found.push_back(step.lr_unet);
            return found;
        };
        o.length.max_train_epochs = 4;
        const std::vector<double> long_run = rates(o);
        ASSERT_EQ(long_run.size(), 8U);
        o.save.output_dir = join_path(root(), "longer_" + name);
        o.length.max_train_epochs = 2;
        o.save.save_state_on_train_end = true;
        EXPECT_EQ(rates(o).size(), 4U);
        o.length.max_train_epochs = 4;
        o.save.resume = join_path(o.save.output_dir, "dot-state");
        const std::vector<double> rest = rates(o);
        EXPECT_EQ(rest, std::vector<double>(long_run.begin() + 4, long_run.end())) << name;
    }
}

// Test of out-of-memory at run time: the third update finds no room for more than two pictures.
TEST_F(SurvivalTest, ADeviceThatRunsFullGetsPiecesOfTheSameBatch) {
    const auto whole = io::SafetensorsFile::open(train(constant("whole")).output_file);
    TestDevice device;
    device.before_step = [](int64_t run, int64_t batch) {
        if (run >= 2 && batch > 2) throw Error(ErrorCode::kOutOfMemory, "the card is full");
    };
    Story story;
    const RunResult result = run(constant("pieces"), device, story);
    EXPECT_EQ(result.steps, 6);
    const auto file = io::SafetensorsFile::open(result.output_file);
    for (const io::TensorInfo& info : whole.tensors()) {
        // Sums in another order, through six updates of AdamW.
        EXPECT_LT(relative_error(file.at(info.name), whole.view(info)), 1e-3) << info.name;
    }
}

TEST_F(SurvivalTest, ADeviceWithoutRoomForOnePictureSaysWhatWouldHelp) {
    TestDevice device;
    device.before_step = [](int64_t, int64_t) {
        throw Error(ErrorCode::kOutOfMemory, "the card is full");
    };
    Story story;
    try {
        run(constant("full"), device, story);
        FAIL();
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kOutOfMemory);
        EXPECT_FALSE(error.hint().empty());
    }
}

}  // namespace
}  // namespace lora::train

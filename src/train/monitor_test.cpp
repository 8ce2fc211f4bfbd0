// What a run measures of itself: relative losses, probe, validation, the turn, the advised save.
#include "train/monitor.h"

#include <gtest/gtest.h>

#include "base/file.h"
#include "train/state.h"
#include "train/tiny_run_test.h"

namespace lora::train {
namespace {

// Everything that a run told, by kind.
struct Told {
    std::vector<StepDone> steps;
    std::vector<BaseMeasured> base;
    std::vector<ProbeDone> probes;
    std::vector<ValidationDone> validations;
    std::vector<WeightSweep> sweeps;
    std::vector<RunEnded> ended;
    CallbackSink sink{[this](const Event& event) {
        if (const auto* e = std::get_if<StepDone>(&event)) steps.push_back(*e);
        if (const auto* e = std::get_if<BaseMeasured>(&event)) base.push_back(*e);
        if (const auto* e = std::get_if<ProbeDone>(&event)) probes.push_back(*e);
        if (const auto* e = std::get_if<ValidationDone>(&event)) validations.push_back(*e);
        if (const auto* e = std::get_if<WeightSweep>(&event)) sweeps.push_back(*e);
        if (const auto* e = std::get_if<RunEnded>(&event)) ended.push_back(*e);
    }};
};

class MonitorTest : public TinyRun {
protected:
    static TrainOptions probed(const std::string& output) {
        TrainOptions o = options(output);
        o.optimizer.lr_scheduler = "constant";
        o.length.max_train_epochs = 6;
        o.monitor.probe_every_n_steps = 3;
        return o;
    }
};

TEST_F(MonitorTest, MeasuringChangesNothing) {
    TrainOptions o = probed("plain");
    o.monitor.probe_every_n_steps = 0;
    Told without;
    const std::string plain = read_text_file(train(o, without.sink).output_file);
    EXPECT_TRUE(without.base.empty() && without.probes.empty());
    EXPECT_FALSE(without.steps.front().relative_loss.has_value());
    Told told;
    EXPECT_EQ(read_text_file(train(probed("probed"), told.sink).output_file), plain);
    ASSERT_EQ(told.base.size(), 1U);
    EXPECT_GE(told.base[0].points.size(), 8U);
    std::vector<int64_t> steps;
    for (const ProbeDone& probe : told.probes) steps.push_back(probe.step);
    EXPECT_EQ(steps, (std::vector<int64_t>{3, 6, 9, 12}));
    // Noise and timesteps are always the same, so a training of 12 steps shows.
    EXPECT_LT(told.probes.back().relative, told.probes.front().relative);
    EXPECT_LT(told.probes.front().relative, 1);
    for (const StepDone& step : told.steps) {
        ASSERT_TRUE(step.relative_loss.has_value());
        EXPECT_GT(*step.relative_loss, 0.3);
        EXPECT_LT(*step.relative_loss, 3);
    }
    // Test of M123: the weight at which the finished LoRA is best, and its verdict.
    ASSERT_EQ(told.sweeps.size(), 1U);
    EXPECT_EQ(told.sweeps[0].weights.size(), 6U);
    EXPECT_NEAR(told.sweeps[0].relative[3], told.probes.back().relative, 1e-6);  // at weight 1
    ASSERT_TRUE(told.ended[0].best_weight.has_value());
    EXPECT_TRUE(told.ended[0].probe_trend.has_value());
}

TEST_F(MonitorTest, ADeviceThatRunsFullOnceIsMeasuredOn) {
    TestDevice device;
    Told told;
    bool is_under_way = false;
    CallbackSink sink{[&](const Event& event) {
        is_under_way = is_under_way || std::holds_alternative<StepDone>(event);
        told.sink.on_event(event);
    }};
    bool was_full = false;
    device.before_step = [&](int64_t, int64_t) {
        if (!is_under_way || was_full) return;
        was_full = true;
        throw Error(ErrorCode::kOutOfMemory, "the card is full");
    };
    EXPECT_EQ(TrainingRun::open(probed("full"), device)->train({}, sink).steps, 12);
    EXPECT_TRUE(was_full);
    EXPECT_EQ(told.probes.size(), 4U);
    EXPECT_EQ(told.sweeps.size(), 1U);
}

// Magnitudes start as the lengths of the weight's rows: they are no part of what is weighed, so
// that a network that has learned nothing has no effect at any weight.
TEST_F(MonitorTest, TheWeightsOfARunWithMagnitudes) {
    TrainOptions o = probed("dora");
    o.network.network_args = {{"dora_wd", "True"}};
    o.optimizer.learning_rate = 1e-12;
    Told told;
    train(o, told.sink);
    ASSERT_EQ(told.sweeps.size(), 1U);
    for (const double relative : told.sweeps[0].relative) EXPECT_NEAR(relative, 1, 1e-4);
}

TEST_F(MonitorTest, TheBaseModelIsAskedWithWeighedCaptions) {
    const auto base_of = [](const std::string& name, const std::string& caption) {
        const std::string folder = join_path(root(), name + "/2_dot");
        make_directories(folder);
        write_tiny_picture(join_path(folder, "dot.png"), 64, 7);
        write_file_atomically(join_path(folder, "dot.txt"), caption);
        TrainOptions o = probed(name);
        o.dataset.train_data_dir = join_path(root(), name);
        o.model.weighted_captions = true;
        Told told;
        train(o, told.sink);
        double sum = 0;
        for (const ExpectedLoss::Point& point : told.base.at(0).points) sum += point.loss;
        return sum;
    };
    EXPECT_NE(base_of("even", "dot"), base_of("weighed", "(dot:3)"));
}

// Questions are asked of pictures and captions as they are, also where a described folder mirrors,
// shuffles or drops.
TEST_F(MonitorTest, TheQuestionsAreTheSameWhateverAFolderSays) {
    const std::string folder = join_path(root(), "described");
    make_directories(folder);
    write_tiny_picture(join_path(folder, "dot.png"), 64, 7);
    write_file_atomically(join_path(folder, "dot.txt"), "dot, red, round, small, left, new");
    const auto asked = [&](const std::string& name, const data::SubsetOptions& own) {
        TrainOptions o = probed(name);
        o.length.max_train_epochs = 1;
        o.dataset.train_data_dir.clear();
        o.dataset.dataset_config = "a description";
        o.dataset.plans = {{.batch_size = o.latents.train_batch_size,
                            .bucket = o.bucket,
                            .subsets = {{.image_dir = folder,
                                         .num_repeats = 4,
                                         .caption_extension = ".txt",
                                         .options = own}}}};
        Told told;
        train(o, told.sink);
        std::vector<double> losses;
        for (const ExpectedLoss::Point& point : told.base.at(0).points) {
            losses.push_back(point.loss);
        }
        return losses;
    };
    const data::SubsetOptions plain;
    data::SubsetOptions own;
    own.augment.flip_aug = true;
    own.caption.shuffle_caption = true;
    own.caption.caption_tag_dropout_rate = 0.9;
    EXPECT_EQ(asked("own", own), asked("plain", plain));
}

TEST_F(MonitorTest, AResumedRunKnowsTheBaseModel) {
    Told whole;
    train(probed("once"), whole.sink);
    TrainOptions o = probed("twice");
    ASSERT_EQ(stop_after(o, 5), ErrorCode::kCancelled);
    o.save.resume = "auto";
    Told rest;
    train(o, rest.sink);
    EXPECT_TRUE(rest.base.empty());  // it stands in the state
    ASSERT_EQ(rest.probes.size(), 3U);
    EXPECT_EQ(rest.probes.back().relative, whole.probes.back().relative);
    EXPECT_EQ(rest.steps.back().relative_loss, whole.steps.back().relative_loss);
}

// Test of M132: a validation series with fixed noise.
TEST_F(MonitorTest, PicturesAreSetAsideAndMeasured) {
    TrainOptions o = probed("validated");
    o.monitor.probe_every_n_steps = 0;
    o.monitor.validation_split = 0.34;  // one of three
    o.monitor.validate_every_n_steps = 2;
    o.length.max_train_epochs = 3;
    o.save.save_state_on_train_end = true;
    Told told;
    train(o, told.sink);
    std::vector<std::pair<int64_t, bool>> when;
    for (const ValidationDone& v : told.validations) when.emplace_back(v.step, v.ends_epoch);
    // Two pictures twice an epoch: one batch, so one update.
    EXPECT_EQ(told.steps.size(), 3U);
    EXPECT_EQ(when,
              (std::vector<std::pair<int64_t, bool>>{{1, true}, {2, false}, {2, true}, {3, true}}));
    EXPECT_EQ(told.validations[1].loss, told.validations[2].loss);
    EXPECT_NE(told.validations[0].loss, told.validations[1].loss);
    const StateSummary state = read_state_summary(join_path(o.save.output_dir, "dot-state"));
    EXPECT_EQ(state.monitor.validations.size(), 3U);
    // Another seed sets other pictures aside, or draws other noise.
    o.save.output_dir = join_path(root(), "other");
    o.monitor.validation_seed = 99;
    Told other;
    train(o, other.sink);
    EXPECT_NE(other.validations[0].loss, told.validations[0].loss);
}

// One data set of a description sets pictures aside, the other none.
TEST_F(MonitorTest, OneDataSetIsValidated) {
    TrainOptions o = probed("one data set");
    o.monitor.probe_every_n_steps = 0;
    o.length.max_train_epochs = 1;
    o.dataset.train_data_dir.clear();
    o.dataset.dataset_config = "a description";
    for (const char* name : {"cats", "dogs"}) {
        const std::string folder = join_path(root(), name);
        make_directories(folder);
        for (const char* picture : {"a.png", "b.png"}) {
            write_tiny_picture(join_path(folder, picture), 64, 7);
        }
        o.dataset.plans.push_back({.batch_size = 1,
                                   .bucket = o.bucket,
                                   .subsets = {{.image_dir = folder, .class_tokens = "x"}}});
    }
    o.dataset.plans[1].validation_split = 0.5;
    Told told;
    train(o, told.sink);
    EXPECT_EQ(told.steps.size(), 3U);
    EXPECT_EQ(told.validations.size(), 1U);
}

TEST_F(MonitorTest, ValidationTimestepsAreTheInnerOnesOfSix) {
    EXPECT_EQ(validation_timesteps(0, 1000), (std::vector<int64_t>{200, 400, 600, 800}));
    EXPECT_EQ(validation_timesteps(100, 600), (std::vector<int64_t>{200, 300, 400, 500}));
}

// Under 2 %, whatever a step and a probe take.
TEST_F(MonitorTest, TheIntervalKeepsTheProbeCheap) {
    for (const double step_ms : {0.5, 12.0, 4000.0}) {
        for (const double probe_ms : {0.1, 30.0, 16000.0}) {
            const auto interval = static_cast<double>(probe_interval(probe_ms, step_ms));
            EXPECT_LT(probe_ms / (interval * step_ms), 0.02);
            // And not rarer than that asks for.
            if (interval > 1) {
                EXPECT_GT(probe_ms / ((interval - 1) * step_ms), 0.0149);
            }
        }
    }
}

// Test of M133: the advised save lies after the turn, not at it.
TEST_F(MonitorTest, TheAdvisedSaveLiesAfterTheTurn) {
    std::vector<AdvisedSave> advised;
    std::vector<TurnedUp> turned;
    CallbackSink sink([&](const Event& event) {
        if (const auto* e = std::get_if<AdvisedSave>(&event)) advised.push_back(*e);
        if (const auto* e = std::get_if<TurnedUp>(&event)) turned.push_back(*e);
    });
    // A model whose validation loss is told by the test.
    const MonitorOptions options{.probe_every_n_steps = 0};
    Monitor monitor({.options = &options, .events = &sink});
    MonitorState state;
    monitor.at_start(state);
    const auto epoch = [&](int64_t number, double loss) {
        monitor.judge(state, {number * 10, number, loss});
        monitor.on_event(FileSaved{"cat-" + std::to_string(number), number * 10, number});
    };
    epoch(1, 0.5);
    epoch(2, 0.4);  // the turn, and a file at it
    epoch(3, 0.41);
    EXPECT_TRUE(turned.empty());
    epoch(4, 0.42);
    ASSERT_EQ(turned.size(), 1U);
    EXPECT_EQ(turned[0].turn_step, 20);
    ASSERT_EQ(advised.size(), 1U);
    EXPECT_EQ(advised[0].path, "cat-3");
    EXPECT_GT(advised[0].step, turned[0].turn_step);
    epoch(5, 0.43);
    EXPECT_EQ(advised.size(), 1U);
}

// What a run found after the step to which it goes back is found anew.
TEST_F(MonitorTest, GoingBackForgetsTurnAndFiles) {
    std::vector<AdvisedSave> advised;
    CallbackSink sink([&](const Event& event) {
        if (const auto* e = std::get_if<AdvisedSave>(&event)) advised.push_back(*e);
    });
    const MonitorOptions options{.probe_every_n_steps = 0};
    Monitor monitor({.options = &options, .events = &sink});
    MonitorState state;
    const auto epoch = [&](int64_t number, double loss, const std::string& attempt) {
        monitor.judge(state, {number * 10, number, loss});
        monitor.on_event(FileSaved{attempt + std::to_string(number), number * 10, number});
    };
    epoch(1, 0.5, "first-");
    const MonitorState good = state;
    epoch(2, 0.4, "first-");
    epoch(3, 0.41, "first-");
    epoch(4, 0.42, "first-");
    ASSERT_EQ(advised.size(), 1U);
    state = good;
    monitor.go_back(state, 10);
    // No turn is known: nothing that is saved now is advised.
    monitor.on_event(FileSaved{"second-between", 21, 3});
    EXPECT_EQ(advised.size(), 1U);
    EXPECT_EQ(monitor.at_end(state, {21, 3, 0}).advised_file, "");
    epoch(3, 0.39, "second-");
    epoch(4, 0.4, "second-");
    epoch(5, 0.41, "second-");
    // And files of the first attempt are not advised at the turn of the second.
    ASSERT_EQ(advised.size(), 2U);
    EXPECT_EQ(advised[1].path, "second-4");
}

}  // namespace
}  // namespace lora::train

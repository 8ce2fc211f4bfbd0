// The pages of runs, and what they are made from.
#include "train/run_page.h"

#include <cmath>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "base/html.h"
#include "train/internal/html_chart.h"

namespace lora::train {
namespace {

size_t count_of(std::string_view text, std::string_view word) {
    size_t count = 0;
    for (size_t at = text.find(word); at != std::string_view::npos; at = text.find(word, at + 1)) {
        ++count;
    }
    return count;
}

RunStarted started(const std::string& run, const std::string& output_name) {
    RunStarted event;
    event.run = run;
    event.output_name = output_name;
    return event;
}

RunEnded done(int64_t step) {
    RunEnded event;
    event.status = "done";
    event.step = step;
    return event;
}

ProbeDone probe(int64_t step, double relative) {
    ProbeDone event;
    event.step = step;
    event.relative = relative;
    return event;
}

class RunPageTest : public testing::Test {
protected:
    void SetUp() override {
        root_ = testing::TempDir() + "run_page_test";
        remove_directory(root_);
        make_directories(root_);
    }
    void TearDown() override { remove_directory(root_); }

    // Four prompts drawn after each of three epochs of ten steps.
    static RunHistory history(bool ended) {
        RunHistory h;
        const auto add = [&h](const Event& event, double time) {
            h.add(parse_json(event_json(event, time), "event"));
        };
        add(started("20260101000000", "cat & <dog>"), 1000);
        add(PlanReady{.images = 5, .buckets = {}, .steps = 30, .epochs = 3}, 1001);
        for (int64_t step = 1; step <= 30; ++step) {
            const int64_t epoch = (step + 9) / 10;
            add(StepDone{.step = step,
                         .steps = 30,
                         .epoch = epoch,
                         .loss = 0.2 - 0.001 * static_cast<double>(step),
                         .relative_loss = 1 - 0.01 * static_cast<double>(step),
                         .average_loss = 0.15,
                         .lr_unet = 1e-4,
                         .lr_text_encoder = 1e-5,
                         .step_ms = 250},
                1001 + static_cast<double>(step));
            if (step % 10 != 0) continue;
            add(FileSaved{"out/cat-" + std::to_string(epoch) + ".safetensors", step, epoch}, 1100);
            add(probe(step, 1 - 0.05 * static_cast<double>(epoch)), 1100);
            for (int64_t prompt = 0; prompt < 4; ++prompt) {
                add(PreviewDone{"out/sample/cat_" + std::to_string(step) + "_" +
                                    std::to_string(prompt) + ".png",
                                step,
                                epoch,
                                prompt,
                                "prompt " + std::to_string(prompt)},
                    1100);
            }
        }
        add(TurnedUp{.turn_step = 10, .turn_epoch = 1, .turn_loss = 0.1}, 1100);
        add(AdvisedSave{"out/cat-2.safetensors", 20, 2}, 1100);
        if (ended) add(done(30), 1101);
        return h;
    }

    std::string root_;
};

// Test of M100: the prompts of the ladder down, the epochs across.
TEST_F(RunPageTest, TheLadderIsPromptsTimesEpochs) {
    const std::string page = run_page(history(true), "logs/20260101000000", 1200);
    EXPECT_EQ(count_of(page, "<img "), 12U);
    const std::string ladder = page.substr(page.find("class=\"ladder\"><tr>"));
    EXPECT_EQ(count_of(ladder.substr(0, ladder.find("</table>")), "<tr>"), 5U);
    EXPECT_NE(page.find("src=\"../../out/sample/cat_10_3.png\""), std::string::npos);
    EXPECT_LT(page.find("cat_10_0.png"), page.find("cat_20_0.png"));
    // Test of M136 and M137: a save stands over its pictures, with what the eye should look for.
    EXPECT_LT(page.find("cat-2.safetensors (advised)"), page.find("cat_10_0.png"));
    EXPECT_NE(page.find("choose by eye"), std::string::npos);
    EXPECT_NE(page.find("Hands decay first"), std::string::npos);
}

TEST_F(RunPageTest, ItRenewsItselfUntilTheEnd) {
    const std::string running = run_page(history(false), "logs", 1101);
    EXPECT_NE(running.find("http-equiv=\"refresh\""), std::string::npos);
    EXPECT_NE(running.find("<b>running</b>, step 30 of 30"), std::string::npos);
    EXPECT_NE(running.find("250.0 ms a step"), std::string::npos);
    const std::string ended = run_page(history(true), "logs", 1101);
    EXPECT_EQ(ended.find("http-equiv"), std::string::npos);
    EXPECT_NE(ended.find("cat &amp; &lt;dog&gt;"), std::string::npos);
    EXPECT_EQ(ended.find("<dog>"), std::string::npos);
    EXPECT_NE(ended.find("0.850</b> of the base model's, still falling"), std::string::npos);
    EXPECT_EQ(count_of(ended, "<svg "), 3U);  // loss, relative loss, rates
}

TEST_F(RunPageTest, AnUnfinishedRunThatIsSilentWasKilled) {
    EXPECT_EQ(history(false).state_at(1110), "running");
    EXPECT_EQ(history(false).state_at(1100 + 301), "silent");
    EXPECT_EQ(history(true).state_at(9e9), "done");
}

TEST_F(RunPageTest, GoneBackStepsAreNotInTheCurve) {
    RunHistory h = history(false);
    h.add(parse_json(event_json(WentBack{.failed_step = 31, .step = 12, .cause = "nan"}, 1102),
                     "event"));
    EXPECT_EQ(h.steps.size(), 12U);
    EXPECT_EQ(h.probes.size(), 1U);
    ASSERT_EQ(h.troubles.size(), 1U);
    EXPECT_NE(run_page(h, "logs", 1103).find("went back to step 12"), std::string::npos);
}

// A line that is being written is left out; a broken one in the middle is told.
TEST_F(RunPageTest, ReadsWhatIsWhole) {
    const std::string path = join_path(root_, "events.jsonl");
    const std::string first = event_json(started("r", "cat"), 1) + "\n";
    write_file_atomically(path, first + "{\"event\": \"step_do");
    EXPECT_EQ(read_history(path).output_name, "cat");
    write_file_atomically(path, first + "{\"event\": \n" + first);
    EXPECT_THROW((void)read_history(path), Error);
}

// Test of M20: old and running jobs on one page.
TEST_F(RunPageTest, TheOverviewShowsOldAndRunningRuns) {
    for (const char* run : {"20260101000000", "20260102000000"}) {
        const bool is_old = std::string(run) == "20260101000000";
        const std::string folder = join_path(root_, run);
        make_directories(folder);
        std::string text =
            event_json(started(run, is_old ? "old" : "new"), is_old ? 100 : 200) + "\n" +
            event_json(StepDone{.step = 3, .steps = 9, .loss = 0.1, .average_loss = 0.1}, 4e9) +
            "\n";
        if (is_old) text += event_json(done(3), 4e9) + "\n";
        write_file_atomically(join_path(folder, "events.jsonl"), text);
    }
    make_directories(join_path(root_, "not a run"));
    make_directories(join_path(root_, "broken"));
    write_file_atomically(join_path(root_, "broken/events.jsonl"), "{]\n");
    const std::vector<RunHistory> found = find_histories(root_);
    ASSERT_EQ(found.size(), 2U);
    EXPECT_EQ(found[0].output_name, "new");  // the newest first
    write_overview(root_);
    const std::string page = read_text_file(join_path(root_, "index.html"));
    EXPECT_NE(page.find("href=\"20260101000000/index.html\""), std::string::npos);
    EXPECT_NE(page.find("<td>done</td>"), std::string::npos);
    EXPECT_NE(page.find("<td>running</td>"), std::string::npos);
    EXPECT_EQ(find_histories(join_path(root_, "20260101000000")).size(), 1U);
    EXPECT_THROW((void)find_histories(join_path(root_, "not a run")), Error);
}

TEST_F(RunPageTest, TheSinkWritesAWholePage) {
    const std::string folder = join_path(root_, "run");
    make_directories(folder);
    RunPageSink sink(folder, root_);
    sink.on_event(started("run", "cat"));
    EXPECT_TRUE(path_exists(join_path(folder, "index.html")));
    EXPECT_FALSE(path_exists(join_path(root_, "index.html")));  // no events.jsonl to tell of
    write_file_atomically(join_path(folder, "events.jsonl"),
                          event_json(started("run", "cat"), 1) + "\n");
    sink.on_event(StepDone{.step = 1, .steps = 1, .loss = 0.5});
    sink.on_event(done(1));
    const std::string page = read_text_file(join_path(folder, "index.html"));
    EXPECT_NE(page.find("<b>done</b>"), std::string::npos);
    EXPECT_TRUE(page.ends_with("</html>\n"));
    EXPECT_TRUE(path_exists(join_path(root_, "index.html")));
}

TEST_F(RunPageTest, SmoothingAndEscapes) {
    const std::vector<double> flat = smoothed({2, 2, 2}, 0.1);
    EXPECT_NEAR(flat[0], 2, 1e-12);
    EXPECT_NEAR(flat[2], 2, 1e-12);
    EXPECT_EQ(smoothed({1, std::nan(""), 1}, 0.5).size(), 3U);
    EXPECT_EQ(url_text("a b/\xe7\x8c\xab.png"), "a%20b/%E7%8C%AB.png");
    EXPECT_EQ(html_text("\"<&>'"), "&quot;&lt;&amp;&gt;&#39;");
    EXPECT_NE(html_chart({}, std::nullopt).find("nothing yet"), std::string::npos);
}

}  // namespace
}  // namespace lora::train

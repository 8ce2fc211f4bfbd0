#include "train/state.h"

#include <functional>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "train/save_names.h"
#include "train/state_folders.h"

namespace lora::train {
namespace {

const char* const kSteps[] = {"folder", "network", "optimizer", "summary", "marker", "rename"};

class StateTest : public testing::Test {
protected:
    void SetUp() override {
        options_.output_dir = testing::TempDir() + "state_test";
        options_.output_name = "cat";
        remove_directory(options_.output_dir);
        make_directories(options_.output_dir);
    }
    void TearDown() override { remove_directory(options_.output_dir); }

    [[nodiscard]] std::string path(const std::string& name) const {
        return join_path(options_.output_dir, name);
    }

    // A state whose every number depends on `step`.
    [[nodiscard]] TrainState state_at(int64_t step) const {
        TrainState state;
        state.summary.step = step;
        state.summary.epoch = 2;
        state.summary.batch_idx = 5;
        state.summary.identity = {.seed = UINT64_MAX, .session_id = 9, .started_at = 1.5};
        state.summary.losses = {0.1, 0.2, 1.0 / 3.0};
        state.summary.fixed = {{"network_dim", "2"}};
        state.summary.free = {{"learning_rate", "0.1"}};
        state.summary.plan = "abc";
        state.values = initial_values(network_, static_cast<uint64_t>(step));
        for (const StateSlot& slot : slots()) {
            const std::vector<float> numbers =
                initial_values(network_, static_cast<uint64_t>(step) + 100 + state.states.size());
            StateContent content{slot, std::vector<std::byte>(slot.num_bytes())};
            const auto bytes = std::as_bytes(std::span(numbers));
            std::copy_n(
                bytes.begin(), std::min(bytes.size(), content.bytes.size()), content.bytes.begin());
            state.states.push_back(std::move(content));
        }
        return state;
    }

    // Parameters' own states and global ones.
    [[nodiscard]] std::vector<StateSlot> slots() const {
        return state_slots(network_, optimizer_spec("Prodigy", {}));
    }

    Network network_{{{"lora_unet_a", Shape{3, 5}, NetworkPart::kUNet, 2, 1.0},
                      {"lora_unet_b", Shape{3, 5, 1, 1}, NetworkPart::kUNet, 2, 1.0}}};
    SaveOptions options_;
};

TEST_F(StateTest, RoundTripIsExact) {
    const TrainState state = state_at(7);
    save_state(path("cat-state"), network_, state);
    const TrainState read = load_state(path("cat-state"), network_, slots());
    EXPECT_EQ(read.values, state.values);
    ASSERT_EQ(read.states.size(), 5U);
    for (size_t i = 0; i < read.states.size(); ++i) {
        EXPECT_EQ(read.states[i].slot.name, slots()[i].name);
        EXPECT_EQ(read.states[i].bytes, state.states[i].bytes) << slots()[i].name;
    }
    EXPECT_EQ(read.summary.step, 7);
    EXPECT_EQ(read.summary.epoch, 2);
    EXPECT_EQ(read.summary.batch_idx, 5);
    EXPECT_EQ(read.summary.identity.seed, UINT64_MAX);
    EXPECT_EQ(read.summary.identity.session_id, 9U);
    EXPECT_EQ(read.summary.identity.started_at, 1.5);
    EXPECT_EQ(read.summary.losses, state.summary.losses);
    EXPECT_EQ(read.summary.fixed, state.summary.fixed);
    EXPECT_EQ(read.summary.free, state.summary.free);
    EXPECT_EQ(read.summary.plan, "abc");
}

// Writing fails at every point: the older state stays whole, no half-written one counts.
TEST_F(StateTest, FailureWhileWritingKeepsTheOldState) {
    save_state(path("cat-state"), network_, state_at(1));
    for (const std::string failing : kSteps) {
        EXPECT_THROW(save_state(path("cat-state"),
                                network_,
                                state_at(2),
                                [&](std::string_view step) {
                                    if (step == failing) throw Error(ErrorCode::kIo, "disk full");
                                }),
                     Error);
        EXPECT_TRUE(is_whole_state(path("cat-state"))) << failing;
        EXPECT_EQ(load_state(path("cat-state"), network_, slots()).summary.step, 1) << failing;
        EXPECT_EQ(find_newest_state(options_), path("cat-state")) << failing;
        remove_leftovers(options_);
        EXPECT_EQ(list_directory(options_.output_dir).size(), 1U) << failing;
    }
    save_state(path("cat-state"), network_, state_at(2));
    EXPECT_EQ(load_state(path("cat-state"), network_, slots()).summary.step, 2);
}

TEST_F(StateTest, DamagedStatesAreRefused) {
    save_state(path("cat-state"), network_, state_at(1));
    const std::string network = path("cat-state/network.safetensors");
    const std::string bytes = read_text_file(network);
    write_file_atomically(network, std::string_view(bytes).substr(0, bytes.size() - 1));
    EXPECT_FALSE(is_whole_state(path("cat-state")));
    EXPECT_THROW((void)load_state(path("cat-state"), network_, slots()), Error);
    EXPECT_EQ(find_newest_state(options_), std::nullopt);
    write_file_atomically(network, bytes);
    EXPECT_TRUE(is_whole_state(path("cat-state")));
    remove_file_if_exists(path("cat-state/complete.json"));
    EXPECT_FALSE(is_whole_state(path("cat-state")));
    EXPECT_THROW((void)read_state_summary(path("absent-state")), Error);
}

TEST_F(StateTest, NewestIsTheOneWithMostSteps) {
    EXPECT_EQ(find_newest_state(options_), std::nullopt);
    save_state(path("cat-000001-state"), network_, state_at(10));
    save_state(path(rolling_state_name(options_, 12)), network_, state_at(12));
    save_state(path("cat-step00000011-state"), network_, state_at(11));
    save_state(path("cat-2-state"), network_, state_at(99));  // of a run called cat-2
    EXPECT_EQ(find_newest_state(options_), path("cat-rolling-step00000012-state"));
    remove_rolling_states(options_, "");
    EXPECT_EQ(find_newest_state(options_), path("cat-step00000011-state"));
}

TEST_F(StateTest, KindsOfNames) {
    EXPECT_EQ(state_kind(options_, "cat-state"), StateKind::kKept);
    EXPECT_EQ(state_kind(options_, "cat-000002-state"), StateKind::kKept);
    EXPECT_EQ(state_kind(options_, "cat-step00000002-state"), StateKind::kKept);
    EXPECT_EQ(state_kind(options_, "cat-rolling-step00000002-state"), StateKind::kRolling);
    EXPECT_EQ(state_kind(options_, "cat-state.partial"), StateKind::kLeftover);
    EXPECT_EQ(state_kind(options_, "cat-000002.safetensors.tmp-12-1"), StateKind::kLeftover);
    EXPECT_EQ(state_kind(options_, "cat.safetensors"), StateKind::kNone);
    EXPECT_EQ(state_kind(options_, "cat-ears-state"), StateKind::kNone);
    EXPECT_EQ(state_kind(options_, "dog-state"), StateKind::kNone);
}

TEST_F(StateTest, OtherSettingsAreRefusedByName) {
    const StateSummary saved = state_at(1).summary;
    EXPECT_TRUE(compare_settings(saved, saved.fixed, saved.free).empty());
    const Diagnostics warnings = compare_settings(saved, saved.fixed, {{"learning_rate", "0.2"}});
    ASSERT_EQ(warnings.size(), 1U);
    EXPECT_EQ(warnings[0].text, "learning_rate: 0.1 in the state, 0.2 now");
    try {
        compare_settings(saved, {{"network_dim", "4"}}, saved.free);
        FAIL() << "accepted another network_dim";
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kConfig);
        EXPECT_NE(error.message().find("network_dim: 2 in the state, 4 now"), std::string::npos);
    }
}

// Settings that only the state, or only this run, has.
TEST_F(StateTest, SettingsThatComeOrGoAreRefusedByName) {
    const StateSummary saved = state_at(1).summary;
    const auto message = [&](const Settings& now) -> std::string {
        try {
            compare_settings(saved, now, saved.free);
        } catch (const Error& error) {
            return error.message();
        }
        return "accepted";
    };
    EXPECT_NE(message({}).find("network_dim: 2 in the state, (none) now"), std::string::npos);
    EXPECT_NE(message({{"network_dim", "2"}, {"noise", "0.1"}}).find("noise: (none) in the state"),
              std::string::npos);
}

// A state of another program version: taken over, or refused with the reason, never guessed at.
TEST_F(StateTest, OtherFormatsAreConvertedOrRefused) {
    TrainState state = state_at(3);
    state.summary.rate_factor = 0.25;
    save_state(path("cat-state"), network_, state);
    EXPECT_EQ(read_state_summary(path("cat-state")).rate_factor, 0.25);
    EXPECT_EQ(read_state_summary(path("cat-state")).meaning, kStepMeaning);
    const std::string file = path("cat-state/train_state.json");
    const Json written = parse_json(read_text_file(file), "state");
    const auto rewrite = [&](const std::function<void(Json&)>& change) {
        Json json = written;
        change(json);
        const std::string text = json.dump(1);
        write_file_atomically(file, text);
        Json sizes = parse_json(read_text_file(path("cat-state/complete.json")), "sizes");
        sizes["train_state.json"] = text.size();
        write_file_atomically(path("cat-state/complete.json"), sizes.dump());
    };
    const auto refusal = [&]() -> std::string {
        try {
            (void)read_state_summary(path("cat-state"));
        } catch (const Error& error) {
            EXPECT_EQ(error.code(), ErrorCode::kFormat);
            EXPECT_NE(error.hint().find("--network_weights"), std::string::npos);
            return error.message();
        }
        return "read";
    };
    rewrite([](Json& json) {
        json["version"] = 1;
        json.erase("step_meaning");
        json.erase("rate_factor");
    });
    const StateSummary old = load_state(path("cat-state"), network_, slots()).summary;
    EXPECT_EQ(old.meaning, 0);
    EXPECT_EQ(old.rate_factor, 1);
    EXPECT_EQ(old.step, 3);
    rewrite([](Json& json) { json["version"] = 99; });
    EXPECT_NE(refusal().find("format 99"), std::string::npos);
    rewrite([](Json& json) { json["step_meaning"] = kStepMeaning + 1; });
    EXPECT_NE(refusal().find("other numbers"), std::string::npos);
    EXPECT_THROW((void)find_newest_state(options_), Error);  // not passed over in silence
}

}  // namespace
}  // namespace lora::train

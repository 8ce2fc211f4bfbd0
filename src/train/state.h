// The train state: everything that a stopped run needs to go on as if it had never stopped. A
// folder that is whole or absent: written under another name, flushed, renamed, with a marker
// written last. Layout   docs/formats/train_state.md. Not a LoRA for use, though
// network.safetensors inside is one. Errors   kIo; kFormat for a damaged folder; kConfig when it
// belongs to other settings. Threads  one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/diagnostic.h"
#include "train/loss_scaler.h"
#include "train/metadata.h"
#include "train/monitor_state.h"
#include "train/network.h"
#include "train/update_graph.h"

namespace lora::train {

// Raised whenever a step with the same settings computes something else than before (another draw
// of random numbers, another order of batches): states from before are then refused, since the rest
// of the run would belong to neither.
inline constexpr int64_t kStepMeaning = 1;

// Settings by kohya's option name, as text.
using Settings = std::map<std::string, std::string>;

// Where the run stands, without the big arrays.
struct StateSummary {
    int64_t step = 0;       // updates done
    int64_t epoch = 1;      // of the next batch, 1-based
    int64_t batch_idx = 0;  // next batch within that epoch
    RunIdentity identity;
    std::vector<double> losses;  // LossAverage
    std::optional<LossScale> loss_scale;
    double rate_factor = 1;  // Progress
    MonitorState monitor;
    Settings fixed;    // must be the same to go on
    Settings free;     // may differ; the rest of the run then differs too
    std::string plan;  // identity of plans and kernels: device, build, arranged graphs
    // kStepMeaning of the program that wrote it; 0: a state of format 1, which did not say.
    int64_t meaning = 0;
};

struct TrainState {
    StateSummary summary;
    std::vector<float> values;         // flat buffer of the network
    std::vector<StateContent> states;  // of the optimizer
};

// What the folder is called while it is written: its final name and this.
inline constexpr std::string_view kPartialSuffix = ".partial";

// Called before each step of writing with its name; tests throw from it.
using SaveHook = std::function<void(std::string_view)>;

// Writes the folder `path`, replacing an older one.
void save_state(const std::string& path,
                const Network& network,
                const TrainState& state,
                const SaveHook& hook = {});
// Removes a state folder, marker first, so that a half removed one never counts.
void remove_state(const std::string& path);

// True when the folder is there with its marker and files of the sizes named in it.
[[nodiscard]] bool is_whole_state(const std::string& path);
[[nodiscard]] StateSummary read_state_summary(const std::string& path);
// `slots`: the states that the run's optimizer keeps.
[[nodiscard]] TrainState load_state(const std::string& path,
                                    const Network& network,
                                    const std::vector<StateSlot>& slots);

// kConfig listing every fixed setting that differs. Returns a warning for every free one.
Diagnostics compare_settings(const StateSummary& saved,
                             const Settings& fixed,
                             const Settings& free);

}  // namespace lora::train

// One training run from options to files: opens the model, scans the pictures, encodes them, plans
// and compiles every bucket, then trains. The road that the command line, the demo and the tests
// share. Not the loop itself (trainer.h).
// Errors   kConfig, kData, kFormat, kIo, kOutOfMemory, kNumeric, kCancelled as in base/error.h.
// Threads  one thread at a time; the loader's thread is inside.
#pragma once

#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "base/diagnostic.h"
#include "train/events.h"
#include "train/monitor.h"
#include "train/tag_check.h"
#include "train/train_options.h"

namespace lora::train {

// Everything wrong with the options that can be told without opening a file; warnings too.
[[nodiscard]] Diagnostics check_options(const TrainOptions& options);
// What does not go with a model that predicts v, or noise; part of the above when the options say
// which it is, else told when the model is opened.
[[nodiscard]] Diagnostics check_prediction_options(const LossOptions& loss, bool v_prediction);

// One folder as it will be trained.
struct FolderPreview {
    std::string name;
    std::string trigger;
    std::string class_name;
    bool trigger_in_front = false;  // put into captions of files
    bool is_reg = false;
    int64_t repeats = 1;
    int64_t images = 0;
    double share = 0;                   // of the draws of an epoch
    std::vector<std::string> captions;  // of the first pictures, as the first epoch has them
};

// What a run will do; `lora train --dry_run` prints it.
struct RunPlan {
    int64_t num_images = 0;  // train and regularisation pictures that are used
    std::vector<data::BucketUse> buckets;
    int64_t steps = 0;
    int64_t epochs = 0;
    int64_t steps_per_epoch = 0;
    size_t planned_peak_bytes = 0;       // exact but for what a card's driver rounds up
    bool peak_includes_weights = false;  // on a device with memory of its own
    // Of the device's own memory, when it has some; what others had taken is not in the peak.
    std::optional<backend::DeviceMemory> device_memory;
    size_t weight_bytes = 0;  // frozen weights of UNet and text encoder
    double slowdown = 1;      // estimated: a step under max_memory, over one without
    double estimated_s = 0;
    int64_t num_parameters = 0;  // trainable
    size_t file_bytes = 0;       // of the finished file's tensors; its header is a few KiB
    std::vector<FolderPreview> folders;
    Diagnostics warnings;  // and notes
};

struct RunResult {
    int64_t steps = 0;
    double average_loss = 0;
    std::string output_file;
    size_t planned_peak_bytes = 0;
    size_t measured_peak_bytes = 0;  // 0 where the system does not tell
    MonitorVerdict verdict;
};

class TrainingRun {
public:
    // Checks, scans and plans; reads no pixels, trains nothing, writes nothing.
    [[nodiscard]] static std::unique_ptr<TrainingRun> open(TrainOptions options,
                                                           backend::Backend& backend);
    ~TrainingRun();
    TrainingRun(const TrainingRun&) = delete;
    TrainingRun& operator=(const TrainingRun&) = delete;

    [[nodiscard]] const RunPlan& plan() const;
    // Estimates the duration by timing a few products on the device; fills plan().estimated_s.
    void estimate_time();
    // Encodes pictures, trains, saves. A stop request ends after the running step: the state is
    // saved and Error{kCancelled} thrown.
    RunResult train(const std::stop_token& stop, EventSink& events);
    // Encodes pictures and asks the base model about every tag (tag_check.h) instead of training;
    // only the cache of latents is written. Wants probe_every_n_steps above 0 and
    // asks_every_bucket.
    // Errors  kConfig where pictures differ at every draw; kOutOfMemory; kCancelled.
    [[nodiscard]] std::vector<TagKnowledge> check_tags(const std::stop_token& stop,
                                                       EventSink& events);

private:
    struct Impl;
    explicit TrainingRun(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace lora::train

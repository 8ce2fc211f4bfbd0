// Names of the files and folders that a run leaves behind, and which old ones go.
// Threads  pure. Source: training-semantics 9.1 and 9.5.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "train/train_options.h"

namespace lora::train {

// "<name>-000002.safetensors", "<name>-step00000120.safetensors", "<name>.safetensors"; the name is
// output_name, or "epoch", "at", "last" without one; the ending is save_model_as.
[[nodiscard]] std::string epoch_file_name(const SaveOptions& options, int64_t epoch);
[[nodiscard]] std::string step_file_name(const SaveOptions& options, int64_t step);
[[nodiscard]] std::string final_file_name(const SaveOptions& options);
// "cat-ema.safetensors" for "cat.safetensors": the average beside a file.
[[nodiscard]] std::string ema_file_name(const std::string& name);

// "20260131123059", local time: in the names of a run's log folder and of previews.
[[nodiscard]] std::string time_stamp();

// "<name>-000002-state", "<name>-step00000120-state", "<name>-state".
[[nodiscard]] std::string epoch_state_name(const SaveOptions& options, int64_t epoch);
[[nodiscard]] std::string step_state_name(const SaveOptions& options, int64_t step);
[[nodiscard]] std::string final_state_name(const SaveOptions& options);
// "<name>-rolling-step00000120-state": the crash-safe one, replaced by its successor.
[[nodiscard]] std::string rolling_state_name(const SaveOptions& options, int64_t step);

// Whether a file is due: every n epochs but not after the last; every n steps.
[[nodiscard]] bool saves_epoch(int64_t every_n, int64_t epoch, int64_t num_epochs);
[[nodiscard]] bool saves_step(int64_t every_n, int64_t step);

// The epoch or step whose file is deleted when this one is saved; nothing with keep_last 0.
[[nodiscard]] std::optional<int64_t> old_epoch(int64_t epoch, int64_t every_n, int64_t keep_last);
[[nodiscard]] std::optional<int64_t> old_step(int64_t step, int64_t every_n, int64_t keep_last);

}  // namespace lora::train

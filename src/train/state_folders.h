// Finds and clears the train states of one output name in the output folder.
// Threads  one thread. Errors  kIo.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "train/train_options.h"

namespace lora::train {

enum class StateKind : uint8_t { kNone, kKept, kRolling, kLeftover };

// What a folder or file name is to a run with these options: a state that it wrote, a rolling one,
// or what an interrupted write left behind.
[[nodiscard]] StateKind state_kind(const SaveOptions& options, std::string_view name);

// The whole state with the most steps. Errors  kFormat when one cannot be read.
[[nodiscard]] std::optional<std::string> find_newest_state(const SaveOptions& options);
// The same among the states of one session with at most so many steps.
[[nodiscard]] std::optional<std::string> find_newest_state(const SaveOptions& options,
                                                           uint64_t session_id,
                                                           int64_t most_steps);
// Removes what interrupted writing left behind.
void remove_leftovers(const SaveOptions& options);
// Removes all rolling states but `keep` (a path; may be empty).
void remove_rolling_states(const SaveOptions& options, const std::string& keep);

}  // namespace lora::train

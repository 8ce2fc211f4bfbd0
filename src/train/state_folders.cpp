#include "train/state_folders.h"

#include <algorithm>
#include <functional>

#include "base/file.h"
#include "train/state.h"

namespace lora::train {
namespace {

bool strip_prefix(std::string_view& text, std::string_view prefix) {
    if (!text.starts_with(prefix)) return false;
    text.remove_prefix(prefix.size());
    return true;
}

// At least `count` digits, as the names have them.
bool strip_digits(std::string_view& text, size_t count) {
    size_t found = 0;
    while (found < text.size() && text[found] >= '0' && text[found] <= '9') ++found;
    if (found < count) return false;
    text.remove_prefix(found);
    return true;
}

constexpr size_t kEpochDigits = 6;
constexpr size_t kStepDigits = 8;

bool is_leftover_suffix(std::string_view rest) {
    return rest == kPartialSuffix || rest.starts_with(".tmp-");
}

// What follows "<name>-" in a state's name: "state", "000002-state", "step00000120-state".
StateKind kind_after_name(std::string_view rest) {
    const bool rolling = strip_prefix(rest, "rolling-");
    const bool numbered = strip_prefix(rest, "step") ? strip_digits(rest, kStepDigits)
                                                     : strip_digits(rest, kEpochDigits);
    if (numbered) strip_prefix(rest, "-");
    if (!strip_prefix(rest, "state")) return StateKind::kNone;
    if (rest.empty()) return rolling ? StateKind::kRolling : StateKind::kKept;
    return is_leftover_suffix(rest) ? StateKind::kLeftover : StateKind::kNone;
}

// "cat.safetensors.tmp-12-3", "cat-000002.safetensors.tmp-12-3"
bool is_unfinished_file(std::string_view rest) {
    if (strip_prefix(rest, "-")) {
        const bool numbered = strip_prefix(rest, "step") ? strip_digits(rest, kStepDigits)
                                                         : strip_digits(rest, kEpochDigits);
        if (!numbered) return false;
    }
    for (const std::string_view ending : {".safetensors", ".ckpt", ".pt"}) {
        if (strip_prefix(rest, ending)) return rest.starts_with(".tmp-");
    }
    return false;
}

}  // namespace

StateKind state_kind(const SaveOptions& options, std::string_view name) {
    const std::string own = options.output_name;
    for (const std::string_view base :
         {own.empty() ? std::string_view("last") : std::string_view(own),
          own.empty() ? std::string_view("epoch") : std::string_view(own),
          own.empty() ? std::string_view("at") : std::string_view(own)}) {
        std::string_view rest = name;
        if (!strip_prefix(rest, base)) continue;
        if (is_unfinished_file(rest)) return StateKind::kLeftover;
        if (!strip_prefix(rest, "-")) continue;
        const StateKind kind = kind_after_name(rest);
        if (kind != StateKind::kNone) return kind;
    }
    return StateKind::kNone;
}

namespace {

std::optional<std::string> newest_state(const SaveOptions& options,
                                        const std::function<bool(const StateSummary&)>& counts) {
    std::optional<std::string> newest;
    if (!is_directory(options.output_dir)) return newest;
    int64_t most = -1;
    for (const DirectoryEntry& entry : list_directory(options.output_dir)) {
        const StateKind kind = state_kind(options, entry.name);
        if (!entry.is_directory || (kind != StateKind::kKept && kind != StateKind::kRolling))
            continue;
        const std::string path = join_path(options.output_dir, entry.name);
        if (!is_whole_state(path)) continue;
        const StateSummary summary = read_state_summary(path);
        if (summary.step > most && counts(summary)) {
            most = summary.step;
            newest = path;
        }
    }
    return newest;
}

}  // namespace

std::optional<std::string> find_newest_state(const SaveOptions& options) {
    return newest_state(options, [](const StateSummary&) { return true; });
}

std::optional<std::string> find_newest_state(const SaveOptions& options,
                                             uint64_t session_id,
                                             int64_t most_steps) {
    return newest_state(options, [&](const StateSummary& s) {
        return s.identity.session_id == session_id && s.step <= most_steps;
    });
}

void remove_leftovers(const SaveOptions& options) {
    if (!is_directory(options.output_dir)) return;
    for (const DirectoryEntry& entry : list_directory(options.output_dir)) {
        const std::string path = join_path(options.output_dir, entry.name);
        const StateKind kind = state_kind(options, entry.name);
        if (entry.is_directory) {
            // A rolling state without its marker is one whose removal was cut short.
            if (kind == StateKind::kLeftover ||
                (kind == StateKind::kRolling && !is_whole_state(path))) {
                remove_directory(path);
            }
        } else if (kind == StateKind::kLeftover) {
            remove_file_if_exists(path);
        }
    }
}

void remove_rolling_states(const SaveOptions& options, const std::string& keep) {
    if (!is_directory(options.output_dir)) return;
    for (const DirectoryEntry& entry : list_directory(options.output_dir)) {
        const std::string path = join_path(options.output_dir, entry.name);
        if (!entry.is_directory || path == keep) continue;
        if (state_kind(options, entry.name) == StateKind::kRolling) remove_state(path);
    }
}

}  // namespace lora::train

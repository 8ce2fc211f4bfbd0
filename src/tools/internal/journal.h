// The journal of changes as it lies in DIR/.lora-undo/<number>/: what change logs and undo share.
// Used by file_changes.cpp and change_log.cpp.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "tools/file_changes.h"

namespace lora::tools::internal {

inline constexpr const char* kJournal = "journal.json";

[[nodiscard]] std::string hash_of(const std::string& bytes);
// Numbers of the journals that lie there, ascending.
[[nodiscard]] std::vector<int64_t> journals(const std::string& undo_folder);
// Removes files that a killed run had begun to write beside the targets.
void remove_leftovers(const std::vector<std::string>& targets);
// Nothing: the file goes away.
void put(const std::string& path, const std::optional<std::string>& bytes);
[[nodiscard]] std::optional<std::string> bytes_of(const std::string& path);
[[nodiscard]] bool leads_from_a_root(std::string_view path);
// The path as the journal has it, from the folder on, so that the folder may be moved or named
// otherwise; and back.
[[nodiscard]] std::string relative_to(const std::string& folder, const std::string& path);
[[nodiscard]] std::string path_of(const std::string& folder, const JournalRow& row);
// Whether a folder on the way from `folder` to the file is a link.
[[nodiscard]] bool passes_a_link(const std::string& folder, const std::string& relative);
[[nodiscard]] Json to_json(const JournalRow& row);
// Errors  kIo for a link; kConfig for a file that undo could not reach, outside of the folder.
void check_target(const std::string& folder, const std::string& path);

}  // namespace lora::tools::internal

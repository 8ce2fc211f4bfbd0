// Changes to many small files at once that can be taken back: originals are copied and a journal is
// written before the first file is touched, so a run that is killed leaves every file whole, old or
// new, and undo restores every byte.
// Lies in   DIR/.lora-undo/<number>/: journal.json and the originals.
// Errors   kIo: a folder that cannot be written; nothing has been changed then.
// Threads  not for the same folder at once.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace lora::tools {

using data::kUndoFolder;

struct FileChange {
    std::string path;                  // inside the folder or not; UTF-8
    std::optional<std::string> after;  // none: the file goes away
};

// Files whose bytes are already so are left alone. Returns the number of files changed.
int64_t change_files(const std::string& folder, const std::vector<FileChange>& changes);

struct UndoReport {
    int64_t restored = 0;
    std::vector<std::string> kept;  // changed by others since: left as they are
};
// Takes back the last change_files of this folder. Errors  kData when there is none.
UndoReport undo_changes(const std::string& folder);

// Whether a path is a symbolic link; such files are never written through.
[[nodiscard]] bool is_symlink(const std::string& path);

}  // namespace lora::tools

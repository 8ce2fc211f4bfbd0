// Changes to many files at once that can be taken back: originals are copied and a journal is
// written before the first file is touched, so a run that is killed leaves every file whole, old or
// new, and undo restores every byte.
// Lies in   DIR/.lora-undo/<number>/: journal.json, the originals, and large files on their way.
// Errors   kIo: a folder that cannot be written; nothing has been changed then. kFormat: a journal
//          that is none of ours.
// Threads  not for the same folder at once.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
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

// The same for files that would not fit into memory together: each is put aside on disk as it
// comes, and nothing is changed before commit(). Without commit() nothing stays.
class StagedChanges {
public:
    explicit StagedChanges(std::string folder);
    ~StagedChanges();
    StagedChanges(const StagedChanges&) = delete;
    StagedChanges& operator=(const StagedChanges&) = delete;

    // The next change; a path comes once.
    void add(const std::string& path, std::optional<std::string> after);
    // Writes the journal, then the files. At most once. Returns the number of files changed.
    int64_t commit();

private:
    struct Row {
        std::string path;
        std::optional<std::string> after;  // in memory
        std::string staged;                // or in this file
        std::string original;              // name of the copy; empty: there was none
        std::string before_hash;
        std::string after_hash;
    };
    [[nodiscard]] std::vector<std::string> missing_folders() const;

    std::string folder_;
    std::string own_;  // the folder of this journal
    std::vector<Row> rows_;
    bool committed_ = false;
};

struct UndoReport {
    int64_t restored = 0;
    std::vector<std::string> kept;  // changed by others since: left as they are
};
// Takes back the last change_files of this folder. Errors  kData when there is none.
UndoReport undo_changes(const std::string& folder);
// Whether undo_changes() would find something.
[[nodiscard]] bool can_undo(const std::string& folder);

// What a journal says about one file. Paths lead from the folder on; only settings files (.toml)
// may lie elsewhere, and those are never removed.
struct JournalRow {
    std::string path;
    std::string original;  // a file beside the journal; empty: there was none before
    std::string before;    // SHA-256; empty: no file
    std::string after;
};
struct Journal {
    std::vector<JournalRow> files;
    std::vector<std::string> folders;  // that were made on the way; a folder before those in it
    std::string run;                   // change_log.h: the work that may be continued, or empty
    bool is_finished = true;
};
// `what` names the journal in errors. Errors  kFormat: no journal, or one that leads elsewhere.
[[nodiscard]] Journal parse_journal(std::string_view text, const std::string& what);

// Whether a path is a symbolic link; such files are never written through.
[[nodiscard]] bool is_symlink(const std::string& path);

}  // namespace lora::tools

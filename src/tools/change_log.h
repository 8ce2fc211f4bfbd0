// Changes to many files in several portions that are taken back together, by a run that may be
// killed and continued: each portion is in the journal before its files are touched. Lies in
// DIR/.lora-undo/<number>/, and is undone, as file_changes.h says. Errors   kIo: a folder that
// cannot be written, a target that is a link. kFormat: a journal that is
//          none of ours.
// Threads  not for the same folder at once.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "tools/file_changes.h"

namespace lora::tools {

class ChangeLog {
public:
    // `run` names the work, settings included; a log of the same work that was not finished, and
    // whose files nobody changed since, is continued. Empty: never.
    explicit ChangeLog(std::string folder, std::string run = "");
    // Files whose bytes are already so are left alone. Returns the number of files changed.
    int64_t apply(const std::vector<FileChange>& changes);
    // Whether the run that is continued has written this file.
    [[nodiscard]] bool has_written(const std::string& path) const;
    // Nothing is missing: never continued from here on.
    void finish();

private:
    void resume(const std::string& folder_of_log);
    void write_journal() const;

    std::string folder_;
    std::string run_;
    std::string own_;  // the folder of this log
    bool is_finished_ = false;
    bool exists_ = false;  // the journal is on disk
    std::vector<JournalRow> rows_;
    std::set<std::string> written_;  // paths as the journal has them
};

}  // namespace lora::tools

#include "tools/change_log.h"

#include <map>

#include <fmt/format.h>

#include "base/file.h"
#include "base/json.h"
#include "tools/internal/journal.h"

namespace lora::tools {

using namespace internal;

ChangeLog::ChangeLog(std::string folder, std::string run)
    : folder_(std::move(folder)), run_(std::move(run)) {
    const std::string undo_folder = join_path(folder_, kUndoFolder);
    const auto numbers = journals(undo_folder);
    const int64_t last = numbers.empty() ? 0 : numbers.back();
    own_ = join_path(undo_folder, fmt::format("{}", last + 1));
    if (!run_.empty() && last > 0) resume(join_path(undo_folder, fmt::format("{}", last)));
}

void ChangeLog::resume(const std::string& folder_of_log) {
    const std::string path = join_path(folder_of_log, kJournal);
    const std::string text = read_text_file(path);
    Journal old = parse_journal(text, path);
    if (old.run != run_ || old.is_finished) return;
    std::set<std::string> written;
    std::vector<std::string> targets;
    for (const JournalRow& row : old.files) {
        if (passes_a_link(folder_, row.path)) return;
        targets.push_back(path_of(folder_, row));
        const auto now = bytes_of(targets.back());
        const std::string hash = now ? hash_of(*now) : "";
        if (hash == row.after) {
            written.insert(row.path);
        } else if (hash != row.before) {
            return;  // somebody's work lies between: a log of its own
        }
    }
    remove_leftovers(targets);
    own_ = folder_of_log;
    exists_ = true;
    rows_ = std::move(old.files);
    written_ = std::move(written);
}

bool ChangeLog::has_written(const std::string& path) const {
    return written_.contains(relative_to(folder_, path));
}

void ChangeLog::write_journal() const {
    Json files = Json::array();
    for (const JournalRow& row : rows_) files.push_back(to_json(row));
    Json journal = {{"files", files}};
    if (!run_.empty()) {
        journal["run"] = run_;
        journal["finished"] = is_finished_;
    }
    write_file_atomically(join_path(own_, kJournal), journal.dump(1));
}

int64_t ChangeLog::apply(const std::vector<FileChange>& changes) {
    std::vector<const FileChange*> real;
    std::map<std::string, size_t> known;  // rows of a run that is continued
    for (size_t i = 0; i < rows_.size(); ++i) known[rows_[i].path] = i;
    for (const FileChange& change : changes) {
        const auto before = bytes_of(change.path);
        if (before == change.after) continue;
        check_target(folder_, change.path);
        if (!exists_) {
            remove_directory(own_);  // of a run that was killed before its journal
            make_directories(own_);
            exists_ = true;
        }
        real.push_back(&change);
        JournalRow row;
        row.path = relative_to(folder_, change.path);
        if (change.after) row.after = hash_of(*change.after);
        if (const auto found = known.find(row.path); found != known.end()) {
            rows_[found->second].after = row.after;  // never reached by then: its original is kept
            continue;
        }
        if (before) {
            row.original = fmt::format("{}.original", rows_.size());
            row.before = hash_of(*before);
            write_file_atomically(join_path(own_, row.original), *before);
        }
        rows_.push_back(std::move(row));
    }
    if (real.empty()) return 0;
    write_journal();
    for (const FileChange* change : real) put(change->path, change->after);
    return std::ssize(real);
}

void ChangeLog::finish() {
    is_finished_ = true;
    if (exists_ && !run_.empty()) write_journal();
}

}  // namespace lora::tools

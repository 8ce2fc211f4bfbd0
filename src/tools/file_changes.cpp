#include "tools/file_changes.h"

#include <filesystem>
#include <set>

#include <fmt/format.h>

#include "base/check.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/utf8.h"
#include "tools/internal/journal.h"

namespace lora::tools {

using namespace internal;

namespace {

constexpr size_t kStageAbove = size_t{64} << 10;  // larger files wait on disk

}  // namespace

int64_t change_files(const std::string& folder, const std::vector<FileChange>& changes) {
    StagedChanges staged(folder);
    for (const FileChange& change : changes) staged.add(change.path, change.after);
    return staged.commit();
}

StagedChanges::StagedChanges(std::string folder) : folder_(std::move(folder)) {}

StagedChanges::~StagedChanges() {
    if (committed_ || own_.empty()) return;
    // What was put aside is of no use to anybody; when it cannot be removed, the next run does.
    std::error_code code;
    std::filesystem::remove_all(to_path(own_), code);
    const std::string undo_folder = join_path(folder_, kUndoFolder);
    if (is_directory(undo_folder)) std::filesystem::remove(to_path(undo_folder), code);  // if empty
}

void StagedChanges::add(const std::string& path, std::optional<std::string> after) {
    LORA_CHECK(!committed_, "a change after commit");
    const auto before = bytes_of(path);
    if (before == after) return;
    check_target(folder_, path);
    if (own_.empty()) {
        const std::string undo_folder = join_path(folder_, kUndoFolder);
        const auto numbers = journals(undo_folder);
        own_ = join_path(undo_folder, fmt::format("{}", numbers.empty() ? 1 : numbers.back() + 1));
        remove_directory(own_);  // of a run that was killed before its journal
        make_directories(own_);
    }
    Row row;
    row.path = path;
    if (before) {
        row.original = fmt::format("{}.original", rows_.size());
        write_file_atomically(join_path(own_, row.original), *before);
        row.before_hash = hash_of(*before);
    }
    if (after) row.after_hash = hash_of(*after);
    if (after && after->size() > kStageAbove) {
        row.staged = join_path(own_, fmt::format("{}.new", rows_.size()));
        write_file_atomically(row.staged, *after);
    } else {
        row.after = std::move(after);
    }
    rows_.push_back(std::move(row));
}

std::vector<std::string> StagedChanges::missing_folders() const {
    std::set<std::string> out;  // a folder sorts before what it holds
    for (const Row& row : rows_) {
        std::string path = parent_path(row.path);
        while (!path.empty() && !is_directory(path) && out.insert(path).second) {
            path = parent_path(path);
        }
    }
    return {out.begin(), out.end()};
}

int64_t StagedChanges::commit() {
    LORA_CHECK(!committed_, "second commit");
    if (rows_.empty()) return 0;
    Json files = Json::array();
    for (const Row& row : rows_) {
        files.push_back(to_json({.path = relative_to(folder_, row.path),
                                 .original = row.original,
                                 .before = row.before_hash,
                                 .after = row.after_hash}));
    }
    const std::vector<std::string> made = missing_folders();
    Json folders = Json::array();
    for (const std::string& path : made) {
        const std::string name = relative_to(folder_, path);
        if (is_valid_utf8(name) && !leads_from_a_root(name)) folders.push_back(name);
    }
    write_file_atomically(join_path(own_, kJournal),
                          Json{{"files", files}, {"folders", folders}}.dump(1));
    committed_ = true;
    for (const std::string& path : made) make_directories(path);
    for (const Row& row : rows_) {
        put(row.path, row.staged.empty() ? row.after : bytes_of(row.staged));
        if (!row.staged.empty()) remove_file_if_exists(row.staged);
    }
    return std::ssize(rows_);
}

bool can_undo(const std::string& folder) {
    return !journals(join_path(folder, kUndoFolder)).empty();
}

UndoReport undo_changes(const std::string& folder) {
    const std::string undo_folder = join_path(folder, kUndoFolder);
    const auto numbers = journals(undo_folder);
    if (numbers.empty()) {
        throw Error(ErrorCode::kData, fmt::format("nothing to undo in {}", folder))
            .with_hint("give the folder that was given when the files were changed");
    }
    const std::string own = join_path(undo_folder, fmt::format("{}", numbers.back()));
    const std::string journal = join_path(own, kJournal);
    UndoReport report;
    const Journal written = parse_journal(read_text_file(journal), journal);
    const std::vector<JournalRow>& rows = written.files;
    std::vector<std::string> paths;
    for (const JournalRow& row : rows) {
        if (!passes_a_link(folder, row.path)) paths.push_back(path_of(folder, row));
    }
    remove_leftovers(paths);
    for (const JournalRow& row : rows) {
        const std::string path = path_of(folder, row);
        if (passes_a_link(folder, row.path)) {
            report.kept.push_back(path);
            continue;
        }
        const auto now = bytes_of(path);
        const std::string hash = now ? hash_of(*now) : "";
        if (hash == row.before) continue;  // never reached
        if (hash != row.after) {
            report.kept.push_back(path);
            continue;
        }
        const auto original =
            row.original.empty() ? std::nullopt : bytes_of(join_path(own, row.original));
        if (!row.original.empty() && !original) {
            report.kept.push_back(path);  // its copy was taken away
            continue;
        }
        put(path, original);
        ++report.restored;
    }
    if (!report.kept.empty()) return report;  // their originals stay
    for (auto name = written.folders.rbegin(); name != written.folders.rend(); ++name) {
        const std::string made = join_path(folder, *name);
        if (passes_a_link(folder, *name) || is_symlink(made) || !is_directory(made)) continue;
        if (list_directory(made).empty()) remove_directory(made);
    }
    // The journal goes last: an undo that is killed can be begun again.
    for (const DirectoryEntry& entry : list_directory(own)) {
        if (entry.name != kJournal) remove_file_if_exists(join_path(own, entry.name));
    }
    remove_directory(own);
    for (const DirectoryEntry& entry : list_directory(undo_folder)) {
        // Of runs that were killed before their journal.
        const std::string path = join_path(undo_folder, entry.name);
        if (entry.is_directory && !path_exists(join_path(path, kJournal))) {
            remove_directory(path);
        }
    }
    if (list_directory(undo_folder).empty()) remove_directory(undo_folder);
    return report;
}

}  // namespace lora::tools

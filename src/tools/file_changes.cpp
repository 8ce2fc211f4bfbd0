#include "tools/file_changes.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <span>

#include <fmt/format.h>

#include "base/check.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/utf8.h"
#include "base/words.h"

namespace lora::tools {
namespace {

std::string hash_of(const std::string& bytes) {
    return sha256_hex(std::as_bytes(std::span(bytes)));
}

// Numbers of the journals that lie there, ascending.
std::vector<int64_t> journals(const std::string& undo_folder) {
    std::vector<int64_t> out;
    if (!is_directory(undo_folder)) return out;
    for (const DirectoryEntry& entry : list_directory(undo_folder)) {
        const auto number = parse_number<int64_t>(entry.name);
        const std::string journal = join_path(join_path(undo_folder, entry.name), "journal.json");
        if (entry.is_directory && number && path_exists(journal)) out.push_back(*number);
    }
    std::sort(out.begin(), out.end());
    return out;
}

// Files that a killed run had begun to write beside the targets.
void remove_leftovers(const std::vector<std::string>& targets) {
    std::map<std::string, std::vector<std::string>> by_folder;
    for (const std::string& path : targets) by_folder[parent_path(path)].push_back(base_name(path));
    for (const auto& [folder, names] : by_folder) {
        if (!is_directory(folder)) continue;
        for (const DirectoryEntry& entry : list_directory(folder)) {
            const auto begun = [&](const std::string& name) {
                return is_temporary_of(entry.name, name);
            };
            if (!entry.is_directory && std::any_of(names.begin(), names.end(), begun)) {
                remove_file_if_exists(join_path(folder, entry.name));
            }
        }
    }
}

void put(const std::string& path, const std::optional<std::string>& bytes) {
    if (bytes) {
        write_file_atomically(path, *bytes);
    } else {
        remove_file_if_exists(path);
    }
}

constexpr bool kIsWindows = std::filesystem::path::preferred_separator == L'\\';
constexpr size_t kStageAbove = size_t{64} << 10;  // larger files wait on disk

// With '/' alone, without "." and doubled slashes. A backslash parts names on Windows only;
// elsewhere it is a letter of a name.
std::string plain_path(std::string_view path) {
    std::string text(path);
    if (kIsWindows) std::replace(text.begin(), text.end(), '\\', '/');
    std::string out;
    if (text.starts_with("//") && kIsWindows) out = "/";  // a share
    if (text.starts_with('/')) out += '/';
    for (const std::string_view part : split(text, '/')) {
        if (part.empty() || part == ".") continue;
        if (!out.empty() && !out.ends_with('/')) out += '/';
        out += part;
    }
    return out;
}

bool leads_from_a_root(std::string_view path) {
    if (path.starts_with('/')) return true;
    return kIsWindows && (path.starts_with('\\') || path.find(':') != std::string_view::npos);
}

// The path as the journal has it, from the folder on, so that the folder may be moved or named
// otherwise.
std::string relative_to(const std::string& folder, const std::string& path) {
    const std::string inside = plain_path(path);
    std::string start = plain_path(folder);
    if (start.empty() && !leads_from_a_root(inside)) return inside;
    if (!start.ends_with('/')) start += '/';
    if (inside.starts_with(start)) return inside.substr(start.size());
    return from_path(std::filesystem::absolute(to_path(path)));  // a settings file elsewhere
}

constexpr std::string_view kHexDigits = "0123456789abcdef";

std::string to_hex(std::string_view bytes) {
    std::string out;
    for (const char c : bytes) {
        out += kHexDigits[static_cast<unsigned char>(c) >> 4U];
        out += kHexDigits[static_cast<unsigned char>(c) & 15U];
    }
    return out;
}

std::string from_hex(std::string_view hex) {
    std::string out;
    for (size_t i = 0; i + 1 < hex.size(); i += 2) {
        const size_t high = kHexDigits.find(hex[i]);
        const size_t low = kHexDigits.find(hex[i + 1]);
        if (high == std::string_view::npos || low == std::string_view::npos) return {};
        out += static_cast<char>(high << 4U | low);
    }
    return hex.size() % 2 == 0 ? out : std::string();
}

[[noreturn]] void refuse(const std::string& what, std::string_view why) {
    throw Error(ErrorCode::kFormat, fmt::format("{} is no journal of changes: {}", what, why))
        .with_hint("nothing was changed; the originals lie beside it");
}

// Names below the folder, or a settings file elsewhere: a journal that came with somebody else's
// folder must not reach further.
void check_journal_path(const JournalRow& row, const std::string& what) {
    if (row.path.empty() || row.path.find('\0') != std::string::npos)
        refuse(what, "a path is empty");
    if (leads_from_a_root(row.path)) {
        if (!row.path.ends_with(".toml") || row.original.empty()) {
            refuse(what, fmt::format("\"{}\" lies elsewhere", row.path));
        }
    }
    for (const std::string_view part : split(row.path, '/')) {
        const bool backslash = kIsWindows && part.find('\\') != std::string_view::npos;
        if (part == ".." || backslash) {
            refuse(what, fmt::format("\"{}\" leads out of the folder", row.path));
        }
    }
    for (const char c : row.original) {
        if (lower_ascii({&c, 1}) != std::string_view(&c, 1) || c == '/' || c == '\\' || c == ':') {
            refuse(what, fmt::format("\"{}\" is no name of an original", row.original));
        }
    }
    if (row.original == "." || row.original == "..") refuse(what, "an original has no name");
}

std::string text_in(const Json& row, const char* key, const std::string& what) {
    const auto found = row.find(key);
    if (found == row.end()) return {};
    if (!found->is_string()) refuse(what, fmt::format("\"{}\" is no text", key));
    return found->get<std::string>();
}

// Whether a folder on the way from `folder` to the file is a link.
bool passes_a_link(const std::string& folder, const std::string& relative) {
    std::string path = folder;
    const auto parts = split(relative, '/');
    for (size_t i = 0; i + 1 < parts.size(); ++i) {
        path = join_path(path, parts[i]);
        if (is_symlink(path)) return true;
    }
    return false;
}

std::optional<std::string> bytes_of(const std::string& path) {
    if (!path_exists(path)) return std::nullopt;
    return read_text_file(path);
}

}  // namespace

bool is_symlink(const std::string& path) {
    std::error_code code;
    return std::filesystem::is_symlink(to_path(path), code);
}

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
    if (is_symlink(path)) {
        throw Error(ErrorCode::kIo,
                    fmt::format("{} is a link: nothing is written through it", path))
            .with_hint("give the file itself");
    }
    const auto before = bytes_of(path);
    if (before == after) return;
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
        const std::string path = relative_to(folder_, row.path);
        Json json = is_valid_utf8(path) ? Json{{"path", path}} : Json{{"path_hex", to_hex(path)}};
        if (!row.original.empty()) {
            json["original"] = row.original;
            json["before"] = row.before_hash;
        }
        if (!row.after_hash.empty()) json["after"] = row.after_hash;
        files.push_back(std::move(json));
    }
    const std::vector<std::string> made = missing_folders();
    Json folders = Json::array();
    for (const std::string& path : made) {
        const std::string name = relative_to(folder_, path);
        if (is_valid_utf8(name) && !leads_from_a_root(name)) folders.push_back(name);
    }
    write_file_atomically(join_path(own_, "journal.json"),
                          Json{{"files", files}, {"folders", folders}}.dump(1));
    committed_ = true;
    for (const std::string& path : made) make_directories(path);
    for (const Row& row : rows_) {
        put(row.path, row.staged.empty() ? row.after : bytes_of(row.staged));
        if (!row.staged.empty()) remove_file_if_exists(row.staged);
    }
    return std::ssize(rows_);
}

Journal parse_journal(std::string_view text, const std::string& what) {
    const Json written = parse_json(text, what);
    const auto files = written.is_object() ? written.find("files") : written.end();
    if (!written.is_object() || files == written.end() || !files->is_array()) {
        refuse(what, "no list of files");
    }
    Journal out;
    for (const Json& row : *files) {
        if (!row.is_object()) refuse(what, "a file without a path");
        JournalRow read;
        read.path = row.contains("path_hex") ? from_hex(text_in(row, "path_hex", what))
                                             : text_in(row, "path", what);
        read.original = text_in(row, "original", what);
        read.before = text_in(row, "before", what);
        read.after = text_in(row, "after", what);
        check_journal_path(read, what);
        out.files.push_back(std::move(read));
    }
    if (const auto folders = written.find("folders"); folders != written.end()) {
        if (!folders->is_array()) refuse(what, "no list of folders");
        for (const Json& name : *folders) {
            if (!name.is_string()) refuse(what, "a folder without a name");
            JournalRow row;
            row.path = name.get<std::string>();
            check_journal_path(row, what);
            out.folders.push_back(std::move(row.path));
        }
    }
    return out;
}

UndoReport undo_changes(const std::string& folder) {
    const std::string undo_folder = join_path(folder, kUndoFolder);
    const auto numbers = journals(undo_folder);
    if (numbers.empty()) {
        throw Error(ErrorCode::kData, fmt::format("nothing to undo in {}", folder))
            .with_hint("give the folder that was given when the files were changed");
    }
    const std::string own = join_path(undo_folder, fmt::format("{}", numbers.back()));
    const std::string journal = join_path(own, "journal.json");
    UndoReport report;
    const Journal written = parse_journal(read_text_file(journal), journal);
    const std::vector<JournalRow>& rows = written.files;
    const auto path_of = [&](const JournalRow& row) {
        return leads_from_a_root(row.path) ? row.path : join_path(folder, row.path);
    };
    std::vector<std::string> paths;
    for (const JournalRow& row : rows) {
        if (!passes_a_link(folder, row.path)) paths.push_back(path_of(row));
    }
    remove_leftovers(paths);
    for (const JournalRow& row : rows) {
        const std::string path = path_of(row);
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
        if (entry.name != "journal.json") remove_file_if_exists(join_path(own, entry.name));
    }
    remove_directory(own);
    for (const DirectoryEntry& entry : list_directory(undo_folder)) {
        // Of runs that were killed before their journal.
        const std::string path = join_path(undo_folder, entry.name);
        if (entry.is_directory && !path_exists(join_path(path, "journal.json"))) {
            remove_directory(path);
        }
    }
    if (list_directory(undo_folder).empty()) remove_directory(undo_folder);
    return report;
}

}  // namespace lora::tools

#include "tools/file_changes.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <span>

#include <fmt/format.h>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
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

// The path as the journal has it, from the folder on, so that the folder may be moved or named
// otherwise.
std::string relative_to(const std::string& folder, const std::string& path) {
    const std::string start = join_path(folder, "");
    if (path.starts_with(start)) return path.substr(start.size());
    return from_path(std::filesystem::absolute(to_path(path)));  // a settings file elsewhere
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
    std::vector<const FileChange*> real;
    Json rows = Json::array();
    const std::string undo_folder = join_path(folder, kUndoFolder);
    const auto numbers = journals(undo_folder);
    const int64_t number = numbers.empty() ? 1 : numbers.back() + 1;
    const std::string own = join_path(undo_folder, fmt::format("{}", number));
    for (const FileChange& change : changes) {
        const auto before = bytes_of(change.path);
        if (before == change.after) continue;
        if (real.empty()) {
            remove_directory(own);  // of a run that was killed before its journal
            make_directories(own);
        }
        Json row = {{"path", relative_to(folder, change.path)}};
        if (before) {
            const std::string copy = fmt::format("{}.original", real.size());
            write_file_atomically(join_path(own, copy), *before);
            row["original"] = copy;
            row["before"] = hash_of(*before);
        }
        if (change.after) row["after"] = hash_of(*change.after);
        rows.push_back(std::move(row));
        real.push_back(&change);
    }
    if (real.empty()) return 0;
    write_file_atomically(join_path(own, "journal.json"), Json{{"files", rows}}.dump(1));
    for (const FileChange* change : real) put(change->path, change->after);
    return std::ssize(real);
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
    const Json written = parse_json(read_text_file(journal), journal);
    const auto path_of = [&](const Json& row) {
        std::string name = row.at("path").get<std::string>();
        return to_path(name).is_absolute() ? name : join_path(folder, name);
    };
    std::vector<std::string> paths;
    for (const Json& row : written.at("files")) paths.push_back(path_of(row));
    remove_leftovers(paths);
    for (const Json& row : written.at("files")) {
        const std::string path = path_of(row);
        const auto now = bytes_of(path);
        const std::string hash = now ? hash_of(*now) : "";
        if (hash == row.value("before", "")) continue;  // never reached
        if (hash != row.value("after", "")) {
            report.kept.push_back(path);
            continue;
        }
        put(path,
            row.contains("original")
                ? bytes_of(join_path(own, row.at("original").get<std::string>()))
                : std::nullopt);
        ++report.restored;
    }
    if (!report.kept.empty()) return report;  // their originals stay
    remove_directory(own);
    if (list_directory(undo_folder).empty()) remove_directory(undo_folder);
    return report;
}

}  // namespace lora::tools

#include "tools/internal/journal.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <span>

#include <fmt/format.h>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/utf8.h"
#include "base/words.h"

namespace lora::tools {
namespace {

using internal::leads_from_a_root;

constexpr bool kIsWindows = std::filesystem::path::preferred_separator == L'\\';

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

bool is_settings_file(const std::string& path) { return lower_ascii(extension(path)) == ".toml"; }

// Names below the folder, or a settings file elsewhere: a journal that came with somebody else's
// folder must not reach further.
void check_journal_path(const JournalRow& row, const std::string& what) {
    if (row.path.empty() || row.path.find('\0') != std::string::npos)
        refuse(what, "a path is empty");
    if (leads_from_a_root(row.path)) {
        if (!is_settings_file(row.path) || row.original.empty()) {
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

}  // namespace

bool is_symlink(const std::string& path) {
    std::error_code code;
    return std::filesystem::is_symlink(to_path(path), code);
}

namespace internal {

std::string hash_of(const std::string& bytes) {
    return sha256_hex(std::as_bytes(std::span(bytes)));
}

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

bool leads_from_a_root(std::string_view path) {
    if (path.starts_with('/')) return true;
    return kIsWindows && (path.starts_with('\\') || path.find(':') != std::string_view::npos);
}

std::string relative_to(const std::string& folder, const std::string& path) {
    std::string inside = plain_path(path);
    std::string start = plain_path(folder);
    if (start.empty() && !leads_from_a_root(inside)) return inside;
    if (!start.ends_with('/')) start += '/';
    if (inside.starts_with(start)) return inside.substr(start.size());
    return from_path(std::filesystem::absolute(to_path(path)));  // a settings file elsewhere
}

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

Json to_json(const JournalRow& row) {
    Json json =
        is_valid_utf8(row.path) ? Json{{"path", row.path}} : Json{{"path_hex", to_hex(row.path)}};
    if (!row.original.empty()) {
        json["original"] = row.original;
        json["before"] = row.before;
    }
    if (!row.after.empty()) json["after"] = row.after;
    return json;
}

std::string path_of(const std::string& folder, const JournalRow& row) {
    return leads_from_a_root(row.path) ? row.path : join_path(folder, row.path);
}

void check_target(const std::string& folder, const std::string& path) {
    if (is_symlink(path)) {
        throw Error(ErrorCode::kIo,
                    fmt::format("{} is a link: nothing is written through it", path))
            .with_hint("give the file itself");
    }
    if (!leads_from_a_root(relative_to(folder, path))) return;
    if (path_exists(path) && is_settings_file(path)) return;
    throw Error(ErrorCode::kConfig,
                fmt::format("{} lies outside of {}, where undo could not reach it", path, folder))
        .with_hint("only a settings file (.toml) that is there may lie elsewhere");
}

}  // namespace internal

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
    out.run = text_in(written, "run", what);
    if (const auto done = written.find("finished"); done != written.end()) {
        if (!done->is_boolean()) refuse(what, "\"finished\" is neither true nor false");
        out.is_finished = done->get<bool>();
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

}  // namespace lora::tools

#include "tools/internal/picture_set.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/error.h"
#include "base/file.h"
#include "data/dataset.h"

namespace lora::tools::internal {
namespace {

std::string without_end_slash(std::string path) {
    while (path.size() > 1 && path.ends_with('/')) path.pop_back();
    return path;
}

std::string or_here(const std::string& folder) { return folder.empty() ? "." : folder; }

void add_picture(const std::string& root,
                 const std::string& folder,
                 const std::string& name,
                 const std::string& caption_extension,
                 std::vector<InputPicture>& out) {
    InputPicture picture;
    picture.path = folder == "." ? name : join_path(folder, name);
    if (is_symlink(picture.path)) return;
    picture.root = root;
    picture.folder = folder;
    const std::string own = base_name(folder);
    picture.relative = data::parse_folder_name(own) ? join_path(own, name) : name;
    picture.caption = without_extension(picture.path) + caption_extension;
    out.push_back(std::move(picture));
}

void add_folder(const std::string& root,
                const std::string& folder,
                const std::string& caption_extension,
                std::vector<InputPicture>& out) {
    for (const DirectoryEntry& entry : list_directory(folder)) {
        if (entry.is_directory || !data::is_image_name(entry.name)) continue;
        add_picture(root, folder, entry.name, caption_extension, out);
    }
}

}  // namespace

data::ConceptName concept_of_folder(const std::string& folder) {
    const auto name = data::parse_folder_name(base_name(folder));
    if (!name) return {};
    return data::concept_of(folder, *name, data::FolderScheme::kGuide);
}

std::string root_of(const std::string& input) {
    return is_directory(input) ? without_end_slash(input) : or_here(parent_path(input));
}

std::vector<InputPicture> collect_pictures(const std::vector<std::string>& inputs,
                                           const std::string& caption_extension) {
    std::string ending = caption_extension;
    if (!ending.starts_with('.')) ending.insert(0, ".");
    std::vector<InputPicture> out;
    for (const std::string& input : inputs) {
        const std::string root = root_of(input);
        if (!is_directory(input)) {
            if (!path_exists(input)) {
                throw Error(ErrorCode::kIo, fmt::format("there is no picture or folder {}", input));
            }
            add_picture(root, root, base_name(input), ending, out);
            continue;
        }
        add_folder(root, root, ending, out);
        for (const DirectoryEntry& entry : list_directory(root)) {
            const std::string path = join_path(root, entry.name);
            if (!entry.is_directory || entry.name == kUndoFolder || is_symlink(path)) continue;
            add_folder(root, path, ending, out);
        }
    }
    std::set<std::string> seen;
    std::erase_if(out, [&](const InputPicture& p) { return !seen.insert(p.path).second; });
    if (out.empty()) {
        throw Error(ErrorCode::kData, "there is no picture in what was given")
            .with_hint("give pictures, a concept folder, or the folder above concept folders");
    }
    return out;
}

StagedChanges& Outputs::of(const std::string& root) {
    auto& changes = changes_[root];
    if (!changes) changes = std::make_unique<StagedChanges>(root);
    return *changes;
}

bool Outputs::create(const std::string& root, const std::string& path, std::string bytes) {
    if (planned_.contains(path)) {
        throw Error(ErrorCode::kData, fmt::format("two results would be {}", path))
            .with_hint("rename one of the pictures");
    }
    if (path_exists(path)) {
        if (!is_directory(path) && read_text_file(path) == bytes) return false;
        throw Error(ErrorCode::kData, fmt::format("{} exists already and stays as it is", path))
            .with_hint("choose another folder, or move that file away");
    }
    of(root).add(path, std::move(bytes));
    planned_.insert(path);
    return true;
}

void Outputs::replace(const std::string& root, const std::string& path, std::string bytes) {
    of(root).add(path, std::move(bytes));
    planned_.insert(path);
}

void Outputs::remove(const std::string& root, const std::string& path) {
    of(root).add(path, std::nullopt);
}

bool Outputs::is_taken(const std::string& path) const {
    return planned_.contains(path) || path_exists(path);
}

void Outputs::commit() {
    for (auto& [root, changes] : changes_) changes->commit();
}

std::vector<std::string> Outputs::roots() const {
    std::vector<std::string> out;
    for (const auto& [root, changes] : changes_) out.push_back(root);
    return out;
}

}  // namespace lora::tools::internal

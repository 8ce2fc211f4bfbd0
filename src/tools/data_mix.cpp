#include "tools/data_mix.h"

#include <algorithm>
#include <cmath>
#include <map>

#include <fmt/format.h>

#include "base/error.h"
#include "base/file.h"
#include "base/utf8.h"
#include "base/words.h"
#include "data/dataset.h"
#include "tools/caption_tags.h"
#include "tools/internal/picture_set.h"

namespace lora::tools {
namespace {

constexpr int kMaxDepth = 16;

struct Picture {
    std::string path;
    std::string top;     // "sfw" or "nsfw"
    std::string folder;  // below the source: "sfw/uniform/front"
    std::string group;   // the first folder below top; empty: none
    std::string name;    // in the concept folder: deeper folders joined by '_'
};

// Everything below a folder, by name; links are left out.
void collect(const std::string& source,
             const std::string& folder,
             int depth,
             std::vector<Picture>& out) {
    const std::string path = join_path(source, folder);
    for (const DirectoryEntry& entry : list_directory(path)) {
        const std::string inside = join_path(path, entry.name);
        if (is_symlink(inside)) continue;
        if (entry.is_directory) {
            if (entry.name != kUndoFolder && depth < kMaxDepth) {
                collect(source, join_path(folder, entry.name), depth + 1, out);
            }
            continue;
        }
        if (!data::is_image_name(entry.name)) continue;
        const auto parts = split(folder, '/');
        Picture picture{inside, std::string(parts[0]), folder, "", ""};
        if (parts.size() > 1) picture.group = parts[1];
        for (size_t i = 2; i < parts.size(); ++i) picture.name += std::string(parts[i]) + "_";
        picture.name += entry.name;
        out.push_back(std::move(picture));
    }
}

// So many of the list, spread evenly over it.
std::vector<Picture> spread(const std::vector<Picture>& list, int64_t count) {
    std::vector<Picture> out;
    const int64_t size = std::ssize(list);
    for (int64_t i = 0; i < std::min(count, size); ++i) {
        out.push_back(list[static_cast<size_t>(i * size / std::min(count, size))]);
    }
    return out;
}

// A name that folders may bear everywhere; letters of any script stay.
std::string folder_word(std::string_view text) {
    std::string out;
    for (const char c : trimmed(text)) {
        const bool bad = std::string_view("<>:\"/\\|?*").find(c) != std::string_view::npos ||
                         static_cast<unsigned char>(c) < 0x20;
        out += bad || c == ' ' ? '_' : c;
    }
    return out;
}

std::string named(const std::string& trigger, const std::string& rest) {
    return rest.empty() ? folder_word(trigger) : folder_word(trigger) + "_" + folder_word(rest);
}

// Concept folders without their number, by path below the target.
using Plan = std::map<std::string, std::vector<Picture>>;

Plan plan_of(const MixOptions& options,
             const std::vector<Picture>& sfw,
             const std::vector<Picture>& nsfw,
             int64_t& left_out) {
    Plan plan;
    if (options.use == MixUse::kBlend) {
        const auto wanted =
            static_cast<int64_t>(std::floor(options.share * static_cast<double>(sfw.size())));
        auto& all = plan[named(options.trigger, "")];
        all = sfw;
        const std::vector<Picture> taken = spread(nsfw, wanted);
        all.insert(all.end(), taken.begin(), taken.end());
        left_out = std::ssize(nsfw) - std::ssize(taken);
        return plan;
    }
    const std::string front = options.use == MixUse::kApart ? "sfw/" : "";
    for (const Picture& picture : sfw) {
        plan[front + named(options.trigger, picture.group)].push_back(picture);
    }
    for (const Picture& picture : nsfw) {
        const std::string rest = options.use == MixUse::kApart   ? picture.group
                                 : picture.group == options.acts ? options.acts
                                                                 : "nsfw";
        plan[(options.use == MixUse::kApart ? "nsfw/" : "") + named(options.trigger, rest)]
            .push_back(picture);
    }
    return plan;
}

std::string caption_of(const MixOptions& options,
                       const Picture& picture,
                       const TagClasses& classes) {
    std::string ending = options.caption_extension;
    if (!ending.starts_with('.')) ending.insert(0, ".");
    const std::string path = without_extension(picture.path) + ending;
    const std::string text = path_exists(path) ? decode_text(read_text_file(path)).utf8 : "";
    const std::string_view line = first_line(text);
    TagEdits edits;
    edits.dedupe = true;
    edits.add = {options.trigger};
    for (const auto& [folder, tags] : options.folder_tags) {
        const bool is_inside =
            picture.folder == folder || picture.folder.starts_with(join_path(folder, ""));
        if (is_inside) edits.add.insert(edits.add.end(), tags.begin(), tags.end());
    }
    return join_tags(apply_edits(split_tags(line), edits, classes)) + text.substr(line.size());
}

void check(const MixOptions& options) {
    if (trimmed(options.trigger).empty()) {
        throw Error(ErrorCode::kConfig, "the trigger is missing").with_hint("--trigger mika");
    }
    if (options.use == MixUse::kBlend && (options.share > kMostBlend || options.share <= 0)) {
        throw Error(ErrorCode::kConfig,
                    fmt::format("a share of {:.0f}% is not between 0 and {:.0f}%",
                                100 * options.share,
                                100 * kMostBlend))
            .with_hint("10 to 20% is usual; with more, clothes become thin");
    }
    if (options.to.empty()) {
        throw Error(ErrorCode::kConfig, "--to is missing: the folder to train from");
    }
}

}  // namespace

FolderTags parse_folder_tags(std::string_view text, const std::string& what) {
    FolderTags out;
    int64_t number = 0;
    for (std::string_view line : split(text, '\n')) {
        ++number;
        line = trimmed(line.substr(0, line.find('#')));
        if (line.empty()) continue;
        const size_t at = line.find('=');
        std::string folder(trimmed(line.substr(0, std::min(at, line.size()))));
        std::replace(folder.begin(), folder.end(), '\\', '/');
        while (folder.ends_with('/')) folder.pop_back();
        std::vector<std::string> tags;
        if (at != std::string_view::npos) tags = split_tags(line.substr(at + 1));
        if (folder.empty() || tags.empty()) {
            throw Error(ErrorCode::kFormat,
                        fmt::format("{}, line {}: not of the form folder = tag, tag", what, number))
                .with_hint("sfw/uniform = mika (uniform), school uniform");
        }
        out.emplace_back(std::move(folder), std::move(tags));
    }
    return out;
}

MixReport mix_data(const MixOptions& options, int64_t (*advised_repeats)(int64_t)) {
    check(options);
    std::vector<Picture> sfw;
    std::vector<Picture> nsfw;
    for (const char* top : {"sfw", "nsfw"}) {
        if (!is_directory(join_path(options.source, top))) continue;
        collect(options.source, top, 0, top[0] == 's' ? sfw : nsfw);
    }
    if (sfw.empty() && nsfw.empty()) {
        throw Error(ErrorCode::kData, fmt::format("{} holds no pictures to sort", options.source))
            .with_hint("it should hold the folders sfw and nsfw, with folders inside");
    }
    MixReport report;
    const Plan plan = plan_of(options, sfw, nsfw, report.left_out);
    const TagClasses classes;
    internal::Outputs outputs;
    for (const auto& [name, pictures] : plan) {
        MixFolder row;
        row.repeats = options.repeats > 0 ? options.repeats : advised_repeats(std::ssize(pictures));
        const std::string number = fmt::format("{}_", row.repeats);
        const size_t slash = name.find('/');
        row.path = slash == std::string::npos
                       ? number + name
                       : name.substr(0, slash + 1) + number + name.substr(slash + 1);
        const std::string folder = join_path(options.to, row.path);
        const auto create = [&](const std::string& path, std::string bytes) {
            if (outputs.create(options.to, path, std::move(bytes))) ++report.copied;
        };
        // The trigger as prompts have it; the folder's name only sorts.
        create(join_path(folder, data::kConceptFile), options.trigger + "\n");
        std::map<std::string, int> used;
        for (const Picture& picture : pictures) {
            ++(picture.top == "sfw" ? row.sfw : row.nsfw);
            // Pictures of one name from several folders.
            std::string stem = without_extension(picture.name);
            if (const int times = ++used[lower_ascii(stem)]; times > 1) {
                stem = fmt::format("{}_{}_{}", picture.top, folder_word(picture.group), stem);
            }
            const std::string target = join_path(folder, stem);
            create(target + extension(picture.name), read_text_file(picture.path));
            std::string ending = options.caption_extension;
            if (!ending.starts_with('.')) ending.insert(0, ".");
            create(target + ending, caption_of(options, picture, classes));
        }
        report.folders.push_back(std::move(row));
    }
    if (!options.dry_run) outputs.commit();
    return report;
}

}  // namespace lora::tools

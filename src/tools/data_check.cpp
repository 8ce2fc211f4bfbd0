#include "tools/data_check.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include <fmt/format.h>

#include "base/error.h"
#include "base/file.h"
#include "base/utf8.h"
#include "base/words.h"
#include "data/dataset.h"
#include "tools/internal/data_check.h"

namespace lora::tools {
namespace internal {

void CheckContext::add(Severity severity,
                       std::string kind,
                       std::string path,
                       std::string message,
                       std::string fix,
                       bool fixable) const {
    report.findings.push_back(
        {severity, std::move(kind), std::move(path), std::move(message), std::move(fix), fixable});
}

}  // namespace internal

namespace {

using internal::CheckContext;
using internal::ScannedFolder;
using enum Severity;

constexpr size_t kLongNameBytes = 200;

// Why a name makes trouble somewhere; empty when it does not.
std::string name_trouble(const std::string& name) {
    if (!is_valid_utf8(name)) return "is no valid UTF-8";
    for (const char c : name) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return "holds a control character";
    }
    if (name.find_first_of("<>:\"|?*\\") != std::string::npos) {
        return "holds a character that Windows does not allow";
    }
    if (name.ends_with(' ') || name.ends_with('.')) return "ends with a blank or a dot";
    if (name.starts_with('-')) return "begins like an option of a program";
    if (name.size() > kLongNameBytes) return "is very long";
    const std::string stem = lower_ascii(name.substr(0, name.find('.')));
    for (const char* word : {"con", "prn", "aux", "nul", "com1", "com2", "lpt1"}) {
        if (stem == word) return "is reserved on Windows";
    }
    return {};
}

bool has_picture_ending(const std::string& name) {
    const auto& known = data::kImageEndings;
    return std::find(known.begin(), known.end(), lower_ascii(extension(name))) != known.end();
}

bool is_unsupported_picture(const std::string& name) {
    const std::string ending = lower_ascii(extension(name));
    for (const char* known : {".gif", ".avif", ".tif", ".tiff", ".heic", ".jxl", ".psd", ".svg"}) {
        if (ending == known) return true;
    }
    return false;
}

// Names that lead nowhere are not in list_directory.
void check_links(const CheckContext& context, const std::string& folder) {
    std::error_code code;
    for (const auto& entry : std::filesystem::directory_iterator(to_path(folder), code)) {
        std::error_code link_code;
        if (!entry.is_symlink(link_code)) continue;
        const std::string path = join_path(folder, from_path(entry.path().filename()));
        std::error_code target_code;
        const bool leads = std::filesystem::exists(entry.path(), target_code) && !target_code;
        context.add(
            leads ? kWarning : kError,
            leads ? "symlink" : "broken_link",
            path,
            leads ? "is a symbolic link: it may not travel with the folder"
                  : "is a symbolic link that leads nowhere",
            leads ? "put a copy of the file here" : "remove the link or restore its target");
    }
}

void check_name(const CheckContext& context, const std::string& path) {
    const std::string trouble = name_trouble(base_name(path));
    if (trouble.empty()) return;
    context.add(kWarning, "hostile_name", path, "the name " + trouble, "rename it");
}

void check_orphans(const CheckContext& context,
                   const std::string& path,
                   const std::vector<DirectoryEntry>& entries,
                   const std::set<std::string>& used) {
    std::set<std::string> stems;
    for (const DirectoryEntry& entry : entries) {
        if (has_picture_ending(entry.name)) stems.insert(without_extension(entry.name));
    }
    for (const DirectoryEntry& entry : entries) {
        if (entry.is_directory || used.contains(join_path(path, entry.name))) continue;
        const std::string file = join_path(path, entry.name);
        const std::string ending = lower_ascii(extension(entry.name));
        const bool is_caption = ending == ".txt" || ending == ".caption" ||
                                ending == lower_ascii(context.options.caption_extension);
        if (!is_caption || entry.name == data::kConceptFile) continue;
        if (!stems.contains(without_extension(entry.name))) {
            context.add(kWarning,
                        "orphan_caption",
                        file,
                        "a caption without its picture",
                        "remove it or bring the picture back");
        } else {
            context.add(kWarning,
                        "caption_extension",
                        file,
                        fmt::format("captions are read from {} files; this one is not",
                                    context.options.caption_extension),
                        "rename it or set caption_extension");
        }
    }
}

// Files of one folder: pictures with their captions, and what else lies there.
void scan_files(const CheckContext& context, ScannedFolder& folder) {
    const auto entries = list_directory(folder.path);
    std::set<std::string> names;
    for (const DirectoryEntry& entry : entries) names.insert(entry.name);
    std::set<std::string> used;
    for (const DirectoryEntry& entry : entries) {
        const std::string path = join_path(folder.path, entry.name);
        if (entry.name == kUndoFolder) continue;
        check_name(context, path);
        if (entry.is_directory) {
            const auto inner = list_directory(path);
            if (std::any_of(inner.begin(), inner.end(), [](const DirectoryEntry& file) {
                    return has_picture_ending(file.name);
                })) {
                context.add(kWarning,
                            "nested_folder",
                            path,
                            "pictures in a folder inside a concept folder are not read",
                            fmt::format("move them into {}", folder.path));
            }
            continue;
        }
        if (is_unsupported_picture(entry.name)) {
            context.add(kWarning,
                        "unsupported",
                        path,
                        "this kind of picture is not read",
                        "convert it to PNG or JPEG");
        }
        if (!data::is_image_name(entry.name)) {
            if (has_picture_ending(entry.name) && !entry.name.starts_with('.')) {
                context.add(kWarning,
                            "odd_extension",
                            path,
                            "an ending of large and small letters is not read",
                            "write the ending in small letters");
            }
            continue;
        }
        internal::ScannedPicture picture{path, ""};
        const std::string caption =
            without_extension(entry.name) + context.options.caption_extension;
        if (names.contains(caption)) {
            picture.caption_path = join_path(folder.path, caption);
            if (!used.insert(picture.caption_path).second) {
                context.add(kWarning,
                            "shared_caption",
                            path,
                            fmt::format("shares the caption {} with another picture", caption),
                            "rename one of the pictures and its caption");
            }
        }
        folder.pictures.push_back(std::move(picture));
    }
    check_orphans(context, folder.path, entries, used);
    check_links(context, folder.path);
}

int64_t count_pictures(const std::string& path) {
    const auto entries = list_directory(path);
    return std::count_if(entries.begin(), entries.end(), [](const DirectoryEntry& entry) {
        return !entry.is_directory && data::is_image_name(entry.name);
    });
}

// A folder that is not named as a concept folder.
void judge_other_folder(const CheckContext& context, const std::string& path) {
    int64_t concepts = 0;
    for (const DirectoryEntry& entry : list_directory(path)) {
        if (entry.is_directory && data::parse_folder_name(entry.name)) ++concepts;
    }
    if (concepts > 0) {
        context.add(kError,
                    "wrong_level",
                    path,
                    fmt::format("{} concept folders lie one level too deep", concepts),
                    fmt::format("move them up, or train on {}", path));
    } else if (count_pictures(path) > 0) {
        context.add(kError,
                    "no_number",
                    path,
                    "the name begins with no number of repeats: its pictures are not read",
                    fmt::format("name it 10_{}", base_name(path)));
    }
}

void check_top(const CheckContext& context) {
    const std::string& folder = context.options.folder;
    const bool is_concept = data::parse_folder_name(base_name(folder)).has_value();
    const int64_t loose = count_pictures(folder);
    if (loose == 0) return;
    if (is_concept) {
        context.add(
            kError,
            "wrong_level",
            folder,
            "this is a concept folder; the folder above it is wanted",
            fmt::format("give {}", parent_path(folder).empty() ? "." : parent_path(folder)));
        return;
    }
    for (const DirectoryEntry& entry : list_directory(folder)) {
        if (entry.is_directory || !data::is_image_name(entry.name)) continue;
        context.add(kError,
                    "wrong_level",
                    join_path(folder, entry.name),
                    "lies beside the concept folders and is not read",
                    "move it into a folder like 10_concept");
    }
}

std::vector<ScannedFolder> scan_folders(const CheckContext& context) {
    std::vector<ScannedFolder> out;
    check_top(context);
    check_links(context, context.options.folder);
    for (const DirectoryEntry& entry : list_directory(context.options.folder)) {
        if (!entry.is_directory || entry.name == kUndoFolder) continue;
        const std::string path = join_path(context.options.folder, entry.name);
        check_name(context, path);
        const auto name = data::parse_folder_name(entry.name);
        if (!name) {
            judge_other_folder(context, path);
            continue;
        }
        ScannedFolder folder;
        folder.path = path;
        folder.row.name = entry.name;
        folder.row.repeats = name->repeats;
        folder.row.trigger =
            plain_tag(data::concept_of(path, *name, data::FolderScheme::kGuide).trigger);
        scan_files(context, folder);
        folder.row.images = std::ssize(folder.pictures);
        folder.row.captions =
            std::count_if(folder.pictures.begin(), folder.pictures.end(), [](const auto& picture) {
                return !picture.caption_path.empty();
            });
        if (name->repeats < 1) {
            context.add(kError,
                        "zero_repeats",
                        path,
                        fmt::format("{} repeats: the folder is skipped", name->repeats),
                        fmt::format("name it 10_{}", name->concept_name));
            folder.row.repeats = 0;
        }
        if (folder.row.trigger.empty()) {
            context.add(kWarning,
                        "no_trigger",
                        path,
                        "the name says no concept",
                        "name it like 10_concept");
        }
        if (folder.pictures.empty()) {
            context.add(
                kWarning, "empty_folder", path, "holds no picture", "add pictures or remove it");
        }
        out.push_back(std::move(folder));
    }
    return out;
}

void check_balance(const CheckContext& context, std::vector<ScannedFolder>& folders) {
    double total = 0;
    double largest = 0;
    for (const ScannedFolder& folder : folders) {
        const auto draws = static_cast<double>(folder.row.repeats * folder.row.images);
        total += draws;
        largest = std::max(largest, draws);
    }
    const int64_t epochs = context.options.epochs;
    for (ScannedFolder& folder : folders) {
        CheckedFolder& row = folder.row;
        const auto draws = static_cast<double>(row.repeats * row.images);
        if (draws == 0) continue;
        row.share = draws / total;
        if (draws * 4 < largest) {
            context.add(kWarning,
                        "balance",
                        folder.path,
                        fmt::format("{} repeats x {} pictures are {:.0f}% of an epoch",
                                    row.repeats,
                                    row.images,
                                    100 * row.share),
                        fmt::format("about {:.0f} repeats would weigh as much as the largest",
                                    largest / static_cast<double>(row.images)));
        }
        const int64_t views = row.repeats * epochs;
        if (views < 50 || views > 100) {
            context.add(kWarning,
                        "views",
                        folder.path,
                        fmt::format("{} repeats x {} epochs show each picture {} times; 50 to 100 "
                                    "is usual",
                                    row.repeats,
                                    epochs,
                                    views),
                        fmt::format("{} to {} epochs, or other repeats",
                                    std::max<int64_t>(1, 50 / row.repeats),
                                    std::max<int64_t>(1, 100 / row.repeats)));
        }
    }
}

void advise(const CheckContext& context, const std::vector<ScannedFolder>& folders) {
    int64_t images = 0;
    for (const ScannedFolder& folder : folders) {
        images += folder.row.images;
        const auto name = data::parse_folder_name(folder.row.name);
        const bool names_it = name && !path_exists(join_path(folder.path, data::kConceptFile));
        const bool collides = !folder.row.trigger.empty() &&
                              (context.classes.knows(folder.row.trigger) ||
                               (names_it && context.classes.knows(name->concept_name)));
        if (!collides) continue;
        context.add(kWarning,
                    "trigger_collision",
                    folder.path,
                    fmt::format("the trigger \"{}\" is a tag with a meaning of its own",
                                folder.row.trigger),
                    "give the concept a name of its own");
    }
    context.report.images = images;
    if (images == 0 && context.report.count(kError) == 0) {
        context.add(kError,
                    "no_folder",
                    context.options.folder,
                    "holds no concept folder with pictures",
                    "put pictures into a folder named like 10_concept");
    }
    context.add(kNote,
                "regularisation",
                context.options.folder,
                images > 30 ? "more than 30 pictures: for a character regularisation pictures may "
                              "pull face and build towards them"
                            : "few pictures: regularisation pictures may help to generalise",
                images > 30 ? "train without reg_data_dir first" : "prior_loss_weight 0.3");
}

}  // namespace

int64_t CheckReport::count(Severity severity) const {
    return std::count_if(findings.begin(), findings.end(), [&](const CheckFinding& finding) {
        return finding.severity == severity;
    });
}

CheckReport check_data(const CheckOptions& asked, const TagClasses& classes) {
    CheckOptions options = asked;
    while (options.folder.size() > 1 && options.folder.ends_with('/')) options.folder.pop_back();
    if (!options.caption_extension.starts_with('.')) options.caption_extension.insert(0, ".");
    if (!is_directory(options.folder)) {
        throw Error(ErrorCode::kIo, fmt::format("there is no folder {}", options.folder))
            .with_hint("give the folder above the concept folders");
    }
    CheckReport report;
    const CheckContext context{options, classes, report};
    std::vector<ScannedFolder> folders = scan_folders(context);
    for (const ScannedFolder& folder : folders) internal::check_captions(context, folder);
    internal::check_pictures(context, folders);
    check_balance(context, folders);
    advise(context, folders);
    for (const ScannedFolder& folder : folders) report.folders.push_back(folder.row);
    std::stable_sort(report.findings.begin(),
                     report.findings.end(),
                     [](const CheckFinding& a, const CheckFinding& b) {
                         return static_cast<int>(a.severity) > static_cast<int>(b.severity);
                     });
    return report;
}

}  // namespace lora::tools

#include "data/dataset.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/attempt.h"
#include "base/error.h"
#include "base/file.h"
#include "base/thread_pool.h"
#include "base/utf8.h"
#include "data/caption.h"
#include "data/internal/caption_reader.h"
#include "io/image_codec.h"
#include "text/unicode.h"

namespace lora::data {

namespace {

constexpr int64_t kMaxRepeats = 1'000'000'000;

void warn(Diagnostics& list, std::string place, std::string text, std::string hint = {}) {
    list.push_back({Severity::kWarning, std::move(place), std::move(text), std::move(hint)});
}

std::vector<std::string> image_names(const std::string& folder) {
    std::vector<std::string> names;
    for (const DirectoryEntry& entry : list_directory(folder)) {
        if (!entry.is_directory && is_image_name(entry.name)) names.push_back(entry.name);
    }
    return names;
}

struct ProbedPicture {
    std::string path;
    ImageSize size;
    std::optional<Error> error;
};

ProbedPicture probe_picture(const std::string& path, const DatasetOptions& options) {
    ProbedPicture out;
    out.path = path;
    out.error = attempt([&] {
        const io::DecodeOptions decode = {.apply_exif = options.apply_exif};
        if (options.check_pixels) {
            const io::Image image = io::read_image_file(path, decode);
            out.size = {image.width_px, image.height_px};
        } else {
            const io::ImageSize size = io::read_image_file_size(path, decode);
            out.size = {size.width_px, size.height_px};
        }
    });
    return out;
}

// Reads one concept folder; pictures that cannot be read are left out with a warning.
std::vector<ImageEntry> scan_folder(ConceptFolder& folder,
                                    const DatasetOptions& options,
                                    Diagnostics& diagnostics) {
    const std::vector<std::string> names = image_names(folder.path);
    std::vector<ProbedPicture> pictures(names.size());
    ThreadPool pool;
    pool.parallel_for(std::ssize(names), [&](int64_t i) {
        const auto n = static_cast<size_t>(i);
        pictures[n] = probe_picture(join_path(folder.path, names[n]), options);
    });
    std::vector<ImageEntry> images;
    internal::CaptionReader captions(options, folder.concept_name);
    TagCounter tags;
    for (const ProbedPicture& picture : pictures) {
        if (picture.error) {
            warn(diagnostics,
                 picture.path,
                 fmt::format("left out, it cannot be read as a picture: {}",
                             picture.error->message()),
                 "replace or remove the file");
            continue;
        }
        ImageEntry entry;
        entry.path = picture.path;
        entry.size = picture.size;
        entry.caption = captions.read(picture.path, diagnostics);
        entry.repeats = folder.repeats;
        entry.is_reg = folder.is_reg;
        tags.add(entry.caption);
        images.push_back(std::move(entry));
    }
    captions.report_missing(folder.path, diagnostics);
    folder.num_images = std::ssize(images);
    folder.tag_counts = tags.counts();
    return images;
}

struct FoundFolder {
    ConceptFolder folder;
    std::vector<ImageEntry> images;
};

std::vector<FoundFolder> scan_parent(const std::string& parent,
                                     bool is_reg,
                                     const DatasetOptions& options,
                                     Diagnostics& diagnostics) {
    if (!is_directory(parent)) {
        throw Error(ErrorCode::kIo, fmt::format("there is no folder {}", parent))
            .with_hint(fmt::format("check {}", is_reg ? "reg_data_dir" : "train_data_dir"));
    }
    std::vector<FoundFolder> found;
    for (const DirectoryEntry& entry : list_directory(parent)) {
        if (!entry.is_directory) continue;
        const std::string path = join_path(parent, entry.name);
        const auto name = parse_folder_name(entry.name);
        if (!name) {
            warn(diagnostics,
                 path,
                 fmt::format("folder \"{}\" is ignored: its name does not start with a number of "
                             "repeats and an underscore",
                             entry.name),
                 "name it like 10_concept");
            continue;
        }
        if (name->repeats < 1) continue;
        FoundFolder item;
        item.folder = {.path = path,
                       .name = entry.name,
                       .concept_name = name->concept_name,
                       .repeats = name->repeats,
                       .num_images = 0,
                       .is_reg = is_reg,
                       .tag_counts = {}};
        item.images = scan_folder(item.folder, options, diagnostics);
        if (item.images.empty()) {
            warn(diagnostics,
                 path,
                 fmt::format("folder \"{}\" is ignored: it holds no usable picture", entry.name));
            continue;
        }
        found.push_back(std::move(item));
    }
    return found;
}

// Explains why nothing was found, in the words that help: an empty folder, a concept folder given
// instead of its parent, or only broken pictures.
[[noreturn]] void throw_nothing_found(const std::string& parent, const Diagnostics& diagnostics) {
    const std::vector<std::string> names = image_names(parent);
    if (!names.empty()) {
        throw Error(
            ErrorCode::kData,
            fmt::format("train_data_dir {} holds {} pictures itself: it looks like a concept "
                        "folder, but the folder above the concept folders is wanted",
                        parent,
                        names.size()))
            .with_hint(parse_folder_name(base_name(parent))
                           ? fmt::format("give {}", parent_path(parent))
                           : fmt::format("move the pictures into {} and give {} again",
                                         join_path(parent, "10_concept"),
                                         parent));
    }
    std::string details;
    for (size_t i = 0; i < std::min<size_t>(diagnostics.size(), 3); ++i) {
        details += fmt::format("; {}: {}", diagnostics[i].place, diagnostics[i].text);
    }
    throw Error(ErrorCode::kData,
                fmt::format("no usable picture in train_data_dir {}{}", parent, details))
        .with_hint("put the pictures into folders named <repeats>_<concept>, for example 10_cat");
}

// Registers reg pictures until their repeats reach those of the training pictures; with too few,
// each gets one more repeat in turn.
std::vector<ImageEntry> balance_reg(const std::vector<ImageEntry>& reg, int64_t target) {
    std::vector<ImageEntry> used;
    int64_t total = 0;
    for (const ImageEntry& image : reg) {
        if (total >= target) break;
        used.push_back(image);
        total += image.repeats;
    }
    if (used.empty() || total >= target) return used;
    const int64_t missing = target - total;
    const int64_t count = std::ssize(used);
    for (int64_t i = 0; i < count; ++i) {
        used[static_cast<size_t>(i)].repeats += missing / count + (i < missing % count ? 1 : 0);
    }
    return used;
}

int64_t sum_repeats(const std::vector<ImageEntry>& images) {
    int64_t total = 0;
    for (const ImageEntry& image : images) total += image.repeats;
    return total;
}

}  // namespace

std::optional<FolderName> parse_folder_name(std::string_view name) {
    const size_t underscore = name.find('_');
    const std::u32string digits = utf8_to_utf32(text::strip(name.substr(0, underscore)));
    size_t at = 0;
    const bool negative = !digits.empty() && digits[0] == U'-';
    if (negative || (!digits.empty() && digits[0] == U'+')) at = 1;
    if (at == digits.size()) return std::nullopt;
    int64_t value = 0;
    for (; at < digits.size(); ++at) {
        const auto digit = text::decimal_digit(digits[at]);
        if (!digit) return std::nullopt;
        value = std::min(value * 10 + *digit, kMaxRepeats);
    }
    FolderName out;
    out.repeats = negative ? -value : value;
    if (underscore != std::string_view::npos) out.concept_name = name.substr(underscore + 1);
    return out;
}

bool is_image_name(std::string_view name) {
    constexpr std::array<std::string_view, 10> kExtensions = {
        ".png", ".jpg", ".jpeg", ".webp", ".bmp", ".PNG", ".JPG", ".JPEG", ".WEBP", ".BMP"};
    if (name.empty() || name.front() == '.') return false;
    return std::any_of(kExtensions.begin(), kExtensions.end(), [&](std::string_view e) {
        return name.ends_with(e);
    });
}

void TagCounter::add(std::string_view caption) {
    for (const std::string& piece : split(caption, ",")) {
        std::string tag = text::lower_utf8(text::strip(piece));
        if (tag.empty()) continue;
        const auto [row, is_new] = rows_.emplace(tag, counts_.size());
        if (is_new) counts_.emplace_back(std::move(tag), 0);
        ++counts_[row->second].second;
    }
}

ScanResult scan_dataset(const DatasetOptions& options) {
    ScanResult result;
    Dataset& dataset = result.dataset;
    const auto add = [&](std::vector<FoundFolder> found) {
        std::vector<ImageEntry> images;
        for (FoundFolder& item : found) {
            for (ImageEntry& image : item.images) {
                image.folder_idx = std::ssize(dataset.folders);
                images.push_back(std::move(image));
            }
            dataset.folders.push_back(std::move(item.folder));
        }
        return images;
    };
    auto train = scan_parent(options.train_data_dir, false, options, result.diagnostics);
    if (train.empty()) throw_nothing_found(options.train_data_dir, result.diagnostics);
    dataset.images = add(std::move(train));
    dataset.num_train_images = sum_repeats(dataset.images);
    if (const size_t loose = image_names(options.train_data_dir).size(); loose > 0) {
        warn(result.diagnostics,
             options.train_data_dir,
             fmt::format("{} pictures lie beside the concept folders and are not used", loose));
    }
    if (options.reg_data_dir.empty()) return result;

    auto found = scan_parent(options.reg_data_dir, true, options, result.diagnostics);
    if (found.empty()) {
        warn(result.diagnostics,
             options.reg_data_dir,
             "no usable regularisation picture in this folder");
    }
    std::vector<ImageEntry> reg = add(std::move(found));
    dataset.num_reg_images = sum_repeats(reg);
    reg = balance_reg(reg, dataset.num_train_images);
    for (ImageEntry& image : reg) {
        image.loss_weight = static_cast<float>(options.prior_loss_weight);
        dataset.images.push_back(std::move(image));
    }
    return result;
}

}  // namespace lora::data

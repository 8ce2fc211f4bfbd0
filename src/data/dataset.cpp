#include "data/dataset.h"

#include <algorithm>
#include <iterator>
#include <set>

#include <fmt/format.h>

#include "base/attempt.h"
#include "base/error.h"
#include "base/file.h"
#include "base/thread_pool.h"
#include "base/utf8.h"
#include "data/caption.h"
#include "data/internal/caption_reader.h"
#include "data/validation_split.h"
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

// What the captions of a folder are made with.
struct FolderRules {
    std::string caption_extension;
    bool enable_wildcard = false;
    std::string fallback;  // caption of pictures without a file
    ConceptTrigger concept_trigger = ConceptTrigger::kFallback;
    std::string separator;
};

// Puts the folder's trigger into its captions where the options ask for that.
void add_trigger(ConceptFolder& folder,
                 const FolderRules& rules,
                 std::vector<ImageEntry>& images,
                 Diagnostics& diagnostics) {
    if (folder.is_reg || folder.trigger.empty()) return;
    if (rules.concept_trigger == ConceptTrigger::kFallback) return;
    const auto lacks = [&](const ImageEntry& image) {
        return !names_trigger(image.caption, folder.trigger);
    };
    const auto count = std::count_if(images.begin(), images.end(), lacks);
    const bool some_name_it =
        std::ssize(images) - count > folder.num_without_caption;  // beside those without a file
    if (count == 0 || (rules.concept_trigger == ConceptTrigger::kAuto && some_name_it)) return;
    for (ImageEntry& image : images) {
        if (lacks(image)) {
            image.caption = with_trigger(image.caption, folder.trigger, rules.separator);
        }
    }
    folder.trigger_in_front = true;
    diagnostics.push_back({Severity::kNote,
                           folder.path,
                           fmt::format("{} captions do not name \"{}\", the folder's concept; it "
                                       "is put in front of them",
                                       count,
                                       folder.trigger),
                           "concept_trigger fallback leaves captions as they are"});
}

// The mask of a picture: of its name, whatever kind of picture, in the folder of the same name or
// in the folder of masks itself. Empty when there is none.
std::string find_mask(const std::string& masks,
                      const std::string& folder,
                      const std::string& picture) {
    const std::string name = base_name(picture);
    const std::string stem = base_name(without_extension(picture));
    for (const std::string& parent : {join_path(masks, folder), masks}) {
        if (path_exists(join_path(parent, name))) return join_path(parent, name);
        std::string path = find_picture(join_path(parent, stem));
        if (!path.empty()) return path;
    }
    return {};
}

// Pictures of folders with masks need one each, those set aside too; those of regularisation may
// have one.
void find_masks(const DatasetOptions& options, ScanResult& result) {
    std::vector<std::string> missing;
    std::string searched;
    const std::vector<ConceptFolder>& folders = result.dataset.folders;
    for (const ConceptFolder& folder : folders) {
        const std::string& masks = folder.mask_of(options.mask).conditioning_data_dir;
        if (masks.empty() || is_directory(masks)) continue;
        throw Error(ErrorCode::kIo, fmt::format("there is no folder {}", masks))
            .with_hint("check conditioning_data_dir");
    }
    for (std::vector<ImageEntry>* images : {&result.dataset.images, &result.validation}) {
        for (ImageEntry& image : *images) {
            const ConceptFolder& folder = folders[static_cast<size_t>(image.folder_idx)];
            const MaskOptions& mask = folder.mask_of(options.mask);
            image.alpha_mask = mask.alpha;
            if (mask.conditioning_data_dir.empty()) continue;
            image.mask_path = find_mask(mask.conditioning_data_dir, folder.name, image.path);
            if (!image.mask_path.empty() || image.is_reg) continue;
            if (missing.empty()) searched = mask.conditioning_data_dir;
            missing.push_back(image.path);
        }
    }
    if (missing.empty()) return;
    throw Error(
        ErrorCode::kData,
        fmt::format(
            "{} pictures have no mask in {}, first {}", missing.size(), searched, missing.front()))
        .with_hint("masks are pictures of the same name and size; white counts, black does not");
}

// Reads one concept folder; pictures that cannot be read are left out with a warning.
std::vector<ImageEntry> scan_folder(ConceptFolder& folder,
                                    const FolderRules& rules,
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
    internal::CaptionReader captions(
        rules.caption_extension, rules.enable_wildcard, rules.fallback);
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
    // Regularisation pictures need no captions.
    if (!folder.is_reg) captions.report_missing(folder.path, diagnostics);
    folder.num_images = std::ssize(images);
    folder.num_without_caption = captions.num_missing();
    folder.caption_extension = rules.caption_extension;
    folder.tag_counts = tags.counts();
    add_trigger(folder, rules, images, diagnostics);
    return images;
}

struct FoundFolder {
    ConceptFolder folder;
    std::vector<ImageEntry> images;
};

// A folder of a parent; nothing where it is of no use.
std::optional<FoundFolder> scan_child(const std::string& path,
                                      bool is_reg,
                                      const DatasetOptions& options,
                                      Diagnostics& diagnostics) {
    const std::string folder_name = base_name(path);
    const auto name = parse_folder_name(folder_name);
    if (!name) {
        warn(diagnostics,
             path,
             fmt::format("folder \"{}\" is ignored: its name does not start with a number of "
                         "repeats and an underscore",
                         folder_name),
             "name it like 10_concept");
        return std::nullopt;
    }
    if (name->repeats < 1) return std::nullopt;
    const ConceptName words = concept_of(path, *name, options.folder_names);
    FoundFolder item;
    item.folder.path = path;
    item.folder.name = folder_name;
    item.folder.concept_name = name->concept_name;
    item.folder.repeats = name->repeats;
    item.folder.is_reg = is_reg;
    item.folder.trigger = words.trigger;
    item.folder.class_name = words.class_name;
    const FolderRules rules = {.caption_extension = options.caption_extension,
                               .enable_wildcard = options.enable_wildcard,
                               .fallback = words.caption,
                               .concept_trigger = options.concept_trigger,
                               .separator = options.caption_separator};
    item.images = scan_folder(item.folder, rules, options, diagnostics);
    if (item.images.empty()) {
        warn(diagnostics,
             path,
             fmt::format("folder \"{}\" is ignored: it holds no usable picture", folder_name));
        return std::nullopt;
    }
    return item;
}

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
        if (!entry.is_directory || entry.name == kUndoFolder) continue;
        auto item = scan_child(join_path(parent, entry.name), is_reg, options, diagnostics);
        if (item) found.push_back(std::move(*item));
    }
    return found;
}

// A folder of a described data set; nothing where it holds no picture.
std::optional<FoundFolder> scan_subset(const SubsetPlan& plan,
                                       const DatasetOptions& options,
                                       Diagnostics& diagnostics) {
    if (!is_directory(plan.image_dir)) {
        throw Error(ErrorCode::kIo, fmt::format("there is no folder {}", plan.image_dir))
            .with_hint(fmt::format("check image_dir in {}", options.dataset_config));
    }
    std::string path = plan.image_dir;
    while (path.size() > 1 && (path.back() == '/' || path.back() == '\\')) path.pop_back();
    FoundFolder item;
    item.folder.path = path;
    item.folder.name = base_name(path);
    item.folder.concept_name = plan.class_tokens.value_or("");
    item.folder.class_tokens = plan.class_tokens;
    item.folder.repeats = plan.num_repeats;
    item.folder.is_reg = plan.is_reg;
    item.folder.trigger = item.folder.concept_name;
    item.folder.options = plan.options;
    const FolderRules rules = {.caption_extension = plan.caption_extension,
                               .enable_wildcard = plan.options.caption.enable_wildcard,
                               .fallback = item.folder.concept_name,
                               .concept_trigger = options.concept_trigger,
                               .separator = plan.options.caption.caption_separator};
    item.images = scan_folder(item.folder, rules, options, diagnostics);
    if (item.images.empty()) {
        warn(diagnostics, path, "this folder holds no usable picture and is left out");
        return std::nullopt;
    }
    return item;
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

ConceptName concept_of(const std::string& path, const FolderName& name, FolderScheme scheme) {
    const std::string own = join_path(path, kConceptFile);
    if (!path_exists(own)) return read_concept(name.concept_name, scheme);
    return concept_of_text(decode_text(read_text_file(own)).utf8);
}

bool is_image_name(std::string_view name) {
    if (name.empty() || name.front() == '.') return false;
    return std::any_of(kImageEndings.begin(), kImageEndings.end(), [&](std::string_view e) {
        return name.ends_with(e);
    });
}

std::string find_picture(const std::string& stem_path) {
    for (const std::string_view ending : kImageEndings) {
        std::string path = stem_path + std::string(ending);
        if (path_exists(path)) return path;
    }
    return {};
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

const CaptionOptions& Dataset::caption_of(const ImageEntry& image,
                                          const CaptionOptions& run) const {
    const auto idx = static_cast<size_t>(image.folder_idx);
    return idx < folders.size() ? folders[idx].caption_of(run) : run;
}

AugmentOptions Dataset::augment_of(const ImageEntry& image, const AugmentOptions& run) const {
    const auto idx = static_cast<size_t>(image.folder_idx);
    return idx < folders.size() ? folders[idx].augment_of(run) : run;
}

namespace {

// Adds folders to the data set; their pictures, to be put into training order.
std::vector<ImageEntry> add_folders(Dataset& dataset, std::vector<FoundFolder> found) {
    std::vector<ImageEntry> images;
    for (FoundFolder& item : found) {
        for (ImageEntry& image : item.images) {
            image.folder_idx = std::ssize(dataset.folders);
            images.push_back(std::move(image));
        }
        dataset.folders.push_back(std::move(item.folder));
    }
    return images;
}

// Takes the pictures of the validation away from those of training folders.
void set_aside(ScanResult& result, std::vector<ImageEntry>& images, double share, uint64_t seed) {
    if (share <= 0) return;
    std::vector<ConceptFolder>& folders = result.dataset.folders;
    const size_t all = images.size();
    std::vector<ImageEntry> validation = split_validation(images, folders, share, seed);
    // Every folder keeps a picture.
    const auto count_of = [&](const ImageEntry& image) -> int64_t& {
        return folders[static_cast<size_t>(image.folder_idx)].num_images;
    };
    for (const ImageEntry& image : images) count_of(image) = 0;
    for (const ImageEntry& image : images) ++count_of(image);
    if (images.size() + validation.size() > all) {
        warn(
            result.diagnostics,
            "validation_split",
            "rounding puts a picture of a folder into training and validation (as sd-scripts does)",
            "choose a share that gives a whole number of pictures");
    }
    std::move(validation.begin(), validation.end(), std::back_inserter(result.validation));
}

// Appends training pictures, then as many regularisation pictures as balance them.
void add_pictures(Dataset& dataset,
                  std::vector<ImageEntry> train,
                  const std::vector<ImageEntry>& reg,
                  double prior_loss_weight) {
    const int64_t target = sum_repeats(train);
    dataset.num_train_images += target;
    dataset.num_reg_images += sum_repeats(reg);
    for (ImageEntry& image : train) dataset.images.push_back(std::move(image));
    for (ImageEntry& image : balance_reg(reg, target)) {
        image.loss_weight = static_cast<float>(prior_loss_weight);
        dataset.images.push_back(std::move(image));
    }
}

ScanResult scan_plans(const DatasetOptions& options) {
    ScanResult result;
    for (const DatasetPlan& plan : options.plans) {
        std::vector<FoundFolder> train;
        std::vector<FoundFolder> reg;
        std::set<std::string> seen;
        for (const SubsetPlan& subset : plan.subsets) {
            if (!seen.insert(subset.image_dir).second) {
                warn(result.diagnostics,
                     subset.image_dir,
                     "this folder is named twice in one data set; the second one is left out");
                continue;
            }
            auto item = scan_subset(subset, options, result.diagnostics);
            if (!item) continue;
            item->folder.dataset_idx = std::ssize(result.dataset.groups);
            (subset.is_reg ? reg : train).push_back(std::move(*item));
        }
        if (train.empty()) {
            warn(result.diagnostics,
                 options.dataset_config,
                 "a data set without a usable training picture is left out");
            continue;
        }
        result.dataset.groups.push_back({plan.batch_size, plan.bucket});
        std::vector<ImageEntry> train_images = add_folders(result.dataset, std::move(train));
        set_aside(result,
                  train_images,
                  plan.validation_split,
                  plan.validation_seed.value_or(options.validation_seed));
        const std::vector<ImageEntry> reg_images = add_folders(result.dataset, std::move(reg));
        add_pictures(
            result.dataset, std::move(train_images), reg_images, options.prior_loss_weight);
    }
    if (result.dataset.images.empty()) {
        throw Error(ErrorCode::kData,
                    fmt::format("no usable picture in the folders of {}", options.dataset_config))
            .with_hint("image_dir names folders that hold the pictures themselves");
    }
    find_masks(options, result);
    return result;
}

}  // namespace

bool DatasetOptions::sets_aside() const {
    if (plans.empty()) return validation_split > 0;
    return std::any_of(plans.begin(), plans.end(), [](const DatasetPlan& plan) {
        return plan.validation_split > 0;
    });
}

ScanResult scan_dataset(const DatasetOptions& options) {
    if (!options.plans.empty()) return scan_plans(options);
    ScanResult result;
    auto train = scan_parent(options.train_data_dir, false, options, result.diagnostics);
    if (train.empty()) throw_nothing_found(options.train_data_dir, result.diagnostics);
    std::vector<ImageEntry> train_images = add_folders(result.dataset, std::move(train));
    set_aside(result, train_images, options.validation_split, options.validation_seed);
    if (const size_t loose = image_names(options.train_data_dir).size(); loose > 0) {
        warn(result.diagnostics,
             options.train_data_dir,
             fmt::format("{} pictures lie beside the concept folders and are not used", loose));
    }
    std::vector<ImageEntry> reg_images;
    if (!options.reg_data_dir.empty()) {
        auto found = scan_parent(options.reg_data_dir, true, options, result.diagnostics);
        if (found.empty()) {
            warn(result.diagnostics,
                 options.reg_data_dir,
                 "no usable regularisation picture in this folder");
        }
        reg_images = add_folders(result.dataset, std::move(found));
    }
    add_pictures(result.dataset, std::move(train_images), reg_images, options.prior_loss_weight);
    find_masks(options, result);
    return result;
}

}  // namespace lora::data

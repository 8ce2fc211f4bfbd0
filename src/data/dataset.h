// Scans kohya's training folders (`<repeats>_<concept>/picture.png` with `picture.txt`): pictures,
// sizes, captions, repeats, tag counts. Not here: decoding pixels, buckets, batches.
// Shapes   sizes are pixels, after EXIF rotation when that is on.
// Errors   kIo: no such folder; kData: nothing usable. What can be worked around is a Diagnostic.
// Source   kohya sd-scripts (training-semantics 1.1 to 1.4).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/diagnostic.h"
#include "data/bucket.h"
#include "data/concept.h"
#include "data/subset.h"

namespace lora::data {

struct DatasetOptions {
    std::string train_data_dir = {};  // parent of the concept folders
    std::string reg_data_dir = {};    // the same for regularisation pictures; may be empty
    std::string caption_extension = ".caption";  // with or without the dot
    bool enable_wildcard = false;                // captions keep all lines
    bool apply_exif = true;                      // sizes as a viewer shows them; kohya: false
    bool check_pixels = true;  // decode every picture once, so that broken ones are left out here
    double prior_loss_weight = 1.0;  // loss weight of regularisation pictures
    FolderScheme folder_names = FolderScheme::kLiteral;
    ConceptTrigger concept_trigger = ConceptTrigger::kFallback;
    std::string caption_separator = ",";  // between a trigger put in front and the rest
    // A description of the data set, read from this file into `plans`; the folders above are not
    // used then.
    std::string dataset_config = {};
    std::vector<DatasetPlan> plans = {};
    double validation_split = 0;   // of folders that are not described; see DatasetPlan
    uint64_t validation_seed = 0;  // which pictures
    MaskOptions mask = {};         // of folders that are not described

    [[nodiscard]] bool sets_aside() const;
};

// One picture. Pictures are kept in training order: train folders, then registered reg pictures.
struct ImageEntry {
    std::string path = {};
    std::string caption = {};  // raw: the file's first line, or the concept
    ImageSize size = {};       // of the whole picture
    int64_t repeats = 1;       // times per epoch
    int64_t folder_idx = 0;    // into Dataset::folders
    bool is_reg = false;
    float loss_weight = 1.0F;
    std::string mask_path = {};  // a picture whose red channel weighs the loss; empty: none
    bool alpha_mask = false;     // without one: the picture's transparency weighs the loss
};

// Tag and count, in order of first appearance.
using TagCounts = std::vector<std::pair<std::string, int64_t>>;

struct ConceptFolder {
    std::string path = {};
    std::string name = {};          // "10_Graf"
    std::string concept_name = {};  // "Graf"; may be empty
    int64_t repeats = 1;
    int64_t num_images = 0;
    bool is_reg = false;
    TagCounts tag_counts = {};  // over captions as the files have them, without repeats
    std::string trigger = {};
    std::string class_name = {};
    bool trigger_in_front = false;    // captions of files got the trigger
    int64_t num_without_caption = 0;  // pictures that have no file of their own
    std::string caption_extension = {};
    std::optional<std::string> class_tokens = {};  // as the data set's description gives them
    std::optional<SubsetOptions> options = {};     // none: the run's
    int64_t dataset_idx = 0;                       // into Dataset::groups

    // The folder's own, else the run's.
    [[nodiscard]] const CaptionOptions& caption_of(const CaptionOptions& run) const {
        return options ? options->caption : run;
    }
    [[nodiscard]] AugmentOptions augment_of(const AugmentOptions& run) const {
        return options ? options->augment : run;
    }
    [[nodiscard]] const MaskOptions& mask_of(const MaskOptions& run) const {
        return options ? options->mask : run;
    }
};

// Folders that share buckets and batches; see DatasetPlan.
struct DatasetGroup {
    int64_t batch_size = 1;
    BucketOptions bucket = {};
};

struct Dataset {
    std::vector<ImageEntry> images = {};
    std::vector<ConceptFolder> folders = {};
    int64_t num_train_images = 0;           // sum of repeats
    int64_t num_reg_images = 0;             // nominal sum of repeats, before balancing
    std::vector<DatasetGroup> groups = {};  // of a described data set; else none

    // Of the picture's folder, else the run's.
    [[nodiscard]] const CaptionOptions& caption_of(const ImageEntry& image,
                                                   const CaptionOptions& run) const;
    [[nodiscard]] AugmentOptions augment_of(const ImageEntry& image,
                                            const AugmentOptions& run) const;
};

struct ScanResult {
    Dataset dataset = {};
    std::vector<ImageEntry> validation = {};  // set aside, each once; folders are dataset's
    Diagnostics diagnostics = {};             // warnings and notes only
};

[[nodiscard]] ScanResult scan_dataset(const DatasetOptions& options);

struct FolderName {
    int64_t repeats = 0;  // may be below 1: such folders are skipped
    std::string concept_name = {};
};
// "<repeats>_<concept>"; nothing when the part before the first underscore is no integer as
// Python's int() reads it (spaces around, sign, decimal digits of any script).
[[nodiscard]] std::optional<FolderName> parse_folder_name(std::string_view name);
// What the folder's kConceptFile says, if it has one; else its name.
[[nodiscard]] ConceptName concept_of(const std::string& path,
                                     const FolderName& name,
                                     FolderScheme scheme);
// Originals that lora tags and lora data keep beside the concept folders; no pictures.
inline constexpr const char* kUndoFolder = ".lora-undo";

// Of pictures that are read.
inline constexpr std::array<std::string_view, 10> kImageEndings = {
    ".png", ".jpg", ".jpeg", ".webp", ".bmp", ".PNG", ".JPG", ".JPEG", ".WEBP", ".BMP"};
[[nodiscard]] bool is_image_name(std::string_view name);
// The picture of this path without its ending, the first of kImageEndings that is there; empty when
// there is none.
[[nodiscard]] std::string find_picture(const std::string& stem_path);

// Counts the tags of raw captions: split at commas, stripped, lower case.
class TagCounter {
public:
    void add(std::string_view caption);
    [[nodiscard]] const TagCounts& counts() const { return counts_; }

private:
    TagCounts counts_;
    std::unordered_map<std::string, size_t> rows_;
};

}  // namespace lora::data

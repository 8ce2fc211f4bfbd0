// What `lora data crop`, `cutout` and `erase` do to a folder of pictures. Results are PNG; nothing
// is overwritten: in place the originals go to .lora-undo (file_changes.h), elsewhere a name that
// is taken by another file is refused. Errors   kIo, kConfig for options; what is wrong with one
// picture is a row of the report. Threads  decodes and computes on all processors. Source   the
// guide (requirements M138, M185 to M190).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tools/cutout.h"
#include "tools/tag_classes.h"

namespace lora::tools {

struct EditOptions {
    std::vector<std::string> inputs = {};  // pictures, concept folders, or the folder above them
    std::string to = {};                   // the folder above new concept folders; empty: in place
    std::string caption_extension = ".txt";
    std::string box = {};   // as parse_box() reads it, for every picture
    std::string mask = {};  // a mask, or a folder of masks named as the pictures; white counts
    bool dry_run = false;
};

struct CropOptions {
    std::string reg_data_dir = {};  // whole pictures go there; empty: nowhere
    std::string class_name = {};    // of the folder there; empty: as the concept folder's name says
    double margin = 0.05;           // kept around the figure, of its sides
    bool plain_too = false;         // pictures with a plain background are cropped as well
};

struct CutOutOptions {
    Colour background = {255, 255, 255};
    std::vector<std::string> tags = {"simple background"};
    bool drop_background_tags = false;  // other tags of that class go
};

struct EraseOptions {
    std::optional<Colour> colour = {};  // none: continued from the surroundings
    int64_t grow_px = 2;                // added around the mask, for soft edges of letters
};

enum class EditOutcome : uint8_t { kDone, kSkipped, kFailed };

struct EditRow {
    std::string path;
    EditOutcome outcome = EditOutcome::kDone;
    std::vector<std::string> written;  // pictures and captions
    std::string note;                  // why it was skipped or failed, or what to think of
};

struct EditReport {
    std::vector<EditRow> rows;
    std::vector<std::string> roots;  // folders that keep an undo of this
    [[nodiscard]] int64_t count(EditOutcome outcome) const;
};

// The part with the figure; the whole picture into REG/1_CLASS.
[[nodiscard]] EditReport crop_figures(const EditOptions& options,
                                      const CropOptions& crop,
                                      const Segmenter& segmenter);
// The figure on a plain background, and the tag that says so.
[[nodiscard]] EditReport cut_out(const EditOptions& options,
                                 const CutOutOptions& how,
                                 const Segmenter& segmenter,
                                 const TagClasses& classes);
// What the mask covers, filled.
[[nodiscard]] EditReport erase(const EditOptions& options, const EraseOptions& how);

// Folders in which undo_changes() may find something of such a run.
[[nodiscard]] std::vector<std::string> edit_roots(const EditOptions& options);

}  // namespace lora::tools

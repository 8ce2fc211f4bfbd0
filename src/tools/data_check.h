// Judges a training folder before anything is trained: levels and names of folders, pictures,
// captions, tags, balance; each finding with what to do about it. Not here: reading the folder for
// training (data/dataset.h), the page of the findings (data_report.h).
// Errors   kIo: no such folder. Everything else is a finding.
// Threads  decodes on all processors.
// Source   the guide (requirements M114, M130, M134, M135, M148 to M150, M161, M154, M173 to M179);
//          pictures: picture_quality.h; likeness: difference hash of 9 x 8 grey pixels.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/diagnostic.h"
#include "tools/file_changes.h"
#include "tools/tag_classes.h"

namespace lora::tools {

struct CheckOptions {
    std::string folder = {};  // parent of the concept folders
    std::string caption_extension = ".txt";
    bool no_decode = false;  // headers and captions alone
    int64_t keep_tokens = 0;
    int64_t max_token_length = 225;
    int64_t epochs = 10;
    int64_t min_side_px = 0;  // 0: 256, or half of what is usual in the folder
    int64_t trained_px = 512;
    bool list_quality = false;  // a note for every picture, the worst first
};

struct CheckFinding {
    Severity severity = Severity::kWarning;
    std::string kind;  // one word that stays the same between versions
    std::string path;
    std::string message;
    std::string fix;
    bool fixable = false;  // by fix_data
};

struct CheckedFolder {
    std::string name;
    std::string trigger;
    int64_t repeats = 0;
    int64_t images = 0;
    int64_t captions = 0;
    double share = 0;  // of an epoch
};

struct CheckReport {
    std::vector<CheckFinding> findings;
    std::vector<CheckedFolder> folders;
    int64_t images = 0;
    // What `--fix` would write: encodings, double tags, wide commas, triggers moved to the front.
    std::vector<FileChange> fixes;
    [[nodiscard]] int64_t count(Severity severity) const;
};

[[nodiscard]] CheckReport check_data(const CheckOptions& options, const TagClasses& classes);

// One page without scripts or links: findings with thumbnails as data URLs.
[[nodiscard]] std::string data_report_html(const CheckReport& report, const std::string& folder);

}  // namespace lora::tools

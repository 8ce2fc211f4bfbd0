// Finds and reads the caption file of a picture (training-semantics 1.3). Used by dataset.cpp.
#pragma once

#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "base/diagnostic.h"
#include "data/dataset.h"

namespace lora::data::internal {

class CaptionReader {
public:
    // `fallback` is the caption of pictures without a file.
    CaptionReader(std::string extension, bool all_lines, std::string fallback);

    // The caption of one picture: first line of the first caption file that exists; the concept
    // when there is none or it is empty.
    [[nodiscard]] std::string read(const std::string& image_path, Diagnostics& diagnostics);
    [[nodiscard]] int64_t num_missing() const { return std::ssize(missing_); }
    // One warning for all pictures without a caption file.
    void report_missing(const std::string& folder, Diagnostics& diagnostics) const;

private:
    std::string extension_;
    bool all_lines_;
    std::string concept_name_;
    std::vector<std::string> missing_;
};

// Files to look for, best first: beside the picture under its own name, then, when the path has at
// least five pieces between underscores, without the last four (`name_cx_cy_w_h.png`).
[[nodiscard]] std::vector<std::string> caption_candidates(const std::string& image_path,
                                                          std::string_view extension);

// First line stripped; with all_lines every line that is not blank, joined by newline.
[[nodiscard]] std::string caption_of_text(std::string_view text, bool all_lines);

}  // namespace lora::data::internal

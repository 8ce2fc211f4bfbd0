#include "data/internal/caption_reader.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/file.h"
#include "base/utf8.h"
#include "text/unicode.h"

namespace lora::data::internal {

namespace {

constexpr size_t kNamesShown = 5;

std::vector<std::string_view> lines_of(std::string_view text) {
    std::vector<std::string_view> lines;
    while (!text.empty()) {
        const size_t end = text.find_first_of("\r\n");
        lines.push_back(text.substr(0, end));
        if (end == std::string_view::npos) break;
        text.remove_prefix(end + (text.substr(end).starts_with("\r\n") ? 2 : 1));
    }
    return lines;
}

}  // namespace

std::vector<std::string> caption_candidates(const std::string& image_path,
                                            std::string_view extension) {
    const std::string stem = without_extension(image_path);
    std::vector<std::string> out = {stem + std::string(extension)};
    size_t cut = std::string::npos;
    for (int piece = 0; piece < 4; ++piece) {
        if (cut == 0) return out;
        cut = stem.rfind('_', cut == std::string::npos ? cut : cut - 1);
        if (cut == std::string::npos) return out;
    }
    out.push_back(stem.substr(0, cut) + std::string(extension));
    return out;
}

std::string caption_of_text(std::string_view text, bool all_lines) {
    std::string out;
    for (const std::string_view raw : lines_of(text)) {
        const std::string_view line = text::strip(raw);
        if (!all_lines) return std::string(line);
        if (line.empty()) continue;
        if (!out.empty()) out += '\n';
        out += line;
    }
    return out;
}

CaptionReader::CaptionReader(std::string extension, bool all_lines, std::string fallback)
    : extension_(std::move(extension)), all_lines_(all_lines), concept_name_(std::move(fallback)) {
    if (!extension_.starts_with('.')) extension_.insert(extension_.begin(), '.');
}

std::string CaptionReader::read(const std::string& image_path, Diagnostics& diagnostics) {
    for (const std::string& path : caption_candidates(image_path, extension_)) {
        if (!path_exists(path) || is_directory(path)) continue;
        const DecodedText decoded = decode_text(read_text_file(path));
        if (decoded.utf8.empty()) {
            diagnostics.push_back(
                {Severity::kWarning,
                 path,
                 fmt::format("the caption file is empty; the concept \"{}\" is used",
                             concept_name_),
                 "write a caption into it or remove it"});
            return concept_name_;
        }
        if (decoded.encoding != TextEncoding::kUtf8) {
            diagnostics.push_back(
                {Severity::kWarning,
                 path,
                 fmt::format("the caption file is not UTF-8; it was read as {}: \"{}\"",
                             encoding_name(decoded.encoding),
                             caption_of_text(decoded.utf8, false)),
                 "save it as UTF-8"});
        }
        return caption_of_text(decoded.utf8, all_lines_);
    }
    missing_.push_back(base_name(image_path));
    return concept_name_;
}

void CaptionReader::report_missing(const std::string& folder, Diagnostics& diagnostics) const {
    if (missing_.empty()) return;
    std::string names;
    for (size_t i = 0; i < std::min(missing_.size(), kNamesShown); ++i) {
        names += (i == 0 ? "" : ", ") + missing_[i];
    }
    if (missing_.size() > kNamesShown) names += ", ...";
    diagnostics.push_back(
        {Severity::kWarning,
         folder,
         fmt::format("{} pictures have no {} file; the concept \"{}\" is their caption: {}",
                     missing_.size(),
                     extension_,
                     concept_name_,
                     names),
         "check caption_extension if they have captions"});
}

}  // namespace lora::data::internal

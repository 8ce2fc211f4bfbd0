#include "train/tag_check.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "base/check.h"
#include "text/unicode.h"

namespace lora::train {

std::vector<TagUse> tags_of(const data::Dataset& dataset, const data::CaptionOptions& run) {
    std::map<std::string, std::vector<int64_t>, std::less<>> found;
    for (size_t i = 0; i < dataset.images.size(); ++i) {
        const data::ImageEntry& image = dataset.images[i];
        if (image.is_reg) continue;
        const std::string& separator = dataset.caption_of(image, run).caption_separator;
        for (const std::string& piece : data::split(image.caption, separator)) {
            const std::string tag(text::strip(piece));
            if (tag.empty()) continue;
            std::vector<int64_t>& images = found[tag];
            const auto idx = static_cast<int64_t>(i);
            if (images.empty() || images.back() != idx) images.push_back(idx);
        }
    }
    std::vector<TagUse> uses;
    uses.reserve(found.size());
    for (auto& [tag, images] : found) uses.push_back({tag, std::move(images)});
    std::stable_sort(uses.begin(), uses.end(), [](const TagUse& a, const TagUse& b) {
        return a.images.size() > b.images.size();
    });
    return uses;
}

std::string without_tag(std::string_view caption,
                        std::string_view tag,
                        std::string_view separator) {
    std::string out;
    bool is_first = true;
    for (const std::string& piece : data::split(caption, separator)) {
        if (text::strip(piece) == tag) continue;
        if (!is_first) out += separator;
        out += piece;
        is_first = false;
    }
    return std::string(text::strip(out));
}

TagKnowledge judge_tag(const TagUse& use,
                       std::span<const double> with_tag,
                       std::span<const double> without) {
    LORA_CHECK(with_tag.size() == without.size() && !with_tag.empty());
    TagKnowledge knowledge{.tag = use.tag, .num_images = std::ssize(use.images)};
    const auto count = static_cast<double>(with_tag.size());
    std::vector<double> gains;
    for (size_t i = 0; i < with_tag.size(); ++i) gains.push_back(1 - with_tag[i] / without[i]);
    for (const double gain : gains) knowledge.gain += gain / count;
    double squares = 0;
    for (const double gain : gains) squares += std::pow(gain - knowledge.gain, 2);
    if (gains.size() > 1) knowledge.error = std::sqrt(squares / (count - 1) / count);
    return knowledge;
}

}  // namespace lora::train

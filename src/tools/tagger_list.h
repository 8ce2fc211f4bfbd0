// selected_tags.csv: what the outputs of a WD14 tagger mean, one row an output.
// Errors   kFormat naming the file and the line; nothing else, whatever the bytes.
// Threads  pure.
// Source   the published models of SmilingWolf: columns tag_id, name, category, count; Danbooru's
//          numbers of categories and 9 for ratings.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lora::tools {

enum class TaggerCategory : uint8_t { kGeneral, kCharacter, kRating };
[[nodiscard]] std::string_view tagger_category_name(TaggerCategory category);

struct TaggerTag {
    std::string name;  // as published: underscores, no blanks around
    TaggerCategory category = TaggerCategory::kGeneral;
};

// `what` names the file in errors. Other categories (artists, works) count as general.
[[nodiscard]] std::vector<TaggerTag> read_tagger_list(std::string_view text,
                                                      const std::string& what);

}  // namespace lora::tools

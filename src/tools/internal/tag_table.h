// The words behind tag_classes.h: tags of each class, separated by commas, and the words that rules
// are made of. Used by tag_classes.cpp.
#pragma once

#include <span>
#include <string_view>

#include "tools/tag_classes.h"

namespace lora::tools::internal {

struct TagList {
    TagClass tag_class = TagClass::kOther;
    std::string_view tags;
};
[[nodiscard]] std::span<const TagList> tag_table();

// Words before "hair", "eyes" and the like that make a trait of it.
[[nodiscard]] std::string_view colours();
[[nodiscard]] std::string_view hair_words();    // long, wavy, ...
[[nodiscard]] std::string_view breast_words();  // large, flat, ...
[[nodiscard]] std::string_view animals();       // before ears, tail, horns, wings
[[nodiscard]] std::string_view hair_styles();   // last words that make a trait: ponytail, bangs
[[nodiscard]] std::string_view garments();      // last words that make clothing: skirt, boots
// Words that make a garment's tag tell something else: "hand under skirt", "no shoes".
[[nodiscard]] std::string_view garment_guards();

}  // namespace lora::tools::internal

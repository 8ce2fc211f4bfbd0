// What the name of a concept folder says: the trigger word and the class.
// Not here: the number in front (parse_folder_name in dataset.h).
// Threads  pure.
// Source   the guide's three schemes (`4_Kamisato_Ayaka`, `6_miku 1girl`, `5_miku_dress`);
//          sd-scripts, which takes everything behind the first underscore as it stands.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace lora::data {

enum class FolderScheme : uint8_t {
    kLiteral,      // the trigger is the whole name, underscores and all
    kGuide,        // underscores are spaces; what follows the first space is the class
    kClassSuffix,  // underscores are spaces; what follows the last one is the class, for sorting
};

// When the trigger becomes part of captions that come from files.
enum class ConceptTrigger : uint8_t {
    kFallback,  // never: it is the caption of pictures without one
    kPrepend,   // put in front of every caption that does not name it
    kAuto,      // so, in folders where no caption names it
};

struct ConceptName {
    std::string trigger = {};     // as a prompt would have it
    std::string class_name = {};  // empty: none
    std::string caption = {};     // of pictures without a caption file
    bool operator==(const ConceptName&) const = default;
};

// `name` stands behind the number: "miku 1girl".
[[nodiscard]] ConceptName read_concept(std::string_view name, FolderScheme scheme);

// A folder's own words for its trigger and class, when its name cannot say them.
inline constexpr const char* kConceptFile = "_concept.txt";
// The text of that file: trigger in the first line, class in the second.
[[nodiscard]] ConceptName concept_of_text(std::string_view text);

// Whether the caption holds the trigger as words of its own; letters of either case.
[[nodiscard]] bool names_trigger(std::string_view caption, std::string_view trigger);

// The trigger as first tag of every line.
[[nodiscard]] std::string with_trigger(std::string_view caption,
                                       std::string_view trigger,
                                       std::string_view separator);

}  // namespace lora::data

// nlohmann::json under our name; parse errors become lora::Error in base/json.cpp.
#pragma once

#include <string_view>

#include <nlohmann/json.hpp>

namespace lora {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;

// Parses UTF-8 text. Errors  Error{kFormat} naming `what` and the position; depth is limited.
[[nodiscard]] Json parse_json(std::string_view text, std::string_view what);
// The same, and an object that names a key twice is an error.
[[nodiscard]] Json parse_json_with_unique_keys(std::string_view text, std::string_view what);

}  // namespace lora

// Text as a TOML value.
#pragma once

#include <string>
#include <string_view>

namespace lora::config {

// A literal where that can hold the text: single quotes keep backslashes of Windows paths as they
// are. The text is valid UTF-8.
[[nodiscard]] std::string toml_text(std::string_view text);

}  // namespace lora::config

// Paths as settings of any system write them.
#pragma once

#include <string>

namespace lora::config {

// Settings travel between systems: sd-models\x.safetensors works everywhere. A file that really has
// a backslash in its name, and \\server\share, stay as they are.
[[nodiscard]] std::string with_forward_slashes(const std::string& path);

}  // namespace lora::config

#include "config/internal/paths.h"

#include <algorithm>

#include "base/file.h"

namespace lora::config {

std::string with_forward_slashes(const std::string& path) {
    if (path.starts_with("\\\\") || path.find('\\') == std::string::npos || path_exists(path)) {
        return path;
    }
    std::string out = path;
    std::replace(out.begin(), out.end(), '\\', '/');
    return out;
}

}  // namespace lora::config

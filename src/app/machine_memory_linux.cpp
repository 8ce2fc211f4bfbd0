#include <algorithm>
#include <string>
#include <string_view>

#include "app/internal/machine_memory.h"
#include "base/file.h"
#include "config/settings.h"

namespace lora::app {
namespace {

// The number after `key` in kB lines like "MemTotal:  16318 kB".
uint64_t field_bytes(std::string_view text, std::string_view key) {
    const size_t at = text.find(key);
    if (at == std::string_view::npos) return 0;
    text.remove_prefix(at + key.size());
    uint64_t value = 0;
    bool seen = false;
    for (const char c : text) {
        if (c >= '0' && c <= '9') {
            value = value * 10 + static_cast<uint64_t>(c - '0');
            seen = true;
        } else if (seen || c == '\n') {
            break;
        }
    }
    return value * 1024;
}

// The limit of the container this process lives in; 0: none.
uint64_t container_bytes(const std::string& path) {
    if (!path_exists(path)) return 0;
    std::string text = read_text_file(path);
    while (text.ends_with('\n')) text.pop_back();
    return static_cast<uint64_t>(std::max<int64_t>(0, config::parse_int(text).value_or(0)));
}

}  // namespace

MachineMemory look_at_memory() {
    MachineMemory memory;
    if (!path_exists("/proc/meminfo")) return memory;
    const std::string text = read_text_file("/proc/meminfo");
    memory.total_bytes = field_bytes(text, "MemTotal:");
    memory.free_bytes = field_bytes(text, "MemAvailable:");
    const uint64_t limit = container_bytes("/sys/fs/cgroup/memory.max");
    if (limit > 0 && limit < memory.total_bytes) {
        const uint64_t used = container_bytes("/sys/fs/cgroup/memory.current");
        memory.total_bytes = limit;
        memory.free_bytes = std::min(memory.free_bytes, limit - std::min(limit, used));
    }
    return memory;
}

}  // namespace lora::app

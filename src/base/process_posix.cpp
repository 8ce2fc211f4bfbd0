#include <array>
#include <cstdlib>
#include <sys/mman.h>
#include <unistd.h>

#include "base/process.h"

namespace lora {

void restart_with(const char* variable, const char* value, char** argv) {
    if (std::getenv(variable) != nullptr) return;
    if (::setenv(variable, value, 0) != 0) return;
#ifdef __linux__
    // By its own name, which is what lists of processes show. Comes back only where the system has
    // no /proc; then nothing is lost but the setting.
    std::array<char, 4096> path{};
    const ssize_t length = ::readlink("/proc/self/exe", path.data(), path.size() - 1);
    if (length > 0) ::execv(path.data(), argv);
#else
    static_cast<void>(argv);
#endif
}

void prefer_large_pages([[maybe_unused]] void* data, [[maybe_unused]] std::size_t size_bytes) {
#ifdef MADV_HUGEPAGE
    static_cast<void>(::madvise(data, size_bytes, MADV_HUGEPAGE));
#endif
}

}  // namespace lora

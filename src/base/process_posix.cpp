#include <cstdlib>
#include <unistd.h>

#include "base/process.h"

namespace lora {

void restart_with(const char* variable, const char* value, char** argv) {
    if (std::getenv(variable) != nullptr) return;
    if (::setenv(variable, value, 0) != 0) return;
#ifdef __linux__
    // Comes back only where the system has no /proc; then nothing is lost but the setting.
    ::execv("/proc/self/exe", argv);
#else
    static_cast<void>(argv);
#endif
}

}  // namespace lora

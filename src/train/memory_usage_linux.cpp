#include <cstdlib>
#include <fstream>
#include <string>

#include "train/memory_usage.h"

namespace lora::train {
namespace {

// "VmHWM:    123456 kB"
size_t status_field(const std::string& name) {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);) {
        if (line.rfind(name, 0) == 0) {
            return static_cast<size_t>(std::strtoull(line.c_str() + name.size(), nullptr, 10)) *
                   1024U;
        }
    }
    return 0;
}

}  // namespace

size_t resident_bytes() { return status_field("VmRSS:"); }

size_t peak_resident_bytes() { return status_field("VmHWM:"); }

bool reset_peak_resident() {
    std::ofstream clear("/proc/self/clear_refs");
    clear << "5";
    clear.flush();
    return clear.good();
}

}  // namespace lora::train

// A shared library of the machine, opened at run time: graphics drivers and what else may be
// absent. Not for libraries that the program needs to start. Threads  const access from many
// threads is fine.
#pragma once

#include <memory>
#include <string>
#include <vector>

namespace lora {

class DynamicLibrary {
public:
    // The first of `names` that can be opened; null when none can. Names are file names that the
    // system looks up, or UTF-8 paths.
    [[nodiscard]] static std::unique_ptr<DynamicLibrary> open(
        const std::vector<std::string>& names);
    ~DynamicLibrary();
    DynamicLibrary(const DynamicLibrary&) = delete;
    DynamicLibrary& operator=(const DynamicLibrary&) = delete;

    // Null when the library has no such symbol.
    [[nodiscard]] void* symbol(const char* name) const;
    [[nodiscard]] const std::string& name() const { return name_; }

private:
    DynamicLibrary(void* handle, std::string name) : handle_(handle), name_(std::move(name)) {}
    void* handle_;
    std::string name_;
};

}  // namespace lora

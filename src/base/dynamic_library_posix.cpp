#include <dlfcn.h>

#include "base/dynamic_library.h"

namespace lora {

std::unique_ptr<DynamicLibrary> DynamicLibrary::open(const std::vector<std::string>& names) {
    for (const std::string& name : names) {
        void* handle = ::dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
        if (handle != nullptr) {
            return std::unique_ptr<DynamicLibrary>(new DynamicLibrary(handle, name));
        }
    }
    return nullptr;
}

DynamicLibrary::~DynamicLibrary() { ::dlclose(handle_); }

void* DynamicLibrary::symbol(const char* name) const { return ::dlsym(handle_, name); }

}  // namespace lora

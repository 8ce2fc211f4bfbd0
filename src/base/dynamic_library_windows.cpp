#include <windows.h>

#include "base/dynamic_library.h"
#include "base/utf8.h"

namespace lora {

std::unique_ptr<DynamicLibrary> DynamicLibrary::open(const std::vector<std::string>& names) {
    for (const std::string& name : names) {
        // Never the working directory: a picture folder must not be able to bring code along.
        HMODULE handle =
            ::LoadLibraryExW(utf8_to_wide(name).c_str(),
                             nullptr,
                             LOAD_LIBRARY_SEARCH_DEFAULT_DIRS | LOAD_LIBRARY_SEARCH_SYSTEM32);
        if (handle != nullptr) {
            return std::unique_ptr<DynamicLibrary>(new DynamicLibrary(handle, name));
        }
    }
    return nullptr;
}

DynamicLibrary::~DynamicLibrary() { ::FreeLibrary(static_cast<HMODULE>(handle_)); }

void* DynamicLibrary::symbol(const char* name) const {
    return reinterpret_cast<void*>(::GetProcAddress(static_cast<HMODULE>(handle_), name));
}

}  // namespace lora

#include "app/backends.h"
#include "app/internal/backends_cuda.h"
#include "base/check.h"

namespace lora::app {

void add_cuda(backend::Registry& registry) {
    backend::BackendEntry entry;
    entry.name = "cuda";
    entry.unavailable_reason = [] {
        return std::string("this program was built without CUDA kernels");
    };
    entry.open = [](const backend::BackendOptions&) -> std::unique_ptr<backend::Backend> {
        LORA_CHECK(false, "the registry opens no backend that is unavailable");
        return nullptr;
    };
    entry.priority = 20;
    registry.add(std::move(entry));
}

std::vector<std::pair<std::string, std::string>> vendor_libraries() { return {}; }

}  // namespace lora::app

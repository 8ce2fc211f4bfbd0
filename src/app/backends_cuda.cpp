#include "app/internal/backends_cuda.h"

#include "app/backends.h"
#include "backend/cuda/cuda_backend.h"
#include "backend/cuda/vendor_products.h"

namespace lora::app {

void add_cuda(backend::Registry& registry) { registry.add(cuda::entry()); }

std::vector<std::pair<std::string, std::string>> vendor_libraries() {
    std::vector<std::pair<std::string, std::string>> list;
    for (const cuda::VendorLibrary& library : cuda::find_vendor_libraries()) {
        list.emplace_back(library.name, library.version);
    }
    return list;
}

}  // namespace lora::app

#include "app/backends.h"

#include "backend/cpu/cpu_backend.h"
#include "backend/reference/reference_backend.h"

namespace lora::app {

const backend::Registry& all_backends() {
    static const backend::Registry kRegistry = [] {
        backend::Registry registry;
        registry.add(reference::entry());
        registry.add(cpu::entry());
        return registry;
    }();
    return kRegistry;
}

}  // namespace lora::app

#include "app/backends.h"

#include "app/internal/backends_cuda.h"
#include "backend/cpu/cpu_backend.h"
#include "backend/reference/reference_backend.h"
#include "base/file.h"

namespace lora::app {

const backend::Registry& all_backends() {
    static const backend::Registry kRegistry = [] {
        backend::Registry registry;
        registry.add(reference::entry());
        registry.add(cpu::entry());
        add_cuda(registry);
        return registry;
    }();
    return kRegistry;
}

void prepare_backends(char** argv) { cpu::let_idle_threads_sleep(argv); }

backend::BackendOptions backend_options(int num_threads, bool autotune) {
    backend::BackendOptions options;
    options.num_threads = num_threads;
    options.autotune = autotune;
    options.tuning_file = join_path(join_path(program_folder(), "cache"), "cuda_kernels.json");
    return options;
}

}  // namespace lora::app

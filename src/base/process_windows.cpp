#include "base/process.h"

namespace lora {

void restart_with(const char*, const char*, char**) {}

void prefer_large_pages(void*, std::size_t) {}

}  // namespace lora

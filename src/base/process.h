// The running program itself.
#pragma once

#include <cstddef>

namespace lora {

// Sets an environment variable that shared libraries read while the system loads them, before
// main() runs: where it is unset, sets it and starts the program again in the same process, with
// the arguments `argv`. For the first lines of main(), before any thread. Returns where it is set
// already, where that fails, and on Windows, where none of our libraries needs it.
void restart_with(const char* variable, const char* value, char** argv);

// Asks for large pages (2 MiB) in memory of that alignment that nothing was written to yet; only
// faster. Threads  any.
void prefer_large_pages(void* data, std::size_t size_bytes);

}  // namespace lora

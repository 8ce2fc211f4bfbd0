// The running program itself. Threads  before any other thread is started.
#pragma once

namespace lora {

// Sets an environment variable that shared libraries read while the system loads them, before
// main() runs: where it is unset, sets it and starts the program again in the same process, with
// the arguments `argv`. Returns where it is set already, where that fails, and on Windows, where
// none of our libraries needs it.
void restart_with(const char* variable, const char* value, char** argv);

}  // namespace lora

// Findings about the user's input on their way to the screen or into one Error.
#pragma once

#include "base/diagnostic.h"
#include "base/error.h"

namespace lora::app {

// One Error{kConfig} that shows every error of the list; nothing happens when it holds none.
void raise_errors(const Diagnostics& findings);

// Logs warnings and notes.
void log_warnings(const Diagnostics& findings);

}  // namespace lora::app

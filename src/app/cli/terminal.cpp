// The part of terminal.h that is the same everywhere.
#include "app/cli/terminal.h"

#include <cstdio>

namespace lora::app {

void print_out(std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
}

void print_err(std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stderr);
    std::fflush(stderr);
}

}  // namespace lora::app

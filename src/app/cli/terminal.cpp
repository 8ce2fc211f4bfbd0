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

void print_json(const OrderedJson& json, int indent) {
    print_out(json.dump(indent, ' ', false, OrderedJson::error_handler_t::replace) + "\n");
}

}  // namespace lora::app

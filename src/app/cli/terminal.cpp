// The part of terminal.h that is the same everywhere.
#include "app/cli/terminal.h"

#include <cstdio>

#include "base/utf8.h"

namespace lora::app {
namespace {

void print(std::string_view text, std::FILE* file) {
    const std::string repaired =
        is_valid_utf8(text) ? std::string() : utf32_to_utf8(utf8_to_utf32(text));
    if (!repaired.empty()) text = repaired;
    std::fwrite(text.data(), 1, text.size(), file);
    std::fflush(file);
}

}  // namespace

std::string printable(std::string_view name) {
    std::string out = utf32_to_utf8(utf8_to_utf32(name));
    for (char& c : out) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
    }
    return out;
}

void print_out(std::string_view text) { print(text, stdout); }

void print_err(std::string_view text) { print(text, stderr); }

void print_json(const OrderedJson& json, int indent) {
    print_out(json.dump(indent, ' ', false, OrderedJson::error_handler_t::replace) + "\n");
}

}  // namespace lora::app

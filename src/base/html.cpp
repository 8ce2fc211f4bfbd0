#include "base/html.h"

#include "base/utf8.h"

namespace lora {

std::string html_text(std::string_view text) {
    std::string safe;
    std::string repaired;
    if (!is_valid_utf8(text)) {  // a file's name for instance
        repaired = utf32_to_utf8(utf8_to_utf32(text));
        text = repaired;
    }
    for (const char c : text) {
        switch (c) {
            case '&': safe += "&amp;"; break;
            case '<': safe += "&lt;"; break;
            case '>': safe += "&gt;"; break;
            case '"': safe += "&quot;"; break;
            case '\'': safe += "&#39;"; break;
            default: safe += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
        }
    }
    return safe;
}

}  // namespace lora

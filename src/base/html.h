// Text made safe for HTML pages, inside and outside of quotes.
// Threads  pure.
#pragma once

#include <string>
#include <string_view>

namespace lora {

// &, <, > and quotes as entities, control characters as blanks, what is no UTF-8 replaced.
[[nodiscard]] std::string html_text(std::string_view text);

}  // namespace lora

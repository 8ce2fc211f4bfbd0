// Words and numbers in what people write: options, lists, prompt files. Letters are ASCII.
// Not for text in any language (utf8.h). Threads  pure.
#pragma once

#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lora {

// The number that the whole text is; nothing else.
template <typename T>
[[nodiscard]] std::optional<T> parse_number(std::string_view text) {
    T value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value;
}

// Without the given letters at both ends.
[[nodiscard]] std::string_view trimmed(std::string_view text, std::string_view dropped = " \t\r\n");

// Every piece between the separators, empty ones too; one piece for an empty text.
[[nodiscard]] std::vector<std::string_view> split(std::string_view text, char separator);

[[nodiscard]] std::string lower_ascii(std::string_view text);

// Every occurrence, from left to right; what was put in is not looked at again. Nothing for an
// empty `from`.
void replace_all(std::string& text, std::string_view from, std::string_view to);

}  // namespace lora

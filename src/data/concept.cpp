#include "data/concept.h"

#include <algorithm>

#include "base/words.h"
#include "text/unicode.h"

namespace lora::data {
namespace {

std::string with_spaces(std::string_view text) {
    std::string out(text);
    std::replace(out.begin(), out.end(), '_', ' ');
    return std::string(text::strip(out));
}

// A byte of a word: letters and digits of any script.
bool is_word_byte(char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte >= 0x80 || (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
           (byte >= 'A' && byte <= 'Z');
}

}  // namespace

ConceptName read_concept(std::string_view name, FolderScheme scheme) {
    ConceptName out;
    if (scheme == FolderScheme::kLiteral) {
        out.trigger = name;
        out.caption = name;
        return out;
    }
    const char border = scheme == FolderScheme::kGuide ? ' ' : '_';
    const size_t at = scheme == FolderScheme::kGuide ? name.find(border) : name.rfind(border);
    out.trigger = with_spaces(name.substr(0, at));
    if (at != std::string_view::npos) out.class_name = with_spaces(name.substr(at + 1));
    if (out.trigger.empty()) std::swap(out.trigger, out.class_name);
    out.caption = out.trigger;
    if (scheme == FolderScheme::kGuide && !out.class_name.empty()) {
        out.caption += " " + out.class_name;
    }
    return out;
}

ConceptName concept_of_text(std::string_view text) {
    const std::vector<std::string_view> lines = lora::split(text, '\n');
    ConceptName out;
    out.trigger = text::strip(lines.front());
    if (lines.size() > 1) out.class_name = text::strip(lines[1]);
    out.caption = out.trigger;
    if (!out.class_name.empty()) out.caption += (out.caption.empty() ? "" : " ") + out.class_name;
    return out;
}

bool names_trigger(std::string_view caption, std::string_view trigger) {
    const std::string wanted = text::lower_utf8(trigger);
    if (wanted.empty()) return true;
    const std::string where = text::lower_utf8(caption);
    for (size_t at = 0; (at = where.find(wanted, at)) != std::string::npos; ++at) {
        const size_t end = at + wanted.size();
        const bool begins = at == 0 || !is_word_byte(where[at - 1]) || !is_word_byte(wanted[0]);
        const bool ends =
            end == where.size() || !is_word_byte(where[end]) || !is_word_byte(wanted.back());
        if (begins && ends) return true;
    }
    return false;
}

std::string with_trigger(std::string_view caption,
                         std::string_view trigger,
                         std::string_view separator) {
    std::string out;
    for (const std::string_view line : lora::split(caption, '\n')) {
        if (!out.empty()) out += '\n';
        out += trigger;
        if (!line.empty()) {
            out += separator;
            out += ' ';
            out += line;
        }
    }
    return out;
}

}  // namespace lora::data

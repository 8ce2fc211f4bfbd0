#include <algorithm>

#include "base/words.h"
#include "net/internal/http.h"

namespace lora::net {

void take_header_line(std::string_view line, HttpHead& head) {
    line = trimmed(line);
    if (line.starts_with("HTTP/")) {
        // What an earlier answer said of the file behind it stays.
        HttpHead fresh;
        fresh.linked_etag = head.linked_etag;
        const size_t blank = std::min(line.find(' '), line.size());
        fresh.status = parse_number<int>(trimmed(line.substr(blank)).substr(0, 3)).value_or(0);
        head = std::move(fresh);
        return;
    }
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) return;
    const std::string name = lower_ascii(trimmed(line.substr(0, colon)));
    const std::string value(trimmed(line.substr(colon + 1)));
    if (name == "content-length") head.content_length = parse_number<uint64_t>(value);
    if (name == "content-range") head.content_range = value;
    if (name == "etag") head.etag = value;
    if (name == "last-modified") head.last_modified = value;
    if (name == "x-linked-etag") head.linked_etag = value;
}

}  // namespace lora::net

// One GET over the system's own HTTP client: libcurl, opened at run time (http_curl.cpp), or
// WinHTTP (http_windows.cpp). Not here: tries, ranges, files (download.cpp). Threads  any; one
// request runs on the calling thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>

namespace lora::net {

struct HttpRequest {
    std::string url;
    uint64_t from_byte = 0;  // over 0: a Range header
    std::string if_range;    // empty: none
    std::string ca_file;     // empty: the system's
    std::chrono::seconds stall{30};
    std::stop_token stop;
};

// Of the last answer, behind redirects.
struct HttpHead {
    int status = 0;
    std::optional<uint64_t> content_length;
    std::string content_range;
    std::string etag;
    std::string last_modified;
    std::string linked_etag;  // of any answer on the way: Hugging Face's sha256 of large files
};

enum class HttpEnd {
    kDone,       // the whole answer has arrived
    kStopped,    // a callback said no
    kBroken,     // on the way; worth another try
    kNoNetwork,  // no connection could be made at all
    kRefused,    // no other try will do better: a certificate, a protocol, a loop of redirects
};

struct HttpOutcome {
    HttpEnd end = HttpEnd::kDone;
    std::string why;  // in words, when not kDone
};

struct HttpSink {
    std::function<bool(const HttpHead&)> head;             // once, before the first byte
    std::function<bool(std::span<const std::byte>)> body;  // false ends the request
};

// Errors  kDevice when this machine has no HTTP client. Exceptions of the sink pass through.
[[nodiscard]] HttpOutcome http_get(const HttpRequest& request, const HttpSink& sink);
[[nodiscard]] std::string http_client_name();

// Takes one header line, "Name: value", into the head; a status line begins a new head.
void take_header_line(std::string_view line, HttpHead& head);

}  // namespace lora::net

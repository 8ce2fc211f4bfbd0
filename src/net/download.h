// One file from the web onto this disk, in as many tries as it takes: what has arrived stays in
// `<path>.part` and is continued, by the same command too, as long as the server still has the same
// file. Not here: which files there are (tools/model_catalog.h).
// Errors   kIo: no network, refused by the server, disk full, not the file that was asked for;
//          kConfig: an address that is none; kCancelled: stopped (what has arrived stays).
// Threads  one download of a path at a time.
// Source   RFC 9110 (ranges, If-Range, entity tags).
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>
#include <string_view>

namespace lora::net {

struct DownloadProgress {
    uint64_t bytes = 0;           // on disk
    uint64_t total_bytes = 0;     // 0: the server does not say
    double bytes_per_second = 0;  // over the last seconds
};

struct DownloadOptions {
    std::string url = {};                    // https://, or http:// where that is asked for
    std::string path = {};                   // the file to write; only ever a whole one
    std::string sha256 = {};                 // empty: not known
    uint64_t max_bytes = uint64_t{1} << 37;  // more is refused
    std::string ca_file = {};  // certificates to trust; empty: CURL_CA_BUNDLE, SSL_CERT_FILE, the
                               // system's
    int max_retries = 8;       // in a row without a byte of progress
    std::chrono::milliseconds first_wait{500};  // doubles up to half a minute
    std::chrono::seconds stall{30};             // without a byte, the connection is given up
    std::function<void(const DownloadProgress&)> progress = {};
    std::stop_token stop = {};
};

struct DownloadResult {
    uint64_t bytes = 0;
    uint64_t resumed_bytes = 0;  // were there from an earlier run
    int64_t connections = 0;
    std::string sha256 = {};
    bool is_checked = false;      // against DownloadOptions::sha256
    bool matches_server = false;  // the server named the hash of its file, and it is this
};

[[nodiscard]] DownloadResult download(const DownloadOptions& options);

// The file name that an address ends in, as this disk may have it. Servers never choose names.
// Errors  kConfig when it ends in none.
[[nodiscard]] std::string file_name_of_url(std::string_view url);

// Whether downloads are possible here: the name of what does them, or empty.
[[nodiscard]] std::string transport_name();

}  // namespace lora::net

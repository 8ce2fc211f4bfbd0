// libcurl's easy interface, opened at run time: the program starts where it is absent. Declarations
// are our own; numbers are those of curl/curl.h, fixed for libcurl.so.4 since 2006.
#include <exception>
#include <memory>
#include <mutex>

#include <fmt/format.h>

#include "base/dynamic_library.h"
#include "base/error.h"
#include "net/internal/http.h"

namespace lora::net {
namespace {

// CURLOPT_*: 0 long, 10000 pointer, 20000 function.
enum Option : int {
    kUrl = 10002,
    kWriteData = 10001,
    kRange = 10007,
    kErrorBuffer = 10010,
    kUserAgent = 10018,
    kHttpHeader = 10023,
    kHeaderData = 10029,
    kProgressData = 10057,
    kCaFile = 10065,
    kNoProgress = 43,
    kFollow = 52,
    kMaxRedirects = 68,
    kConnectTimeout = 78,
    kNoSignal = 99,
    kLowSpeedLimit = 19,
    kLowSpeedTime = 20,
    kProtocols = 181,
    kRedirectProtocols = 182,
    kWriteFunction = 20011,
    kHeaderFunction = 20079,
    kProgressFunction = 20219,
};
constexpr long kGlobalAll = 3;
constexpr long kProtocolHttp = 1;
constexpr long kProtocolHttps = 2;
constexpr size_t kErrorSize = 256;
constexpr long kConnectSeconds = 20;

struct Curl {
    std::unique_ptr<DynamicLibrary> library;
    int (*global_init)(long) = nullptr;
    void* (*easy_init)() = nullptr;
    int (*set)(void*, int, ...) = nullptr;
    int (*perform)(void*) = nullptr;
    void (*cleanup)(void*) = nullptr;
    const char* (*error_text)(int) = nullptr;
    void* (*append)(void*, const char*) = nullptr;
    void (*free_list)(void*) = nullptr;
    const char* (*version)() = nullptr;
};

template <typename Fn>
bool find(const DynamicLibrary& library, const char* name, Fn& out) {
    out = reinterpret_cast<Fn>(library.symbol(name));
    return out != nullptr;
}

Curl open_curl() {
    Curl curl;
    curl.library = DynamicLibrary::open({"libcurl.so.4", "libcurl-gnutls.so.4"});
    if (curl.library == nullptr) return {};
    const DynamicLibrary& library = *curl.library;
    const bool is_whole = find(library, "curl_global_init", curl.global_init) &&
                          find(library, "curl_easy_init", curl.easy_init) &&
                          find(library, "curl_easy_setopt", curl.set) &&
                          find(library, "curl_easy_perform", curl.perform) &&
                          find(library, "curl_easy_cleanup", curl.cleanup) &&
                          find(library, "curl_easy_strerror", curl.error_text) &&
                          find(library, "curl_slist_append", curl.append) &&
                          find(library, "curl_slist_free_all", curl.free_list) &&
                          find(library, "curl_version", curl.version);
    if (!is_whole || curl.global_init(kGlobalAll) != 0) return {};
    return curl;
}

const Curl& curl() {
    static const Curl kCurl = open_curl();
    return kCurl;
}

// What the callbacks need; exceptions must not cross the library.
struct Transfer {
    const HttpRequest* request;
    const HttpSink* sink;
    HttpHead head;
    bool head_was_told = false;
    bool was_stopped = false;
    std::exception_ptr trouble;

    template <typename Fn>
    bool guarded(Fn&& fn) {
        try {
            if (fn()) return true;
        } catch (...) {
            trouble = std::current_exception();
        }
        was_stopped = true;
        return false;
    }
    bool tell_head() {
        if (head_was_told) return true;
        head_was_told = true;
        return guarded([&] { return sink->head(head); });
    }
};

size_t on_header(char* data, size_t size, size_t count, void* user) {
    auto& transfer = *static_cast<Transfer*>(user);
    const size_t bytes = size * count;
    return transfer.guarded([&] {
        take_header_line(std::string_view(data, bytes), transfer.head);
        return true;
    })
               ? bytes
               : 0;
}

size_t on_body(char* data, size_t size, size_t count, void* user) {
    auto& transfer = *static_cast<Transfer*>(user);
    const size_t bytes = size * count;
    if (!transfer.tell_head()) return 0;
    const bool goes_on = transfer.guarded([&] {
        return transfer.sink->body({reinterpret_cast<const std::byte*>(data), bytes});
    });
    return goes_on ? bytes : 0;
}

int on_progress(void* user, int64_t, int64_t, int64_t, int64_t) {
    auto& transfer = *static_cast<Transfer*>(user);
    if (!transfer.request->stop.stop_requested()) return 0;
    transfer.was_stopped = true;
    return 1;
}

// curl/curl.h's CURLcode.
HttpEnd end_of(int code) {
    switch (code) {
        case 0: return HttpEnd::kDone;
        case 5:  // the proxy's name
        case 6:  // the host's name
        case 7:  // no connection
            return HttpEnd::kNoNetwork;
        case 1:   // protocol
        case 3:   // address
        case 4:   // built without
        case 47:  // redirects
        case 51:
        case 60:  // certificate
        case 77:  // file of certificates
            return HttpEnd::kRefused;
        default: return HttpEnd::kBroken;
    }
}

}  // namespace

HttpOutcome http_get(const HttpRequest& request, const HttpSink& sink) {
    const Curl& api = curl();
    if (api.perform == nullptr) {
        throw Error(ErrorCode::kDevice, "libcurl, which fetches files, was not found")
            .with_hint("install libcurl4, or get the file with another program");
    }
    const std::unique_ptr<void, void (*)(void*)> handle(api.easy_init(), api.cleanup);
    if (handle == nullptr) throw Error(ErrorCode::kDevice, "libcurl cannot start");
    void* easy = handle.get();
    Transfer transfer{&request, &sink, {}, false, false, nullptr};
    std::string error(kErrorSize, '\0');
    void* list = nullptr;
    if (!request.if_range.empty()) {
        list = api.append(list, fmt::format("If-Range: {}", request.if_range).c_str());
    }
    const std::unique_ptr<void, void (*)(void*)> headers(list, api.free_list);
    const std::string range = fmt::format("{}-", request.from_byte);
    const bool is_plain = request.url.starts_with("http://");
    const long protocols = is_plain ? kProtocolHttp | kProtocolHttps : kProtocolHttps;
    api.set(easy, kUrl, request.url.c_str());
    api.set(easy, kUserAgent, "lora.cpp");
    api.set(easy, kErrorBuffer, error.data());
    api.set(easy, kNoSignal, 1L);
    api.set(easy, kFollow, 1L);
    api.set(easy, kMaxRedirects, 10L);
    api.set(easy, kProtocols, protocols);
    api.set(easy, kRedirectProtocols, protocols);
    api.set(easy, kConnectTimeout, kConnectSeconds);
    api.set(easy, kLowSpeedLimit, 1L);
    api.set(easy, kLowSpeedTime, static_cast<long>(request.stall.count()));
    if (request.from_byte > 0) api.set(easy, kRange, range.c_str());
    if (list != nullptr) api.set(easy, kHttpHeader, list);
    if (!request.ca_file.empty()) api.set(easy, kCaFile, request.ca_file.c_str());
    api.set(easy, kHeaderFunction, &on_header);
    api.set(easy, kHeaderData, static_cast<void*>(&transfer));
    api.set(easy, kWriteFunction, &on_body);
    api.set(easy, kWriteData, static_cast<void*>(&transfer));
    api.set(easy, kNoProgress, 0L);
    api.set(easy, kProgressFunction, &on_progress);
    api.set(easy, kProgressData, static_cast<void*>(&transfer));
    const int code = api.perform(easy);
    if (code == 0) transfer.tell_head();  // an answer without a body
    if (transfer.trouble) std::rethrow_exception(transfer.trouble);
    if (transfer.was_stopped) return {HttpEnd::kStopped, "stopped"};
    const std::string detail = error.c_str();
    return {end_of(code), detail.empty() ? api.error_text(code) : detail};
}

std::string http_client_name() { return curl().version == nullptr ? "" : curl().version(); }

}  // namespace lora::net

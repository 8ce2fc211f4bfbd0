// WinHTTP, which is part of Windows.
#include <algorithm>
#include <memory>
#include <span>
#include <vector>
#include <windows.h>
#include <winhttp.h>

#include <fmt/format.h>

#include "base/error.h"
#include "base/utf8.h"
#include "net/internal/http.h"

namespace lora::net {
namespace {

constexpr DWORD kBufferBytes = 1 << 16;
constexpr int kConnectMs = 20'000;

struct Closer {
    void operator()(HINTERNET handle) const { WinHttpCloseHandle(handle); }
};
using Handle = std::unique_ptr<void, Closer>;

HttpOutcome outcome_of(DWORD code) {
    const std::string why = fmt::format("WinHTTP error {}", code);
    switch (code) {
        case ERROR_WINHTTP_NAME_NOT_RESOLVED:
            return {HttpEnd::kNoNetwork, "the name of the host cannot be resolved"};
        case ERROR_WINHTTP_CANNOT_CONNECT:
            return {HttpEnd::kNoNetwork, "no connection could be made"};
        case ERROR_WINHTTP_SECURE_FAILURE:
            return {HttpEnd::kRefused, "the server's certificate is not trusted"};
        case ERROR_WINHTTP_REDIRECT_FAILED: return {HttpEnd::kRefused, "too many redirects"};
        case ERROR_WINHTTP_INVALID_URL:
        case ERROR_WINHTTP_UNRECOGNIZED_SCHEME: return {HttpEnd::kRefused, "no such address"};
        case ERROR_WINHTTP_TIMEOUT: return {HttpEnd::kBroken, "the server does not answer"};
        case ERROR_WINHTTP_CONNECTION_ERROR: return {HttpEnd::kBroken, "the connection was broken"};
        default: return {HttpEnd::kBroken, why};
    }
}

// Every header line of the last answer.
HttpHead read_head(HINTERNET request) {
    DWORD bytes = 0;
    WinHttpQueryHeaders(request,
                        WINHTTP_QUERY_RAW_HEADERS_CRLF,
                        WINHTTP_HEADER_NAME_BY_INDEX,
                        nullptr,
                        &bytes,
                        WINHTTP_NO_HEADER_INDEX);
    std::wstring raw(bytes / sizeof(wchar_t) + 1, L'\0');
    HttpHead head;
    if (!WinHttpQueryHeaders(request,
                             WINHTTP_QUERY_RAW_HEADERS_CRLF,
                             WINHTTP_HEADER_NAME_BY_INDEX,
                             raw.data(),
                             &bytes,
                             WINHTTP_NO_HEADER_INDEX)) {
        return head;
    }
    raw.resize(bytes / sizeof(wchar_t));
    const std::string text = wide_to_utf8(raw);
    for (size_t at = 0; at < text.size();) {
        const size_t end = std::min(text.find('\n', at), text.size());
        take_header_line(std::string_view(text).substr(at, end - at), head);
        at = end + 1;
    }
    return head;
}

struct Address {
    std::wstring host;
    std::wstring path;
    INTERNET_PORT port = 0;
    bool is_secure = true;
};

bool crack(const std::wstring& url, Address& out) {
    URL_COMPONENTS parts{};
    parts.dwStructSize = sizeof(parts);
    parts.dwHostNameLength = static_cast<DWORD>(-1);
    parts.dwUrlPathLength = static_cast<DWORD>(-1);
    parts.dwExtraInfoLength = static_cast<DWORD>(-1);
    if (!WinHttpCrackUrl(url.c_str(), 0, 0, &parts)) return false;
    out.host.assign(parts.lpszHostName, parts.dwHostNameLength);
    out.path.assign(parts.lpszUrlPath, parts.dwUrlPathLength);
    out.path.append(parts.lpszExtraInfo, parts.dwExtraInfoLength);
    out.port = parts.nPort;
    out.is_secure = parts.nScheme == INTERNET_SCHEME_HTTPS;
    return true;
}

Handle open_session() {
    // Automatic: the proxy of the user's settings, Windows 8.1 and later.
    Handle session(WinHttpOpen(L"lora.cpp",
                               WINHTTP_ACCESS_TYPE_AUTOMATIC_PROXY,
                               WINHTTP_NO_PROXY_NAME,
                               WINHTTP_NO_PROXY_BYPASS,
                               0));
    if (session == nullptr) {
        session.reset(WinHttpOpen(L"lora.cpp",
                                  WINHTTP_ACCESS_TYPE_DEFAULT_PROXY,
                                  WINHTTP_NO_PROXY_NAME,
                                  WINHTTP_NO_PROXY_BYPASS,
                                  0));
    }
    return session;
}

HttpOutcome read_body(HINTERNET request, const HttpRequest& asked, const HttpSink& sink) {
    std::vector<std::byte> buffer(kBufferBytes);
    for (;;) {
        if (asked.stop.stop_requested()) return {HttpEnd::kStopped, "stopped"};
        DWORD got = 0;
        if (!WinHttpReadData(request, buffer.data(), kBufferBytes, &got)) {
            return outcome_of(GetLastError());
        }
        if (got == 0) return {};
        if (!sink.body(std::span(buffer).first(got))) return {HttpEnd::kStopped, "stopped"};
    }
}

}  // namespace

HttpOutcome http_get(const HttpRequest& request, const HttpSink& sink) {
    Address address;
    if (!crack(utf8_to_wide(request.url), address)) return {HttpEnd::kRefused, "no such address"};
    const Handle session = open_session();
    if (session == nullptr) return outcome_of(GetLastError());
    const int stall_ms = static_cast<int>(request.stall.count() * 1000);
    WinHttpSetTimeouts(session.get(), kConnectMs, kConnectMs, stall_ms, stall_ms);
    const Handle connection(WinHttpConnect(session.get(), address.host.c_str(), address.port, 0));
    if (connection == nullptr) return outcome_of(GetLastError());
    const Handle handle(WinHttpOpenRequest(connection.get(),
                                           L"GET",
                                           address.path.c_str(),
                                           nullptr,
                                           WINHTTP_NO_REFERER,
                                           WINHTTP_DEFAULT_ACCEPT_TYPES,
                                           address.is_secure ? WINHTTP_FLAG_SECURE : 0));
    if (handle == nullptr) return outcome_of(GetLastError());
    // From https never to http.
    DWORD policy = WINHTTP_OPTION_REDIRECT_POLICY_DISALLOW_HTTPS_TO_HTTP;
    WinHttpSetOption(handle.get(), WINHTTP_OPTION_REDIRECT_POLICY, &policy, sizeof(policy));
    std::wstring headers;
    if (request.from_byte > 0) {
        headers += utf8_to_wide(fmt::format("Range: bytes={}-\r\n", request.from_byte));
    }
    if (!request.if_range.empty()) {
        headers += utf8_to_wide(fmt::format("If-Range: {}\r\n", request.if_range));
    }
    const bool is_sent =
        WinHttpSendRequest(handle.get(),
                           headers.empty() ? WINHTTP_NO_ADDITIONAL_HEADERS : headers.c_str(),
                           static_cast<DWORD>(headers.size()),
                           WINHTTP_NO_REQUEST_DATA,
                           0,
                           0,
                           0) &&
        WinHttpReceiveResponse(handle.get(), nullptr);
    if (!is_sent) return outcome_of(GetLastError());
    if (!sink.head(read_head(handle.get()))) return {HttpEnd::kStopped, "stopped"};
    return read_body(handle.get(), request, sink);
}

std::string http_client_name() { return "WinHTTP"; }

}  // namespace lora::net

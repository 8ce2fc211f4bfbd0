#include "net/download.h"

#include <algorithm>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <optional>

#include <fmt/format.h>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "base/part_file.h"
#include "base/words.h"
#include "net/internal/http.h"

namespace lora::net {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kLongestWait{30'000};
constexpr uint64_t kSpareDiskBytes = uint64_t{16} << 20;

// What the part on disk is a part of; lies beside it as <part>.json.
struct PartOrigin {
    std::string url;
    std::string validator;  // a strong entity tag, or a date of change; empty: none was given
    uint64_t total = 0;     // 0: unknown
};

struct ContentRange {
    uint64_t first = 0;
    uint64_t last = 0;
    uint64_t total = 0;
};

// "bytes 100-199/200"; nothing when it says anything else.
std::optional<ContentRange> parse_content_range(std::string_view text) {
    text = trimmed(text);
    if (!lower_ascii(text).starts_with("bytes ")) return std::nullopt;
    text = trimmed(text.substr(6));
    const size_t dash = text.find('-');
    const size_t slash = text.find('/');
    if (dash == std::string_view::npos || slash == std::string_view::npos || dash > slash) {
        return std::nullopt;
    }
    const auto first = parse_number<uint64_t>(text.substr(0, dash));
    const auto last = parse_number<uint64_t>(text.substr(dash + 1, slash - dash - 1));
    const auto total = parse_number<uint64_t>(text.substr(slash + 1));
    if (!first || !last || !total || *last < *first || *last >= *total) return std::nullopt;
    return ContentRange{*first, *last, *total};
}

// If-Range takes strong entity tags and dates only (RFC 9110 13.1.5).
std::string validator_of(const HttpHead& head) {
    if (head.etag.starts_with('"')) return head.etag;
    return head.etag.empty() ? head.last_modified : "";
}

// The hash that Hugging Face gives for large files.
std::string server_hash(const HttpHead& head) {
    const std::string hash = lower_ascii(trimmed(head.linked_etag, "\""));
    const bool is_hash =
        hash.size() == 64 && hash.find_first_not_of("0123456789abcdef") == std::string::npos;
    return is_hash ? hash : "";
}

std::string certificates(const std::string& named) {
    if (!named.empty()) {
        if (!path_exists(named)) {
            throw Error(ErrorCode::kIo, fmt::format("there is no file {}", named))
                .with_hint("ca_file names the certificates to trust, in PEM form");
        }
        return named;
    }
    for (const char* name : {"CURL_CA_BUNDLE", "SSL_CERT_FILE"}) {
        const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe)
        if (value != nullptr && *value != '\0') return value;
    }
    return "";
}

class Download {
public:
    explicit Download(const DownloadOptions& options)
        : options_(options),
          part_path_(options.path + ".part"),
          origin_path_(options.path + ".part.json"),
          ca_file_(certificates(options.ca_file)) {}

    DownloadResult run() {
        read_origin();
        PartFile part(part_path_);
        if (part.size_bytes() > 0 && (!origin_ || origin_->validator.empty())) part.truncate();
        part_ = &part;
        result_.resumed_bytes = part.size_bytes();
        transfer();
        part.close();
        result_.bytes = part.size_bytes();
        check_hash();
        part.finish(options_.path);
        remove_file_if_exists(origin_path_);
        return std::move(result_);
    }

private:
    void read_origin() {
        if (!path_exists(origin_path_) || !path_exists(part_path_)) return;
        // Whatever is wrong with this file: the download begins anew.
        const Json json = Json::parse(read_text_file(origin_path_), nullptr, false);
        if (!json.is_object()) return;
        const auto text = [&](const char* name) {
            const auto found = json.find(name);
            return found != json.end() && found->is_string() ? found->get<std::string>() : "";
        };
        const auto total = json.find("total");
        if (total == json.end() || !total->is_number_unsigned()) return;
        origin_ = PartOrigin{text("url"), text("validator"), total->get<uint64_t>()};
    }

    void write_origin() {
        write_file_atomically(
            origin_path_,
            Json{
                {"url", origin_->url}, {"validator", origin_->validator}, {"total", origin_->total}}
                .dump());
    }

    void transfer() {
        int tries = 0;  // in a row without progress
        bool has_met_server = false;
        for (;;) {
            const uint64_t before = part_->size_bytes();
            trouble_.clear();
            retry_ = false;
            restarted_ = false;
            const HttpOutcome outcome = http_get(request(), sink());
            ++result_.connections;
            if (options_.stop.stop_requested()) {
                throw Error(ErrorCode::kCancelled, "the download was stopped")
                    .with_hint("the same command goes on from there");
            }
            if (outcome.end == HttpEnd::kDone && !retry_ && is_whole()) return;
            has_met_server = has_met_server || head_.status != 0;
            const std::string why = reason(outcome);
            if (outcome.end == HttpEnd::kRefused) refuse(why);
            tries = part_->size_bytes() > before && !restarted_ ? 0 : tries + 1;
            // Where nothing ever answers, waiting long helps nobody.
            const int allowed =
                has_met_server ? options_.max_retries : std::min(options_.max_retries, 2);
            if (tries > allowed) give_up(outcome, why, has_met_server);
            log::info("{}; going on from {} bytes", why, part_->size_bytes());
            wait(tries);
        }
    }

    [[nodiscard]] bool is_whole() const {
        return origin_ && (origin_->total == 0 || part_->size_bytes() == origin_->total);
    }

    [[nodiscard]] std::string reason(const HttpOutcome& outcome) const {
        if (!trouble_.empty()) return trouble_;
        if (outcome.end != HttpEnd::kDone) return outcome.why;
        return "the connection ended before the file did";
    }

    [[noreturn]] void refuse(const std::string& why) const {
        throw Error(ErrorCode::kIo, fmt::format("cannot fetch {}: {}", options_.url, why))
            .with_hint(
                "this address or its certificate is not acceptable; certificates of your own "
                "are named with ca_file or SSL_CERT_FILE");
    }

    [[noreturn]] void give_up(const HttpOutcome& outcome,
                              const std::string& why,
                              bool has_met_server) const {
        Error error(ErrorCode::kIo, fmt::format("cannot fetch {}: {}", options_.url, why));
        if (outcome.end == HttpEnd::kNoNetwork && !has_met_server) {
            throw std::move(error).with_hint(
                "is there a network? a proxy is read from https_proxy; models may also be copied "
                "in by hand");
        }
        throw std::move(error).with_hint(
            "what has arrived is kept: the same command goes on from there");
    }

    void wait(int tries) {
        const auto longest = std::max(options_.first_wait, kLongestWait);
        const auto time = std::min(options_.first_wait * (1 << std::min(tries, 10)), longest);
        std::mutex mutex;
        std::unique_lock lock(mutex);
        std::condition_variable_any condition;
        condition.wait_for(lock, options_.stop, time, [] { return false; });
    }

    [[nodiscard]] HttpRequest request() const {
        HttpRequest out;
        out.url = options_.url;
        out.ca_file = ca_file_;
        out.stall = options_.stall;
        out.stop = options_.stop;
        // Without a validator nobody could tell whether it is still the same file.
        if (part_->size_bytes() > 0 && origin_ && !origin_->validator.empty()) {
            out.from_byte = part_->size_bytes();
            out.if_range = origin_->validator;
        }
        return out;
    }

    HttpSink sink() {
        head_ = {};
        return {[this](const HttpHead& head) { return take_head(head); },
                [this](std::span<const std::byte> bytes) { return take_body(bytes); }};
    }

    // False ends the request; trouble_ says why, and retry_ whether another try makes sense.
    bool try_again(std::string why) {
        trouble_ = std::move(why);
        retry_ = true;
        return false;
    }

    void begin_anew() {
        if (part_->size_bytes() == 0) return;
        log::info("beginning anew: the server does not go on with the same file");
        part_->truncate();
        result_.resumed_bytes = 0;
        restarted_ = true;
    }

    bool take_head(const HttpHead& head) {
        head_ = head;
        if (const std::string hash = server_hash(head); !hash.empty()) server_hash_ = hash;
        switch (head.status) {
            case 200: return take_whole(head);
            case 206: return take_rest(head);
            case 416: return take_no_rest(head);
            case 408:
            case 425:
            case 429:
            case 500:
            case 502:
            case 503:
            case 504: return try_again(fmt::format("the server answers {}", head.status));
            default: break;
        }
        Error error(
            ErrorCode::kIo,
            fmt::format("cannot fetch {}: the server answers {}", options_.url, head.status));
        if (head.status == 404 || head.status == 410) {
            throw std::move(error).with_hint(
                "the file is not there; lora fetch --list names models");
        }
        if (head.status == 401 || head.status == 403) {
            throw std::move(error).with_hint(
                "the site wants a login or an agreement first; fetch it in a browser");
        }
        throw error;
    }

    bool take_whole(const HttpHead& head) {
        begin_anew();
        origin_ = PartOrigin{options_.url, validator_of(head), head.content_length.value_or(0)};
        check_size(origin_->total);
        write_origin();
        return true;
    }

    bool take_rest(const HttpHead& head) {
        const auto range = parse_content_range(head.content_range);
        const uint64_t have = part_->size_bytes();
        const std::string validator = validator_of(head);
        const bool fits = have > 0 && range && range->first == have &&
                          range->last + 1 == range->total &&
                          (origin_->total == 0 || range->total == origin_->total) &&
                          (validator.empty() || validator == origin_->validator) &&
                          head.content_length.value_or(range->total - have) == range->total - have;
        if (!fits) {  // another file, or a server that cannot count
            begin_anew();
            return try_again("the server sent another part than the one that was asked for");
        }
        if (origin_->total == 0) {
            origin_->total = range->total;
            check_size(origin_->total);
            write_origin();
        }
        return true;
    }

    // Asked behind the end: everything is there already, or the file is another one.
    bool take_no_rest(const HttpHead& head) {
        const std::string everything = fmt::format("bytes */{}", part_->size_bytes());
        const bool is_complete =
            origin_ && part_->size_bytes() > 0 && trimmed(head.content_range) == everything;
        if (is_complete) {
            origin_->total = part_->size_bytes();
            is_past_end_ = true;
            return true;
        }
        begin_anew();
        return try_again("the server has another file now");
    }

    void check_size(uint64_t total) const {
        if (total > options_.max_bytes) {
            throw Error(ErrorCode::kIo,
                        fmt::format("{} is announced with {} bytes; {} are allowed",
                                    options_.url,
                                    total,
                                    options_.max_bytes))
                .with_hint("raise max_size if that is right");
        }
        const std::string folder = parent_path(options_.path);
        const uint64_t room = free_disk_bytes(folder.empty() ? "." : folder);
        if (total > part_->size_bytes() && total - part_->size_bytes() + kSpareDiskBytes > room) {
            throw Error(ErrorCode::kIo,
                        fmt::format("{} bytes are missing and the disk of {} has room for {}",
                                    total - part_->size_bytes(),
                                    options_.path,
                                    room))
                .with_hint("free some space on that disk and try again");
        }
    }

    bool take_body(std::span<const std::byte> bytes) {
        if (is_past_end_) return true;  // a page that says so
        const uint64_t limit = origin_->total > 0 ? origin_->total : options_.max_bytes;
        if (bytes.size() > limit - std::min(limit, part_->size_bytes())) {
            throw Error(ErrorCode::kIo,
                        fmt::format("{} sends more than the {} {} bytes",
                                    options_.url,
                                    limit,
                                    origin_->total > 0 ? "announced" : "allowed"))
                .with_hint("try again, or another mirror");
        }
        part_->write(bytes);
        tell_progress(bytes.size());
        return true;
    }

    void tell_progress(size_t bytes) {
        const auto now = Clock::now();
        window_bytes_ += bytes;
        const double seconds = std::chrono::duration<double>(now - window_start_).count();
        constexpr double kWindowSeconds = 3;
        if (seconds >= kWindowSeconds || (rate_ == 0 && seconds > 0.3)) {
            rate_ = static_cast<double>(window_bytes_) / seconds;
            window_bytes_ = 0;
            window_start_ = now;
        }
        if (options_.progress) options_.progress({part_->size_bytes(), origin_->total, rate_});
    }

    void check_hash() {
        result_.sha256 = sha256_file_hex(part_path_);
        const std::string wanted = lower_ascii(options_.sha256);
        result_.matches_server = !server_hash_.empty() && server_hash_ == result_.sha256;
        result_.is_checked = !wanted.empty();
        const std::string& expected = wanted.empty() ? server_hash_ : wanted;
        if (expected.empty() || expected == result_.sha256) return;
        // Nothing of it can be trusted; keeping it would spoil the next try.
        remove_file_if_exists(part_path_);
        remove_file_if_exists(origin_path_);
        throw Error(ErrorCode::kIo,
                    fmt::format("{} is not the file it should be: its SHA-256 is {}, expected {}",
                                options_.url,
                                result_.sha256,
                                expected))
            .with_hint("it was removed; try again, or another mirror");
    }

    const DownloadOptions& options_;
    std::string part_path_;
    std::string origin_path_;
    std::string ca_file_;
    PartFile* part_ = nullptr;
    std::optional<PartOrigin> origin_;
    HttpHead head_;
    std::string server_hash_;
    std::string trouble_;
    bool retry_ = false;
    bool restarted_ = false;
    bool is_past_end_ = false;
    uint64_t window_bytes_ = 0;
    double rate_ = 0;
    Clock::time_point window_start_ = Clock::now();
    DownloadResult result_;
};

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

}  // namespace

DownloadResult download(const DownloadOptions& options) {
    if (!options.url.starts_with("https://") && !options.url.starts_with("http://")) {
        throw Error(ErrorCode::kConfig, fmt::format("{} is no web address", options.url))
            .with_hint("addresses begin with https://");
    }
    const std::string folder = parent_path(options.path);
    if (!folder.empty()) make_directories(folder);
    return Download(options).run();
}

std::string file_name_of_url(std::string_view url) {
    const size_t scheme = url.find("://");
    std::string_view rest = scheme == std::string_view::npos ? url : url.substr(scheme + 3);
    rest = rest.substr(0, rest.find_first_of("?#"));
    const size_t slash = rest.rfind('/');
    const std::string_view raw =
        slash == std::string_view::npos ? std::string_view() : rest.substr(slash + 1);
    std::string name;
    for (size_t i = 0; i < raw.size(); ++i) {
        const bool is_code = raw[i] == '%' && i + 2 < raw.size() && hex_digit(raw[i + 1]) >= 0 &&
                             hex_digit(raw[i + 2]) >= 0;
        const char c = is_code
                           ? static_cast<char>(hex_digit(raw[i + 1]) * 16 + hex_digit(raw[i + 2]))
                           : raw[i];
        if (is_code) i += 2;
        const auto byte = static_cast<unsigned char>(c);
        const bool is_bad = byte < 0x20 || byte == 0x7F ||
                            std::string_view("/\\:*?\"<>|").find(c) != std::string_view::npos;
        name += is_bad ? '_' : c;
    }
    while (name.ends_with('.') || name.ends_with(' ')) name.pop_back();  // Windows drops them
    if (name.empty() || name.find_first_not_of("._ ") == std::string::npos) {
        throw Error(ErrorCode::kConfig, fmt::format("{} ends in no file name", url))
            .with_hint("name the file with output_name");
    }
    return name;
}

std::string transport_name() { return http_client_name(); }

}  // namespace lora::net

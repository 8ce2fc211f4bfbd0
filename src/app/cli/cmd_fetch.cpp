// `lora fetch`: models from the web.
#include <chrono>

#include <fmt/format.h>

#include "app/cli/command.h"
#include "app/cli/progress.h"
#include "app/cli/stop.h"
#include "app/cli/terminal.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "tools/fetch.h"
#include "tools/model_catalog.h"

namespace lora::app {
namespace {

std::string size_text(uint64_t bytes) {
    return bytes < uint64_t{10} << 20 ? fmt::format("{} bytes", bytes) : bytes_text(bytes);
}

// A line with rate and time left, drawn again on a screen, now and then elsewhere.
class TransferLine {
public:
    TransferLine() : is_terminal_(stderr_is_terminal()) {}
    ~TransferLine() { clear(); }
    TransferLine(const TransferLine&) = delete;
    TransferLine& operator=(const TransferLine&) = delete;

    void begin(const std::string& path) {
        clear();
        name_ = base_name(path);
        last_ = {};
    }

    void show(const net::DownloadProgress& progress) {
        using std::chrono::milliseconds;
        const auto now = std::chrono::steady_clock::now();
        if (now - last_ < (is_terminal_ ? milliseconds(200) : milliseconds(10'000))) return;
        last_ = now;
        std::string text = fmt::format("{}: {}", name_, bytes_text(progress.bytes));
        if (progress.total_bytes > 0) text += " of " + bytes_text(progress.total_bytes);
        if (progress.bytes_per_second > 0) {
            text +=
                fmt::format(", {}/s", bytes_text(static_cast<uint64_t>(progress.bytes_per_second)));
            if (progress.total_bytes > progress.bytes) {
                const auto left = static_cast<double>(progress.total_bytes - progress.bytes);
                text += fmt::format(", {} left", duration_text(left / progress.bytes_per_second));
            }
        }
        is_shown_ = is_terminal_;
        print_err(is_terminal_ ? "\r\x1b[K" + text : text + "\n");
    }

    void clear() {
        if (is_shown_) print_err("\r\x1b[K");
        is_shown_ = false;
    }

private:
    bool is_terminal_;
    bool is_shown_ = false;
    std::string name_;
    std::chrono::steady_clock::time_point last_{};
};

void print_list(const std::string& folder, bool as_json) {
    OrderedJson rows = OrderedJson::array();
    std::string text;
    for (const tools::CatalogModel& model : tools::catalog()) {
        OrderedJson files = OrderedJson::array();
        bool is_here = true;
        bool is_checked = true;
        for (const tools::CatalogFile& file : model.files) {
            const std::string home = model.is_tagger ? join_path(folder, model.name) : folder;
            const std::string path = join_path(home, base_name(file.path));
            is_here = is_here && path_exists(path);
            is_checked = is_checked && !file.sha256.empty();
            files.push_back({{"url", tools::file_url(tools::mirrors().front(), model, file)},
                             {"path", path},
                             {"sha256", file.sha256}});
        }
        rows.push_back({{"name", model.name},
                        {"about", model.about},
                        {"repository", model.repository},
                        {"is_here", is_here},
                        {"files", files}});
        text += fmt::format("{:<20}{:<42}{}{}{}\n",
                            model.name,
                            model.repository,
                            model.about,
                            is_checked ? "" : "; hash not known",
                            is_here ? "; is here" : "");
    }
    if (as_json) {
        print_json({{"folder", folder}, {"models", rows}}, 1);
    } else {
        print_out(text + fmt::format("They are fetched to {}\n", folder));
    }
}

const char* check_text(const tools::FetchedFile& file) {
    if (file.result.is_checked) return "SHA-256 checked";
    if (file.result.matches_server) return "SHA-256 as the server says";
    return "SHA-256 not checked";
}

OrderedJson file_json(const tools::FetchedFile& file) {
    return {{"path", file.path},
            {"url", file.url},
            {"fetched", !file.url.empty()},
            {"bytes", file.result.bytes},
            {"resumed_bytes", file.result.resumed_bytes},
            {"connections", file.result.connections},
            {"sha256", file.result.sha256},
            {"checked", file.result.is_checked},
            {"matches_server", file.result.matches_server}};
}

tools::FetchOptions options_of(const config::Loaded& loaded) {
    const config::Settings& settings = loaded.settings;
    tools::FetchOptions options;
    options.what = loaded.positionals.front();
    options.folder = settings.text("output_dir");
    options.output_name = settings.text("output_name");
    options.mirror = settings.text("mirror");
    options.force = settings.flag("force");
    options.transfer.sha256 = settings.text("sha256");
    options.transfer.ca_file = settings.text("ca_file");
    options.transfer.max_retries = static_cast<int>(settings.integer("max_retries"));
    options.transfer.first_wait =
        std::chrono::milliseconds(static_cast<int64_t>(settings.number("retry_wait") * 1000));
    const auto limit = config::parse_bytes(settings.text("max_size"));
    if (!limit || *limit == 0) {
        throw Error(ErrorCode::kConfig,
                    fmt::format("max_size {} is no size", settings.text("max_size")))
            .with_hint("such as 8G or 500M");
    }
    options.transfer.max_bytes = *limit;
    const std::string& hash = options.transfer.sha256;
    if (!hash.empty() && (hash.size() != 64 ||
                          hash.find_first_not_of("0123456789abcdefABCDEF") != std::string::npos)) {
        throw Error(ErrorCode::kConfig, fmt::format("sha256 {} is no SHA-256", hash))
            .with_hint("64 digits of 0 to 9 and a to f");
    }
    return options;
}

}  // namespace

int run_fetch(const Context& /*context*/, const config::Loaded& loaded) {
    const config::Settings& settings = loaded.settings;
    const bool as_json = settings.flag("json");
    if (settings.flag("list")) {
        const std::string folder = settings.text("output_dir");
        print_list(folder.empty() ? tools::default_model_folder() : folder, as_json);
        return 0;
    }
    if (loaded.positionals.empty()) {
        throw Error(ErrorCode::kConfig, "a name or an address is missing")
            .with_hint("lora fetch --list names the models");
    }
    tools::FetchOptions options = options_of(loaded);
    const StopSignals signals;
    TransferLine line;
    options.transfer.stop = signals.token();
    options.transfer.progress = [&](const net::DownloadProgress& now) { line.show(now); };
    options.begins = [&](const std::string& path) { line.begin(path); };
    const auto files = tools::fetch(options);
    line.clear();
    OrderedJson rows = OrderedJson::array();
    for (const tools::FetchedFile& file : files) {
        rows.push_back(file_json(file));
        if (as_json) continue;
        print_out(fmt::format("{}: {}{}, {}\n",
                              file.path,
                              size_text(file.result.bytes),
                              file.url.empty() ? ", was there already" : "",
                              check_text(file)));
    }
    if (as_json) print_json({{"files", rows}}, 1);
    return 0;
}

}  // namespace lora::app

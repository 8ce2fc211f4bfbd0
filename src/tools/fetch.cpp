#include "tools/fetch.h"

#include <cstdlib>
#include <optional>

#include <fmt/format.h>

#include "base/attempt.h"
#include "base/check.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/words.h"
#include "tools/model_catalog.h"

namespace lora::tools {
namespace {

bool is_address(const std::string& what) { return what.find("://") != std::string::npos; }

std::vector<std::string> sites(const FetchOptions& options) {
    if (!options.mirror.empty()) {
        if (!is_address(options.mirror)) return {"https://" + options.mirror};
        return {options.mirror};
    }
    std::vector<std::string> out;
    const char* named = std::getenv("HF_ENDPOINT");  // NOLINT(concurrency-mt-unsafe)
    if (named != nullptr && *named != '\0') out.emplace_back(named);
    for (const std::string_view site : mirrors()) out.emplace_back(site);
    return out;
}

// What lies there already, if that is the file.
std::optional<FetchedFile> already_there(const std::string& path, const std::string& sha256) {
    if (!path_exists(path)) return std::nullopt;
    FetchedFile file{path, "", {}};
    file.result.bytes = file_size_bytes(path);
    if (sha256.empty()) return file;
    file.result.sha256 = sha256_file_hex(path);
    file.result.is_checked = true;
    if (file.result.sha256 == lower_ascii(sha256)) return file;
    throw Error(ErrorCode::kIo,
                fmt::format("{} is there and is another file: its SHA-256 is {}, expected {}",
                            path,
                            file.result.sha256,
                            sha256))
        .with_hint("--force replaces it");
}

FetchedFile fetch_file(const FetchOptions& options,
                       const std::vector<std::string>& urls,
                       const std::string& path,
                       const std::string& sha256) {
    if (!options.force) {
        if (auto file = already_there(path, sha256)) return *std::move(file);
    }
    if (options.begins) options.begins(path);
    std::optional<Error> trouble;
    for (const std::string& url : urls) {
        if (trouble) log::warning("{}; trying {}", trouble->message(), url);
        FetchedFile file{path, url, {}};
        net::DownloadOptions transfer = options.transfer;
        transfer.url = url;
        transfer.path = path;
        transfer.sha256 = sha256;
        trouble = attempt([&] { file.result = net::download(transfer); });
        if (!trouble) return file;
        if (trouble->code() != ErrorCode::kIo) break;
    }
    LORA_CHECK(trouble.has_value(), "an address at least");
    throw *std::move(trouble);
}

std::string checked_name(const std::string& name) {
    const bool is_bad =
        name.find_first_of("/\\:") != std::string::npos || name == "." || name == "..";
    if (is_bad) {
        throw Error(ErrorCode::kConfig, fmt::format("output_name {} is no file name", name))
            .with_hint("output_dir names the folder");
    }
    return name;
}

}  // namespace

std::vector<FetchedFile> fetch(const FetchOptions& options) {
    const std::string folder = options.folder.empty() ? default_model_folder() : options.folder;
    if (is_address(options.what)) {
        const std::string name = options.output_name.empty() ? net::file_name_of_url(options.what)
                                                             : checked_name(options.output_name);
        return {
            fetch_file(options, {options.what}, join_path(folder, name), options.transfer.sha256)};
    }
    const CatalogModel* model = find_model(options.what);
    if (model == nullptr) {
        throw Error(ErrorCode::kConfig, fmt::format("no model is known as {}", options.what))
            .with_hint(
                "lora fetch --list names them; other files are fetched by their https:// "
                "address");
    }
    // Taggers are two files that belong together.
    const std::string home = model->is_tagger ? join_path(folder, model->name) : folder;
    std::vector<FetchedFile> out;
    for (const CatalogFile& file : model->files) {
        std::vector<std::string> urls;
        for (const std::string& site : sites(options)) urls.push_back(file_url(site, *model, file));
        out.push_back(fetch_file(
            options, urls, join_path(home, base_name(file.path)), std::string(file.sha256)));
    }
    return out;
}

}  // namespace lora::tools

// Brings models of the catalog, or a file of any address, onto this disk.
// Not here: the transfer (net/download.h), the table (model_catalog.h).
// Errors   kConfig: an unknown name; those of net/download.h when no mirror has the file.
// Threads  one fetch of a file at a time.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "net/download.h"

namespace lora::tools {

struct FetchOptions {
    std::string what = {};         // a name of the catalog, its repository, or an address
    std::string folder = {};       // empty: default_model_folder()
    std::string output_name = {};  // for addresses; empty: as the address ends
    std::string mirror = {};       // empty: HF_ENDPOINT, then the catalog's
    bool force = false;            // fetch what is there already
    std::function<void(const std::string& path)> begins = {};  // before each transfer
    net::DownloadOptions transfer = {};  // url and path are filled in; sha256 for addresses
};

struct FetchedFile {
    std::string path;
    std::string url;  // empty: it was there
    net::DownloadResult result;
};

[[nodiscard]] std::vector<FetchedFile> fetch(const FetchOptions& options);

}  // namespace lora::tools

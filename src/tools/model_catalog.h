// The models that `lora fetch NAME` knows, and where a name or a published repository lies on this
// disk. Not here: the transfer (net/download.h).
// Threads  the table is constant.
// Source   repositories of Hugging Face as they were listed when the table was written. A hash that
//          could not be verified then is empty; the file is then told to be unchecked.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace lora::tools {

struct CatalogFile {
    std::string_view path;    // inside the repository
    std::string_view sha256;  // lower-case hex, or empty
};

struct CatalogModel {
    std::string_view name;
    std::string_view repository;  // "SmilingWolf/wd-v1-4-swinv2-tagger-v2"
    std::span<const CatalogFile> files;
    std::string_view about;
    bool is_tagger = false;
};

[[nodiscard]] std::span<const CatalogModel> catalog();
// By name or repository; null when there is none.
[[nodiscard]] const CatalogModel* find_model(std::string_view name_or_repository);

// Sites that serve the same repositories, tried in this order.
[[nodiscard]] std::span<const std::string_view> mirrors();
[[nodiscard]] std::string file_url(std::string_view mirror,
                                   const CatalogModel& model,
                                   const CatalogFile& file);

// Where models are fetched to unless told otherwise: models/ beside the program.
[[nodiscard]] std::string default_model_folder();

// The folder or file of a tagger: `model` itself when it is there, else below `model_folder` by the
// catalog's name or by the repository with _ for / (sd-scripts' way).
// Errors  kIo, with a hint how to get it.
[[nodiscard]] std::string find_tagger(const std::string& model, const std::string& model_folder);

}  // namespace lora::tools

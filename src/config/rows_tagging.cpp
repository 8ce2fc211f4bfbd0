// Rows: fetch.
#include "config/internal/rows.h"

namespace lora::config {
namespace {

using enum OptionType;

// clang-format off
constexpr OptionRow kFetch[] = {
    {.name = "list", .type = kFlag, .guide = "false",
     .help = {"show the models that have names here", "列出可用名稱下載的模型"}},
    {.name = "output_dir", .type = kPath, .aliases = "model_dir out",
     .help = {"folder for the files; absent: models/ beside the program", "存放檔案的資料夾;未指定則為程式旁的 models/"}},
    {.name = "output_name",
     .help = {"name of the file, for an address; absent: as the address ends", "以網址下載時的檔名;未指定則取網址結尾"}},
    {.name = "mirror", .type = kText,
     .help = {"site to take the known models from, such as https://hf-mirror.com; absent: HF_ENDPOINT, then huggingface.co, then hf-mirror.com", "下載站點,例如 https://hf-mirror.com;未指定則依序為 HF_ENDPOINT、huggingface.co、hf-mirror.com"}},
    {.name = "sha256",
     .help = {"what the file's SHA-256 must be, for an address", "以網址下載時檔案應有的 SHA-256"}},
    {.name = "force", .type = kFlag, .guide = "false", .aliases = "force_download",
     .help = {"fetch again what is there already", "已存在也重新下載"}},
    {.name = "max_size", .guide = "128G",
     .help = {"refuse larger files", "拒絕超過此大小的檔案"}},
    {.name = "max_retries", .type = kInt, .guide = "8", .min = 0, .max = 1000,
     .help = {"tries in a row without progress before giving up", "連續多少次毫無進展後放棄"}},
    {.name = "retry_wait", .type = kFloat, .guide = "0.5", .min = 0, .max = 3600,
     .help = {"seconds before the first of them; doubles up to 30", "第一次重試前等待的秒數,之後倍增至 30 秒"}},
    {.name = "ca_file", .type = kPath, .aliases = "cacert",
     .help = {"certificates to trust (PEM); absent: CURL_CA_BUNDLE, SSL_CERT_FILE, the system's; Windows always uses the system's", "信任的憑證檔(PEM);未指定則依 CURL_CA_BUNDLE、SSL_CERT_FILE、系統;Windows 一律用系統憑證"}},
};

constexpr OptionSection kSections[] = {
    {{"Fetching", "下載"}, bit(Command::kFetch), kFetch},
};
// clang-format on

}  // namespace

std::span<const OptionSection> tagging_sections() { return kSections; }

}  // namespace lora::config

// Rows: tag, fetch. Names are those of sd-scripts' tag_images_by_wd14_tagger.py; those of the WD14
// tagger extension are aliases.
#include "config/internal/rows.h"

namespace lora::config {
namespace {

using enum OptionType;

// clang-format off
constexpr OptionRow kModel[] = {
    {.name = "model", .type = kText, .guide = "wd14-swinv2-v2", .sd_scripts = "SmilingWolf/wd-v1-4-convnext-tagger-v2", .aliases = "repo_id",
     .help = {"folder with model.onnx and selected_tags.csv, a model.onnx, or a name that lora fetch --list shows", "含 model.onnx 與 selected_tags.csv 的資料夾、model.onnx 檔案,或 lora fetch --list 列出的名稱"}},
    {.name = "model_dir", .type = kPath,
     .help = {"where fetched models lie; absent: models/ beside the program", "已下載模型的資料夾;未指定則為程式旁的 models/"}},
    {.name = "tags_csv", .type = kPath,
     .help = {"absent: selected_tags.csv beside the model", "未指定則為模型旁的 selected_tags.csv"}},
    {.name = "onnxruntime", .type = kPath,
     .help = {"ONNX Runtime's library; absent: lib/ beside the program, then the system's", "ONNX Runtime 函式庫;未指定則找程式旁的 lib/,再找系統"}},
    {.name = "channel_order", .guide = "bgr", .sd_scripts = "bgr", .choices = "bgr|rgb",
     .help = {"what the model was trained with; the published ones: bgr", "模型的色彩通道順序;WD14 皆為 bgr"}},
    {.name = "pixel_range", .guide = "255", .sd_scripts = "255", .choices = "255|unit|signed",
     .help = {"numbers that the model wants: 0 to 255 (the published ones), 0 to 1, -1 to 1", "模型輸入的數值範圍:0 到 255(WD14)、0 到 1、-1 到 1"}},
    {.name = "batch_size", .type = kInt, .guide = "4", .sd_scripts = "1", .min = 1, .max = 1024,
     .help = {"pictures at once; models with a fixed batch take theirs", "一次處理的張數;固定 batch 的模型依模型"}},
    {.name = "threads", .type = kInt, .guide = "0", .sd_scripts = "0", .aliases = "num_threads", .min = 0, .max = 4096,
     .help = {"processor threads of the model; 0: as many as cores", "模型使用的執行緒數;0 表示與核心數相同"}},
};

constexpr OptionRow kChoice[] = {
    {.name = "thresh", .type = kFloat, .guide = "0.35", .sd_scripts = "0.35", .aliases = "threshold", .min = 0, .max = 1,
     .help = {"score from which on a tag is written", "標籤的分數門檻"}},
    {.name = "general_threshold", .type = kFloat, .min = 0, .max = 1,
     .help = {"for general tags; absent: thresh", "一般標籤的門檻;未指定則同 thresh"}},
    {.name = "character_threshold", .type = kFloat, .min = 0, .max = 1,
     .help = {"for characters; absent: thresh", "角色標籤的門檻;未指定則同 thresh"}},
    {.name = "rating_threshold", .type = kFloat, .guide = "0", .sd_scripts = "0", .min = 0, .max = 1,
     .help = {"with use_rating_tags: the highest rating is left out below this", "搭配 use_rating_tags:最高的分級低於此值則不寫"}},
    {.name = "undesired_tags", .type = kList, .aliases = "exclude_tags exclude",
     .help = {"tags never to write, between commas or as words; * at one end stands for anything", "不寫入的標籤,以逗號或空白分隔;首或尾的 * 代表任意文字"}},
    {.name = "add", .type = kList, .aliases = "additional_tags",
     .help = {"tags in front of every caption, the trigger first", "加在每個標註最前面的標籤(觸發詞在先)"}},
    {.name = "folder_trigger", .type = kFlag, .guide = "false", .sd_scripts = "false",
     .help = {"the trigger that a folder's name gives (10_mika: mika) goes first in its captions", "將資料夾名稱的觸發詞(10_mika 即 mika)放在該資料夾各標註最前面"}},
    {.name = "dedupe", .type = kFlag, .guide = "true", .sd_scripts = "true", .aliases = "remove_duplicated_tag",
     .help = {"write a tag once; --no_dedupe: as often as it comes", "移除重複的標籤;--no_dedupe 則否"}},
    {.name = "use_rating_tags", .type = kFlag, .guide = "false", .sd_scripts = "false",
     .help = {"write the highest rating in front", "將最高的分級寫在前面"}},
    {.name = "use_rating_tags_as_last_tag", .type = kFlag, .guide = "false", .sd_scripts = "false",
     .help = {"write the highest rating behind", "將最高的分級寫在最後"}},
    {.name = "character_tags_first", .type = kFlag, .guide = "false", .sd_scripts = "false",
     .help = {"characters before general tags", "角色標籤放在一般標籤之前"}},
    {.name = "character_tag_expand", .type = kFlag, .guide = "false", .sd_scripts = "false",
     .help = {"name_(series) becomes name, series", "name_(series) 拆成 name, series"}},
    {.name = "always_first_tags", .type = kList,
     .help = {"these come first, in this order, where they are found", "偵測到時一律依序排在最前面的標籤"}},
    {.name = "tag_order", .guide = "score", .sd_scripts = "model", .choices = "score|alphabet|model",
     .help = {"order of tags: highest score first, by letters, as selected_tags.csv has them", "標籤順序:依分數、依字母、依 selected_tags.csv"}},
    {.name = "sort_by_alphabetical_order", .type = kFlag, .guide = "false", .sd_scripts = "false",
     .help = {"the same as tag_order alphabet", "同 tag_order alphabet"}},
    {.name = "remove_underscore", .type = kFlag, .guide = "true", .sd_scripts = "false", .aliases = "replace_underscore",
     .help = {"spaces for underscores, but in tags of up to three letters", "底線改為空白(三個字元以內的標籤除外)"}},
    {.name = "underscore_excludes", .type = kList, .guide = "0_0,(o)_(o),+_+,+_-,._.,<o>_<o>,<|>_<|>,=_=,>_<,3_3,6_9,>_o,@_@,^_^,o_o,u_u,x_x,|_|,||_||", .aliases = "replace_underscore_excludes",
     .help = {"tags that keep their underscores", "保留底線的標籤"}},
    {.name = "tag_replacement",
     .help = {"old,new;old,new: write another tag; \\, and \\; stand for the letters themselves", "舊,新;舊,新:改寫標籤;\\, 與 \\; 表示該字元本身"}},
    {.name = "escape_brackets", .type = kFlag, .guide = "false", .sd_scripts = "false", .aliases = "escape_tag",
     .help = {"write ( ) as \\( \\)", "將 ( ) 寫成 \\( \\)"}},
    {.name = "add_scores", .type = kFlag, .guide = "false", .sd_scripts = "false", .aliases = "add_confident_as_weight",
     .help = {"write (tag:0.873)", "寫成 (標籤:0.873)"}},
    {.name = "caption_separator", .guide = ", ", .sd_scripts = ", ",
     .help = {"between tags, with its spaces", "標籤之間的分隔(含空白)"}},
};

constexpr OptionRow kFiles[] = {
    {.name = "on_conflict", .guide = "ignore", .sd_scripts = "copy", .aliases = "output_action_on_conflict", .choices = "ignore|copy|append|prepend",
     .help = {"pictures that have a caption: leave them out, replace it, add behind it, add before it", "已有標註的圖片:略過、取代、附加在後、附加在前"}},
    {.name = "append_tags", .type = kFlag, .guide = "false", .sd_scripts = "false",
     .help = {"the same as on_conflict append", "同 on_conflict append"}},
    {.name = "recursive", .type = kFlag, .guide = "true", .sd_scripts = "false",
     .help = {"folders inside too; --no_recursive: not", "包含子資料夾;--no_recursive 則否"}},
    {.name = "output_dir", .type = kPath,
     .help = {"write captions below this folder, subfolders as they are; absent: beside the pictures", "標註輸出資料夾(保留子資料夾);未指定則寫在圖片旁"}},
    {.name = "output_name", .guide = "[name].[output_extension]", .sd_scripts = "[name].[output_extension]", .aliases = "output_filename_format",
     .help = {"name of a caption file, of [name], [extension], [output_extension], [hash:sha256]", "標註檔名,可用 [name]、[extension]、[output_extension]、[hash:sha256]"}},
    {.name = "save_json", .type = kFlag, .guide = "false", .sd_scripts = "false", .aliases = "output_save_json",
     .help = {"write every score beside the caption, as .json", "將所有分數另存為標註旁的 .json"}},
    {.name = "frequency_tags", .type = kFlag, .guide = "false", .sd_scripts = "false",
     .help = {"list the tags by how many pictures have them", "列出各標籤的圖片數"}},
    {.name = "ignore_exif", .type = kFlag, .guide = "false", .sd_scripts = "true",
     .help = {"take pictures as stored, not turned as viewers show them", "不依 EXIF 轉正圖片"}},
    {.name = "dry_run", .type = kFlag, .guide = "false", .sd_scripts = "false",
     .help = {"show what would be written", "只顯示將會寫入的內容"}},
    {.name = "preset", .guide = "guide", .sd_scripts = "sd-scripts", .choices = "guide|sd-scripts",
     .help = {"where defaults come from", "預設值來源"}},
};

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

constexpr OptionRow kAcceptedHere[] = {
    accepted("onnx", kFlag, {"the model is an ONNX file anyway", "一律使用 ONNX 模型"}),
    accepted("force_download", kFlag, {"lora fetch --force fetches anew", "重新下載請用 lora fetch --force"}),
    accepted("max_data_loader_n_workers", kInt, {"pictures are read on all cores", "一律以所有核心讀圖"}),
    accepted("unload_model_after_running", kFlag, {"the model goes when the command ends", "指令結束時模型即釋放"}),
    accepted("debug", kFlag, {"--dry_run and --json tell more", "請用 --dry_run 與 --json"}),
};

constexpr OptionSection kSections[] = {
    {{"Tagger", "打標模型"}, bit(Command::kTag), kModel},
    {{"Which tags, and how", "標籤的選擇與寫法"}, bit(Command::kTag), kChoice},
    {{"Files", "檔案"}, bit(Command::kTag), kFiles},
    {{"Accepted, without effect here", "可接受但在此不起作用"}, bit(Command::kTag), kAcceptedHere},
    {{"Fetching", "下載"}, bit(Command::kFetch), kFetch},
};
// clang-format on

}  // namespace

std::span<const OptionSection> tagging_sections() { return kSections; }

}  // namespace lora::config

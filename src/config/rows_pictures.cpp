// Rows: tags, data.
#include "config/internal/rows.h"

namespace lora::config {
namespace {

using enum OptionType;

// clang-format off
constexpr OptionRow kTags[] = {
    {.name = "add", .type = kList,
     .help = {"tags to put in front of every caption, the trigger first", "加在每個標註最前面的標籤(觸發詞在先)"}},
    {.name = "remove", .type = kList,
     .help = {"tags to remove; * at one end stands for anything", "要刪除的標籤;首或尾的 * 代表任意文字"}},
    {.name = "replace", .type = kList,
     .help = {"old=new: rename a tag wherever it stands", "舊=新:改名標籤"}},
    {.name = "rename_trigger", .type = kText,
     .help = {"old=new for the first tag of each caption, such as mika=mika (uniform); give an outfit's folder", "將各標註的第一個標籤由舊改為新,例如 mika=mika (uniform);請指定該服裝的資料夾"}},
    {.name = "dedupe", .type = kFlag, .guide = "false",
     .help = {"remove tags that stand there twice", "移除重複的標籤"}},
    {.name = "sort", .type = kFlag, .guide = "false",
     .help = {"sort by letters, the first tag stays", "按字母排序,第一個標籤不動"}},
    {.name = "escape_brackets", .type = kFlag, .guide = "false",
     .help = {"write ( ) as \\( \\)", "將 ( ) 寫成 \\( \\)"}},
    {.name = "policy", .choices = "full|no_traits|whitelist|none",
     .help = {"the guide's strategies: every tag; without traits of the character; without traits and clothing; no captions", "教學的打標方式:全標;刪角色特徵;刪角色特徵與服裝;不打標"}},
    {.name = "drop_clothing", .type = kFlag, .guide = "false",
     .help = {"with no_traits: clothing goes too", "搭配 no_traits:連服裝也刪"}},
    {.name = "whitelist", .type = kList,
     .help = {"tags that stay whatever their class", "一律保留的標籤"}},
    {.name = "classes", .type = kPath,
     .help = {"file of lines tag = class (traits, clothing, count, action, view, expression, background, picture, other) that go before the table", "自訂分類檔,每行「標籤 = 分類」,優先於內建表"}},
    {.name = "keep_tokens_in", .type = kPath,
     .help = {"settings file (TOML) that gets keep_tokens = 1 when the policy needs it", "策略需要時,在此設定檔(TOML)寫入 keep_tokens = 1"}},
    {.name = "recursive", .type = kFlag, .guide = "true",
     .help = {"folders inside too; --no_recursive: not", "包含子資料夾;--no_recursive 則否"}},
    {.name = "dry_run", .type = kFlag, .guide = "false",
     .help = {"show what would change", "只顯示將會變更的內容"}},
};

constexpr OptionRow kData[] = {
    {.name = "html", .type = kPath, .help = {"write a page with thumbnails", "輸出含縮圖的網頁報告"}},
    {.name = "fix", .type = kFlag, .guide = "false",
     .help = {"do what is safe: encodings, commas, doubled tags, triggers to the front; originals are kept", "自動修正安全的項目:編碼、逗號、重複標籤、觸發詞移到最前;保留原檔"}},
    {.name = "no_decode", .type = kFlag, .guide = "false",
     .help = {"look at headers and captions alone", "只看圖片檔頭與標註"}},
    {.name = "keep_tokens", .type = kInt, .guide = "0", .min = 0, .max = 255,
     .help = {"as it will be in training", "訓練時的 keep_tokens"}},
    {.name = "max_token_length", .type = kInt, .guide = "225", .min = 75, .max = 225,
     .help = {"captions above are reported", "超過此 token 數的標註會被回報"}},
    {.name = "max_train_epochs", .type = kInt, .guide = "10", .aliases = "epochs", .min = 1,
     .help = {"as they will be in training", "訓練的 epoch 數"}},
    {.name = "min_side", .type = kInt, .guide = "0", .min = 0,
     .help = {"smallest side of a picture in pixels; 0: 256, or half of what is usual in the folder", "圖片短邊下限(像素);0 表示 256 或資料夾常見大小的一半"}},
};

constexpr OptionRow kBoth[] = {
    {.name = "caption_extension", .guide = ".txt", .help = {"ending of caption files", "標註檔副檔名"}},
    {.name = "undo", .type = kFlag, .guide = "false",
     .help = {"restore what the last change of this folder replaced", "還原此資料夾上一次的變更"}},
};

constexpr OptionSection kSections[] = {
    {{"Tags", "標籤"}, bit(Command::kTags), kTags},
    {{"Checking data", "檢查資料"}, bit(Command::kData), kData},
    {{"Captions", "標註"}, bit(Command::kTags) | bit(Command::kData), kBoth},
};
// clang-format on

}  // namespace

std::span<const OptionSection> picture_sections() { return kSections; }

}  // namespace lora::config

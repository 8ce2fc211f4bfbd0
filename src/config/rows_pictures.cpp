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
    {.name = "only", .type = kList, .aliases = "pictures",
     .help = {"these pictures alone, by name; @FILE names one a line", "只處理這些圖片(檔名);@檔案 為每行一個檔名的清單"}},
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
    {.name = "quality", .type = kFlag, .guide = "false",
     .help = {"tell a measured quality of every picture, the worst first: sharpness, noise, JPEG blocks, contrast, size, size of a figure on plain ground", "列出每張圖片的品質評分(由差到好):銳利度、雜訊、JPEG 區塊、對比、尺寸、素色背景上人物的大小"}},
    {.name = "min_side", .type = kInt, .guide = "0", .min = 0,
     .help = {"smallest side of a picture in pixels; 0: 256, or half of what is usual in the folder", "圖片短邊下限(像素);0 表示 256 或資料夾常見大小的一半"}},
};

constexpr OptionRow kPlan[] = {
    {.name = "goal", .guide = "character", .choices = "character|outfit|style|background",
     .help = {"what the LoRA is for", "LoRA 的目標:角色、服裝、畫風、背景"}},
    {.name = "pretrained_model", .type = kPath, .aliases = "pretrained_model_name_or_path sd_model",
     .help = {"the base model: memory, time and batch are known then", "底模;指定後可得知記憶體、時間與 batch"}},
    {.name = "resolution", .guide = "512", .help = {"as in training: 512, or width,height", "訓練解析度,如 512 或 寬,高"}},
    {.name = "optimizer_type", .guide = "AdamW", .aliases = "optimizer",
     .help = {"the optimizer the recipe is for", "配方所用的優化器"}},
    {.name = "algo", .choices = "lora|locon|loha",
     .help = {"kind of network; absent: LoCon for a style, else LoRA", "網路種類;未指定時畫風用 LoCon,其餘用 LoRA"}},
    {.name = "tag_policy", .choices = "full|no_traits|whitelist|none",
     .help = {"how the captions were made (lora tags --policy); absent: full, or none without captions", "標註方式(lora tags --policy);未指定為全標,無標註檔則為不打標"}},
    {.name = "train_batch_size", .type = kInt, .aliases = "batch_size", .min = 1,
     .help = {"pictures a step; absent: 4, 2 or 1 by memory where the model is given, else 2", "每步圖片數;未指定時依記憶體選 4、2、1(需指定底模),否則為 2"}},
    {.name = "network_dim", .type = kInt, .aliases = "rank", .min = 1, .max = 1024,
     .help = {"rank; absent: what suits", "rank;未指定則自動"}},
    {.name = "max_memory", .help = {"limit of the planned peak when the batch is chosen, such as 6G", "選擇 batch 時的記憶體上限,例如 6G"}},
    {.name = "mixed_precision", .guide = "auto", .choices = "auto|no|fp16|bf16",
     .help = {"type of the big computations", "主要計算的精度"}},
    {.name = "output_name", .help = {"name of the LoRA's files", "LoRA 檔名"}},
    {.name = "write", .type = kPath,
     .help = {"plan: the recipe as a settings file for lora train --config_file; reg: the prompts; nothing is overwritten", "plan:將配方寫成 lora train --config_file 可用的設定檔;reg:寫出提示詞檔;不覆寫既有檔案"}},
};

constexpr OptionRow kEdits[] = {
    {.name = "to", .type = kPath,
     .help = {"folder that gets the results in concept folders; absent: in place, originals are kept for --undo (mix needs it)", "結果輸出的資料夾;未指定則就地修改並保留原檔供 --undo(mix 必填)"}},
    {.name = "box", .help = {"crop, cutout, erase: left,top,width,height in pixels or percent, for every picture given", "左,上,寬,高(像素或 %),套用到所有指定的圖片"}},
    {.name = "mask", .type = kPath, .aliases = "masks",
     .help = {"a mask picture, or a folder of masks named as the pictures; white is the figure, or what goes", "遮罩圖,或與圖片同名的遮罩資料夾;白色為人物(erase 時為要抹掉的部分)"}},
    {.name = "segmenter", .type = kPath,
     .help = {"crop, cutout: an ONNX segmentation model (U2-Net, IS-Net and the like) that finds the figure; absent: colours and edges do", "crop、cutout:以 ONNX 分割模型(U2-Net、IS-Net 等)找出人物;未指定則依顏色與邊緣"}},
    {.name = "segmenter_size", .type = kInt, .guide = "1024", .min = 32, .max = 4096,
     .help = {"its square in pixels, where the model leaves it open", "模型未固定尺寸時的輸入邊長(像素)"}},
    {.name = "pixel_mean", .help = {"subtracted from its channels of 0 to 1: R,G,B or one number; absent: ImageNet's for models of 320 pixels, else 0", "輸入通道(0 到 1)減去的平均:R,G,B 或一個數;未指定時 320 像素的模型用 ImageNet 的值,其餘為 0"}},
    {.name = "pixel_std", .help = {"what they are then divided by; absent: ImageNet's for models of 320 pixels, else 1", "接著除以的標準差;未指定時 320 像素的模型用 ImageNet 的值,其餘為 1"}},
    {.name = "segmenter_fit", .guide = "stretch", .choices = "stretch|pad",
     .help = {"how pictures become its square: stretched, or with black beside them", "圖片轉為正方形的方式:拉伸,或補黑邊"}},
    {.name = "onnxruntime", .type = kPath,
     .help = {"ONNX Runtime's library; absent: lib/ beside the program, then the system's", "ONNX Runtime 函式庫;未指定則找程式旁的 lib/,再找系統"}},
    {.name = "reg_data_dir", .type = kPath,
     .help = {"crop: whole pictures go to 1_CLASS in it; plan: regularisation pictures of the run", "crop:原圖放入其中的 1_類別 資料夾;plan:訓練用的正則化資料夾"}},
    {.name = "class", .help = {"crop, reg: class of the regularisation folder; absent: as the concept folder's name says", "crop、reg:正則化資料夾的類別;未指定則依概念資料夾名稱"}},
    {.name = "margin", .type = kFloat, .guide = "0.05", .min = 0, .max = 1,
     .help = {"crop: share of the figure's sides kept around it", "crop:人物周圍保留的比例"}},
    {.name = "plain_too", .type = kFlag, .guide = "false",
     .help = {"crop: pictures with a plain background too", "crop:單色背景的圖片也裁切"}},
    {.name = "background", .guide = "white", .help = {"cutout: colour behind the figure: white, black, gray, #rrggbb", "cutout:背景顏色:white、black、gray、#rrggbb"}},
    {.name = "tags", .type = kList, .guide = "simple background",
     .help = {"cutout: tags added to captions", "cutout:加入標註的標籤"}},
    {.name = "drop_background_tags", .type = kFlag, .guide = "false",
     .help = {"cutout: other tags of backgrounds go", "cutout:刪除其他背景標籤"}},
    {.name = "color", .aliases = "colour",
     .help = {"erase: paint with this colour; absent: continue the surroundings", "erase:以此顏色塗抹;未指定則延續周圍顏色"}},
    {.name = "grow", .type = kInt, .guide = "2", .min = 0, .max = 100,
     .help = {"erase: pixels added around the mask", "erase:遮罩向外擴大的像素"}},
    {.name = "dry_run", .type = kFlag, .guide = "false",
     .help = {"crop, cutout, erase, mix: tell what would be written", "只顯示將會寫入的內容"}},
};

constexpr OptionRow kReg[] = {
    {.name = "without_trigger", .type = kFlag, .guide = "false",
     .help = {"reg: pictures of the class by the base model, instead of the character by a first LoRA", "reg:由底模產生類別圖片(不含觸發詞),而非用第一版 LoRA 產生角色"}},
    {.name = "per_picture", .type = kInt, .guide = "1", .aliases = "images", .min = 1, .max = 1000,
     .help = {"reg: prompts for each training picture", "reg:每張訓練圖片的提示詞數"}},
    {.name = "backgrounds", .type = kList, .guide = "outdoors, street, forest, beach, indoors, bedroom, classroom, night",
     .help = {"reg: tags added in turn to prompts that name no place, between commas or as words; empty: none", "reg:輪流加在沒有地點的提示詞(以逗號或空白分隔);留空則不加"}},
    {.name = "first_seed", .type = kInt, .guide = "1", .min = 0,
     .help = {"reg: seed of the first prompt, each has the next", "reg:第一個提示詞的種子,其餘依序加一"}},
};

constexpr OptionRow kMix[] = {
    {.name = "use", .guide = "together", .choices = "together|apart|blend",
     .help = {"sex apart, the rest of nsfw one concept, with the concepts of sfw; two sets; a small share of nsfw among sfw", "sex 取出為一類、其餘 nsfw 為一類,與 sfw 一起訓練;分開訓練;少量 nsfw 混入 sfw"}},
    {.name = "trigger", .help = {"in front of every caption, and in the folders' names", "加在每個標註最前面,並用於資料夾名稱"}},
    {.name = "folder_tags", .type = kPath,
     .help = {"file of lines folder = tag, tag: further tags for pictures of that folder", "每行「資料夾 = 標籤, 標籤」的檔案:該資料夾額外的標籤"}},
    {.name = "acts", .guide = "sex", .help = {"together: the folder below nsfw that is set apart", "together:nsfw 內取出的子資料夾"}},
    {.name = "share", .type = kFloat, .guide = "0.15",
     .help = {"blend: nsfw pictures for each sfw picture, at most 0.2", "blend:nsfw 佔 sfw 的比例,最多 0.2"}},
    {.name = "repeats", .type = kInt, .guide = "0", .min = 0, .max = 1000,
     .help = {"repeats of the folders; 0: by the number of pictures", "資料夾的 repeats;0 表示依圖片數"}},
};

constexpr OptionRow kBoth[] = {
    {.name = "caption_extension", .guide = ".txt", .sd_scripts = ".txt", .aliases = "caption_extention", .help = {"ending of caption files", "標註檔副檔名"}},
    {.name = "undo", .type = kFlag, .guide = "false",
     .help = {"restore what the last change of this folder replaced", "還原此資料夾上一次的變更"}},
};

constexpr OptionSection kSections[] = {
    {{"Tags", "標籤"}, bit(Command::kTags), kTags},
    {{"Checking data", "檢查資料"}, bit(Command::kData), kData},
    {{"Planning", "規劃"}, bit(Command::kData), kPlan},
    {{"Cropping, cutting out, erasing", "裁切、摳圖、抹除"}, bit(Command::kData), kEdits},
    {{"Mixing", "混合"}, bit(Command::kData), kMix},
    {{"Regularisation prompts", "正則化提示詞"}, bit(Command::kData), kReg},
    {{"Captions", "標註"}, bit(Command::kTags) | bit(Command::kData) | bit(Command::kTag), kBoth},
};
// clang-format on

}  // namespace

std::span<const OptionSection> picture_sections() { return kSections; }

}  // namespace lora::config

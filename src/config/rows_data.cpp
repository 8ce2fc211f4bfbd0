// Rows: model, pictures, captions, buckets, latents.
#include <array>

#include "config/internal/rows.h"

namespace lora::config {
namespace {

using enum OptionType;

// clang-format off
constexpr OptionRow kModel[] = {
    {.name = "pretrained_model_name_or_path", .type = kPath, .aliases = "pretrained_model model",
     .help = {"the base model: a Stable Diffusion 1.x or 2.x .safetensors or .ckpt file", "底模:Stable Diffusion 1.x 或 2.x 的 .safetensors 或 .ckpt 檔案"}},
    {.name = "v2", .type = kFlag, .guide = "false", .sd_scripts = "false",
     .help = {"the base model must be Stable Diffusion 2.x (its shapes tell anyway)", "底模須為 Stable Diffusion 2.x(程式本來就會自動判斷)"}},
    {.name = "vae", .type = kPath,
     .help = {"another VAE to encode the pictures with", "改用另一個 VAE 來編碼圖片"}},
    {.name = "v_parameterization", .type = kFlag, .sd_scripts = "false",
     .help = {"train towards v instead of noise (for v-prediction base models); absent: as the model file says, else noise", "以 v 為訓練目標(底模為 v-prediction 時使用);未指定則依模型檔案,檔案未註明時為雜訊"}},
    {.name = "clip_skip", .type = kInt, .guide = "2", .min = 1, .max = 12,
     .help = {"which text encoder layer to read, counted from the last; 2 for anime models; SD 2.x takes only a given one", "取文字編碼器倒數第幾層;動漫模型用 2;SD 2.x 僅採用明確指定的值"}},
    {.name = "max_token_length", .type = kInt, .guide = "225", .sd_scripts = "75", .choices = "75|150|225",
     .help = {"longest caption in tokens", "標籤的最大 token 數"}},
};

constexpr OptionRow kData[] = {
    {.name = "train_data_dir", .type = kPath,
     .help = {"parent of the concept folders, each named REPEATS_NAME", "訓練資料夾:概念資料夾(名稱為「次數_名稱」)的上一層"}},
    {.name = "reg_data_dir", .type = kPath,
     .help = {"parent of the regularisation folders; empty: none", "正則化圖片資料夾的上一層;留空表示不使用"}},
    {.name = "dataset_config", .type = kPath,
     .help = {"a TOML or JSON file that lists folders with settings of their own (docs/guide/dataset-config.md); takes the place of train_data_dir and reg_data_dir", "以 TOML 或 JSON 檔列出各資料夾與其設定(docs/guide/dataset-config.md);取代 train_data_dir 與 reg_data_dir"}},
    {.name = "folder_names", .guide = "guide", .sd_scripts = "literal", .choices = "guide|class_suffix|literal",
     .help = {"how REPEATS_NAME is read: guide: underscores are spaces, a class follows the first space (6_miku 1girl); class_suffix: the last _part is a class, for sorting only; literal: as it stands (kohya). A file _concept.txt in the folder wins: trigger, then class", "「次數_名稱」的讀法:guide 底線為空格,第一個空格後為類別(6_miku 1girl);class_suffix 最後的 _部分為類別,僅供整理;literal 照原樣(kohya)。資料夾內的 _concept.txt 優先:第一行觸發詞,第二行類別"}},
    {.name = "concept_trigger", .guide = "auto", .sd_scripts = "fallback", .choices = "auto|prepend|fallback",
     .help = {"the folder's concept in captions from files: prepend: put in front where it is missing; auto: so in folders where no caption names it; fallback: only for pictures without a caption file (kohya)", "資料夾概念名稱與標籤檔的關係:prepend 缺少時加在最前;auto 僅在整個資料夾都沒寫到時加上;fallback 只用於沒有標籤檔的圖片(kohya)"}},
    {.name = "conditioning_data_dir", .type = kPath,
     .help = {"folder of mask pictures, named as the training pictures (for masked_loss); may hold the concept folders again", "遮罩圖片資料夾(masked_loss 使用),檔名與訓練圖片相同;可再分概念資料夾"}},
    {.name = "prior_loss_weight", .type = kFloat, .guide = "1.0", .sd_scripts = "1.0", .min = 0,
     .help = {"weight of the regularisation pictures in the loss", "正則化圖片在 loss 中的權重"}},
    {.name = "resolution", .guide = "512,512",
     .help = {"size in pixels, \"512\" or \"width,height\"; multiples of 64", "訓練解析度,「512」或「寬,高」,須為 64 的倍數"}},
    {.name = "train_batch_size", .type = kInt, .guide = "2", .sd_scripts = "1", .aliases = "batch_size", .min = 1,
     .help = {"pictures in one step; 2 or 4 advised, 1 when memory is short", "每一步的圖片數;建議 2 或 4,記憶體不足用 1"}},
    {.name = "auto_batch", .type = kFlag, .guide = "false", .sd_scripts = "false",
     .help = {"take a batch of 4, 2 or 1, the largest that the memory (or max_memory) holds without much computing twice", "自動選擇 batch:4、2、1 中記憶體(或 max_memory)容許的最大值"}},
    {.name = "flip_aug", .type = kFlag, .guide = "false", .sd_scripts = "false",
     .help = {"also train mirrored pictures", "加入左右翻轉的圖片"}},
    {.name = "color_aug", .type = kFlag, .guide = "false", .sd_scripts = "false",
     .help = {"change hue or gamma a little, one draw in three; latents are not kept then", "隨機微調色相或 gamma(三分之一機率);此時不快取 latent"}},
    {.name = "random_crop", .type = kFlag, .guide = "false", .sd_scripts = "false",
     .help = {"crop anywhere instead of in the middle; latents are not kept then", "隨機裁切而非置中;此時不快取 latent"}},
    {.name = "face_crop_aug_range",
     .help = {"\"2.0,4.0\": crop around the face that the file's name tells (name_cx_cy_w_h), so that the crop is so many times as long as the face; needs enable_bucket false", "「2.0,4.0」:以檔名所記的臉部位置(名稱_cx_cy_w_h)為中心裁切,裁切邊長為臉的倍數;須關閉 enable_bucket"}},
    {.name = "debug_dataset", .type = kFlag, .guide = "false", .sd_scripts = "false",
     .help = {"train nothing: show the pictures of each step with their final captions, as a page in output_dir/debug_dataset and on the console (s next step, e next epoch, q or Esc ends)", "不訓練,只檢視每一步的圖片與最終標籤:輸出網頁於 output_dir/debug_dataset,並在主控台操作(s 下一步、e 下一個 epoch、q 或 Esc 結束)"}},
    {.name = "check_tags", .type = kFlag, .guide = "false", .sd_scripts = "false",
     .help = {"train nothing: ask the base model how well it understands each tag of the captions (its loss on the pictures with the tag and without it)", "不訓練,只檢查底模對每個標籤的理解程度(比較標籤存在與移除時的 loss)"}},
    {.name = "exif_rotation", .type = kFlag, .guide = "true", .sd_scripts = "false",
     .help = {"turn photos as their EXIF orientation says (kohya does not)", "依 EXIF 方向轉正照片(kohya 不會)"}},
    {.name = "alpha_background", .guide = "white", .sd_scripts = "drop", .choices = "white|drop",
     .help = {"transparent pixels: put on white, or drop the alpha channel as kohya does", "透明像素:疊在白底上(white),或如 kohya 直接丟棄透明度(drop)"}},
};

constexpr OptionRow kCaptions[] = {
    {.name = "caption_extension", .guide = ".txt", .sd_scripts = ".caption", .aliases = "caption_extention",
     .help = {"extension of the caption files beside the pictures", "標籤檔的副檔名"}},
    {.name = "shuffle_caption", .type = kFlag, .guide = "true", .sd_scripts = "false",
     .help = {"shuffle the comma-separated tags each time", "每次隨機打亂以逗號分隔的標籤"}},
    {.name = "keep_tokens", .type = kInt, .guide = "0", .sd_scripts = "0", .min = 0,
     .help = {"the first N tags keep their place when shuffling", "打亂時前 N 個標籤保持不動"}},
    {.name = "keep_tokens_separator",
     .help = {"tags before this mark keep their place", "此記號之前的標籤保持不動"}},
    {.name = "caption_separator", .guide = ",", .sd_scripts = ",",
     .help = {"what separates tags", "標籤的分隔字元"}},
    {.name = "secondary_separator",
     .help = {"joins tags that stay together; becomes caption_separator at the end", "把不可拆開的標籤連在一起,最後換成一般分隔字元"}},
    {.name = "enable_wildcard", .type = kFlag, .guide = "false", .sd_scripts = "false",
     .help = {"{a|b} in captions picks one; of several lines one is picked", "標籤中 {a|b} 隨機取一;多行時隨機取一行"}},
    {.name = "weighted_captions", .type = kFlag, .guide = "false", .sd_scripts = "false",
     .help = {"brackets in captions weigh words: (word:1.2), (word), [word]", "標籤中可用括號加權:(字:1.2)、(字)、[字]"}},
    {.name = "caption_prefix", .help = {"text put before every caption", "加在每個標籤最前面的文字"}},
    {.name = "caption_suffix", .help = {"text put after every caption", "加在每個標籤最後面的文字"}},
    {.name = "caption_dropout_rate", .type = kFloat, .guide = "0", .sd_scripts = "0", .min = 0, .max = 1,
     .help = {"chance of training a picture without its caption", "丟棄整個標籤的機率"}},
    {.name = "caption_dropout_every_n_epochs", .type = kInt, .guide = "0", .sd_scripts = "0", .min = 0,
     .help = {"every N epochs all captions are dropped; 0: never", "每 N 個 epoch 全部不用標籤;0 表示不用"}},
    {.name = "caption_tag_dropout_rate", .type = kFloat, .guide = "0", .sd_scripts = "0", .min = 0, .max = 1,
     .help = {"chance of each tag to be left out", "丟棄個別標籤的機率"}},
    {.name = "max_shuffled_tags", .type = kInt, .guide = "0", .sd_scripts = "0", .min = 0,
     .help = {"at most so many tags after the kept ones, others at each use; 0: all", "保留標籤之後最多使用的標籤數,每次不同;0 表示全部"}},
    {.name = "token_warmup_min", .type = kInt, .guide = "1", .sd_scripts = "1", .min = 0,
     .help = {"tags used at the first step of the tag warm-up", "標籤預熱開始時使用的標籤數"}},
    {.name = "token_warmup_step", .type = kFloat, .guide = "0", .sd_scripts = "0", .min = 0,
     .help = {"steps (below 1: share of the run) until all tags are used; 0: off", "標籤預熱的步數(小於 1 為比例);0 表示關閉"}},
};

constexpr OptionRow kBuckets[] = {
    {.name = "enable_bucket", .type = kFlag, .guide = "true", .sd_scripts = "false",
     .help = {"sort pictures into buckets of similar shape", "依長寬比分桶"}},
    {.name = "min_bucket_reso", .type = kInt, .guide = "256", .sd_scripts = "256", .min = 64,
     .help = {"shortest side of a bucket in pixels", "桶的最小邊長(像素)"}},
    {.name = "max_bucket_reso", .type = kInt, .guide = "1024", .sd_scripts = "1024", .min = 64,
     .help = {"longest side of a bucket in pixels", "桶的最大邊長(像素)"}},
    {.name = "bucket_reso_steps", .type = kInt, .guide = "64", .sd_scripts = "64", .min = 8,
     .help = {"bucket sides are multiples of this", "桶邊長的級距"}},
    {.name = "bucket_no_upscale", .type = kFlag, .guide = "false", .sd_scripts = "false",
     .help = {"never enlarge a picture", "不放大圖片"}},
};

constexpr OptionRow kLatents[] = {
    {.name = "cache_latents", .type = kFlag, .guide = "true", .sd_scripts = "false",
     .help = {"encode every picture once and keep the latents", "圖片只編碼一次並保留 latent"}},
    {.name = "cache_latents_to_disk", .type = kFlag, .guide = "false", .sd_scripts = "false",
     .help = {"keep the latents on disk for the next run", "把 latent 存到硬碟,下次可重用"}},
    {.name = "vae_batch_size", .type = kInt, .guide = "1", .sd_scripts = "1", .min = 1,
     .help = {"pictures encoded together", "一次編碼的圖片數"}},
    {.name = "max_data_loader_n_workers", .type = kInt, .guide = "8", .sd_scripts = "8", .aliases = "data_loader_threads", .min = 0,
     .help = {"threads that load and prepare pictures", "載入圖片的執行緒數"}},
};

constexpr OptionSection kSections[] = {
    {{"Base model", "底模"}, bit(Command::kTrain), kModel},
    {{"Pictures", "圖片"}, bit(Command::kTrain), kData},
    {{"Captions", "標籤"}, bit(Command::kTrain), kCaptions},
    {{"Buckets", "分桶"}, bit(Command::kTrain), kBuckets},
    {{"Latents and loading", "Latent 與載入"}, bit(Command::kTrain), kLatents},
};
// clang-format on

}  // namespace

std::span<const OptionSection> data_sections() { return kSections; }

}  // namespace lora::config

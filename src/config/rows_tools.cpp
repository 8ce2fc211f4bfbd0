// Rows: merge, resize, extract, convert, verify, interrogate. Names are those of sd-scripts'
// programs.
#include "config/internal/rows.h"

namespace lora::config {
namespace {

using enum OptionType;

// clang-format off
constexpr OptionRow kMerge[] = {
    {.name = "models", .type = kList,
     .help = {"the LoRA files to merge", "要合併的 LoRA 檔案"}},
    {.name = "ratios", .type = kList,
     .help = {"a ratio for each; absent: 1 each into a model, equal shares of 1 into a LoRA", "各檔案的比例;未指定:合併進模型時各為 1,合併成 LoRA 時平分 1"}},
    {.name = "lbws", .type = kList, .aliases = "block_weights",
     .help = {"weights by block for each file, 17 or 26 numbers in one word: text encoder, then the UNet's blocks; \"\" or 1: all 1", "各檔案的分層權重,一個詞內 17 或 26 個數字:文字編碼器,再來是 U-Net 各區塊;\"\" 或 1 表示全為 1"}},
    {.name = "save_to", .type = kPath,
     .help = {"file to write, .safetensors, .ckpt or .pt", "輸出檔(.safetensors、.ckpt、.pt)"}},
    {.name = "sd_model", .type = kPath, .aliases = "pretrained_model_name_or_path pretrained_model",
     .help = {"merge into a copy of this model file instead of into a LoRA", "合併進此模型的複本,而非合併成 LoRA"}},
    {.name = "save_precision", .choices = "float|fp16|bf16",
     .help = {"number format in the file; absent: that of precision", "檔案的數值格式;未指定則同 precision"}},
    {.name = "precision", .guide = "float", .sd_scripts = "float", .choices = "float|fp16|bf16",
     .help = {"numbers are rounded to this on the way", "計算過程的數值格式"}},
    {.name = "new_rank", .type = kInt, .min = 1, .max = 65536,
     .help = {"rank of the merged LoRA, by singular values; absent: the ranks add up and nothing is lost", "合併後的 rank(以奇異值分解);未指定則為各 rank 相加,沒有損失"}},
    {.name = "new_conv_rank", .type = kInt, .min = 1, .max = 65536,
     .help = {"the same for 3x3 layers; absent: new_rank", "3x3 層的 rank;未指定則同 new_rank"}},
    {.name = "clamp_quantile", .type = kFloat, .guide = "1.0", .min = 0.5, .max = 1,
     .help = {"with new_rank: cut factors at this quantile (sd-scripts: 0.99); 1: not", "搭配 new_rank:因子超過此分位數的值截斷(sd-scripts 為 0.99);1 表示不截斷"}},
    {.name = "kohya", .type = kFlag, .guide = "false",
     .help = {"sd-scripts' own merge of LoRAs: factors are added, not changes; ranks must be equal", "採用 sd-scripts 的合併方式:相加的是因子而非變化量;rank 必須相同"}},
    {.name = "concat", .type = kFlag, .guide = "false", .sd_scripts = "false",
     .help = {"with kohya: ranks side by side", "搭配 kohya:rank 並排相接"}},
};

constexpr OptionRow kResize[] = {
    {.name = "model", .type = kPath, .help = {"the LoRA file", "LoRA 檔案"}},
    {.name = "save_to", .type = kPath,
     .help = {"file to write, .safetensors, .ckpt or .pt", "輸出檔(.safetensors、.ckpt、.pt)"}},
    {.name = "new_rank", .type = kInt, .guide = "4", .sd_scripts = "4", .min = 1, .max = 65536,
     .help = {"rank of every layer; with dynamic_method the most", "每一層的 rank;搭配 dynamic_method 時為上限"}},
    {.name = "new_conv_rank", .type = kInt, .min = 1, .max = 65536,
     .help = {"the same for convolutions, 1x1 included; absent: new_rank", "卷積層(含 1x1)的 rank;未指定則同 new_rank"}},
    {.name = "dynamic_method", .choices = "sv_ratio|sv_fro|sv_cumulative",
     .help = {"a rank for each layer: singular values down to the largest / param, a share of the Frobenius norm, or of their sum", "每層各自決定 rank:最大奇異值 / param 以上者、Frobenius 範數的比例、或奇異值總和的比例"}},
    {.name = "dynamic_param", .type = kFloat,
     .help = {"sv_ratio: 1 to 2 is advised; sv_cumulative: 0 to 1; sv_fro: 0 to 1, higher than for sv_cumulative", "sv_ratio 建議 1 到 2;sv_cumulative 為 0 到 1;sv_fro 為 0 到 1,且應高於 sv_cumulative"}},
    {.name = "verbose", .type = kFlag, .guide = "false", .sd_scripts = "false",
     .help = {"a line for each layer: rank and what was kept", "逐層顯示 rank 與保留的比例"}},
    {.name = "save_precision", .guide = "float", .sd_scripts = "float", .choices = "float|fp16|bf16",
     .help = {"number format in the file", "檔案的數值格式"}},
};

constexpr OptionRow kExtract[] = {
    {.name = "model_org", .type = kPath, .help = {"the original model", "原始模型"}},
    {.name = "model_tuned", .type = kPath, .help = {"the model made from it", "由原始模型訓練而來的模型"}},
    {.name = "save_to", .type = kPath,
     .help = {"file to write, .safetensors, .ckpt or .pt", "輸出檔(.safetensors、.ckpt、.pt)"}},
    {.name = "dim", .type = kInt, .guide = "4", .sd_scripts = "4", .aliases = "network_dim rank", .min = 1, .max = 65536,
     .help = {"rank of the LoRA", "LoRA 的 rank"}},
    {.name = "conv_dim", .type = kInt, .min = 1, .max = 65536,
     .help = {"rank of 3x3 layers; absent: they are left out", "3x3 層的 rank;未指定則不擷取"}},
    {.name = "clamp_quantile", .type = kFloat, .guide = "0.99", .sd_scripts = "0.99", .min = 0.5, .max = 1,
     .help = {"cut factors at this quantile of their values; 1: not", "因子超過此分位數的值截斷;1 表示不截斷"}},
    {.name = "min_diff", .type = kFloat, .guide = "0.01", .sd_scripts = "0.01", .min = 0,
     .help = {"leave the text encoder out when it differs by no more", "文字編碼器的差異不超過此值時不擷取"}},
    {.name = "save_precision", .guide = "float", .choices = "float|fp16|bf16",
     .help = {"number format in the file", "檔案的數值格式"}},
};

constexpr OptionRow kConvert[] = {
    {.name = "save_to", .type = kPath,
     .help = {"file to write; its ending says the format: .safetensors, .ckpt or .pt", "輸出檔;副檔名決定格式:.safetensors、.ckpt、.pt"}},
    {.name = "save_precision", .choices = "float|fp16|bf16",
     .help = {"number format in the file; absent: as it is", "檔案的數值格式;未指定則不變"}},
    {.name = "key_style", .choices = "kohya|diffusers",
     .help = {"names in a LoRA file: sd-scripts' (AUTOMATIC1111, ComfyUI) or diffusers' (PEFT); absent: as they are", "LoRA 檔案的鍵名:sd-scripts 式(AUTOMATIC1111、ComfyUI)或 diffusers(PEFT)式;未指定則不變"}},
};

constexpr OptionRow kVerify[] = {
    {.name = "programs", .type = kList, .aliases = "for",
     .help = {"which programs are to load it: automatic1111, comfyui, diffusers; absent: all three", "要檢查的程式:automatic1111、comfyui、diffusers;未指定則三者皆查"}},
};

constexpr OptionRow kInterrogate[] = {
    {.name = "sd_model", .type = kPath, .aliases = "pretrained_model_name_or_path pretrained_model",
     .help = {"the base model", "底模"}},
    {.name = "model", .type = kPath, .aliases = "lora", .help = {"the LoRA file", "LoRA 檔案"}},
    {.name = "batch_size", .type = kInt, .guide = "16", .sd_scripts = "16", .min = 1, .max = 65536,
     .help = {"tokens at once; 64 or 128 is quicker, the answer is the same", "一次處理的 token 數;64 或 128 較快,結果相同"}},
    {.name = "clip_skip", .type = kInt, .min = 1, .max = 24,
     .help = {"which text encoder layer to read; absent: what the model asks for", "取文字編碼器倒數第幾層;未指定則依模型"}},
    {.name = "tags", .type = kList,
     .help = {"instead of tokens: how far pictures of these tags (between commas) have moved, drawn without and with the LoRA", "改為量測這些標籤(以逗號分隔)的圖片偏移多少:以相同種子比較有無 LoRA 的圖片"}},
    {.name = "steps", .type = kInt, .guide = "12", .min = 1, .max = 1000,
     .help = {"with tags: sampling steps", "搭配 tags:採樣步數"}},
    {.name = "images", .type = kInt, .guide = "2", .min = 1, .max = 100,
     .help = {"with tags: pictures of each", "搭配 tags:每個標籤的圖片數"}},
    {.name = "size", .type = kInt, .min = 64, .max = 2048,
     .help = {"with tags: side of the pictures, a multiple of 8; absent: the model's native size", "搭配 tags:圖片邊長(8 的倍數);未指定為模型原生大小"}},
    {.name = "top", .type = kInt, .guide = "100", .min = 1, .max = 49408,
     .help = {"how many tokens to list", "列出的 token 數"}},
    {.name = "mixed_precision", .guide = "auto", .aliases = "dtype", .choices = "auto|no|fp16|bf16",
     .help = {"type of the big computations", "主要計算的精度"}},
};

constexpr OptionRow kMadeFiles[] = {
    {.name = "no_metadata", .type = kFlag, .guide = "false", .sd_scripts = "false",
     .help = {"leave title, date and sources out of the metadata", "metadata 不寫入標題、日期與來源"}},
};

constexpr OptionRow kThreads[] = {
    {.name = "threads", .type = kInt, .guide = "0", .aliases = "num_threads", .min = 0, .max = 4096,
     .help = {"processor threads that compute; 0: all", "計算用的執行緒數;0 表示全部"}},
};

constexpr OptionRow kAcceptedHere[] = {
    accepted("v2", kFlag, {"the family is read from the files", "模型家族由檔案判斷"}),
    accepted("sdxl", kFlag, {"the family is read from the files", "模型家族由檔案判斷"}),
    accepted("shuffle", kFlag, {"the order of ranks changes nothing", "rank 的順序不影響結果"}),
    accepted("load_precision", kText, {"differences are computed in float", "差異一律以 float 計算"}),
};

// The work of these is a few small matrices: the processor has it done sooner than a card has them.
constexpr OptionRow kAcceptedDevice[] = {
    accepted("device", kText, {"always the processor: factors are small, no card is needed", "一律以處理器計算:因子很小,不需顯示卡"}),
};

constexpr uint32_t kMatrixTools =
    bit(Command::kMerge) | bit(Command::kResize) | bit(Command::kExtract);

constexpr OptionSection kSections[] = {
    {{"Merging", "合併"}, bit(Command::kMerge), kMerge},
    {{"Resizing", "調整 rank"}, bit(Command::kResize), kResize},
    {{"Extracting", "擷取"}, bit(Command::kExtract), kExtract},
    {{"Converting", "轉換"}, bit(Command::kConvert), kConvert},
    {{"Verifying", "驗證"}, bit(Command::kVerify), kVerify},
    {{"Interrogating", "探詢"}, bit(Command::kInterrogate), kInterrogate},
    {{"File", "檔案"}, bit(Command::kMerge) | bit(Command::kExtract), kMadeFiles},
    {{"Device", "裝置"}, kMatrixTools, kThreads},
    {{"Accepted, without effect here", "可接受但在此不起作用"}, kMatrixTools, kAcceptedDevice},
    {{"Accepted, without effect here", "可接受但在此不起作用"}, kMatrixTools | bit(Command::kInterrogate), kAcceptedHere},
};
// clang-format on

}  // namespace

std::span<const OptionSection> tool_sections() { return kSections; }

}  // namespace lora::config

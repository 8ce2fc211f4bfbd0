// Rows: saving, precision and memory, how the program runs.
#include "config/internal/rows.h"

namespace lora::config {
namespace {

using enum OptionType;

// clang-format off
constexpr OptionRow kSaving[] = {
    {.name = "output_dir", .type = kPath, .guide = "./output", .sd_scripts = "./output",
     .help = {"folder for the LoRA files", "LoRA 檔案的輸出資料夾"}},
    {.name = "output_name", .guide = "last",
     .help = {"name of the file, without extension", "輸出檔名(不含副檔名)"}},
    {.name = "save_model_as", .guide = "safetensors", .sd_scripts = "safetensors", .choices = "safetensors|ckpt|pt",
     .help = {"file format; ckpt and pt are PyTorch files, without metadata", "檔案格式;ckpt 與 pt 為 PyTorch 檔案,不含 metadata"}},
    {.name = "save_precision", .guide = "fp16", .choices = "fp16|bf16|float",
     .help = {"number format in the file; absent: float", "檔案的數值格式;未指定為 float"}},
    {.name = "save_every_n_epochs", .type = kInt, .guide = "2", .min = 1,
     .help = {"also save every N epochs", "每 N 個 epoch 存一次"}},
    {.name = "save_every_n_steps", .type = kInt, .min = 1,
     .help = {"also save every N steps", "每 N 步存一次"}},
    {.name = "save_n_epoch_ratio", .type = kInt, .min = 1,
     .help = {"save so often that at least N files come out", "至少存出 N 個檔案"}},
    {.name = "save_last_n_epochs", .type = kInt, .min = 1,
     .help = {"keep the files of the last N epochs only", "只保留最後 N 個 epoch 的檔案"}},
    {.name = "save_last_n_steps", .type = kInt, .min = 1,
     .help = {"keep the files of the last N steps only", "只保留最後 N 步內的檔案"}},
    {.name = "save_last_n_epochs_state", .type = kInt, .min = 1,
     .help = {"the same for training states", "訓練狀態也只保留最後 N 個 epoch"}},
    {.name = "save_last_n_steps_state", .type = kInt, .min = 1,
     .help = {"the same for training states", "訓練狀態也只保留最後 N 步內的"}},
    {.name = "save_state", .type = kFlag, .guide = "false", .sd_scripts = "false",
     .help = {"with each file also save what resume needs", "存檔時一併儲存可續訓的狀態"}},
    {.name = "save_state_on_train_end", .type = kFlag, .guide = "false", .sd_scripts = "false",
     .help = {"save that state at the end only", "只在訓練結束時儲存狀態"}},
    {.name = "save_state_every_n_steps", .type = kInt, .min = 1,
     .help = {"keep a state for resuming after a crash, renewed every N steps", "每 N 步更新一次可續訓的狀態,以防當機"}},
    {.name = "resume", .type = kPath,
     .help = {"a state folder to go on from, or auto: the newest of this run; continues bit by bit", "從狀態資料夾續訓,auto 為最新的狀態;結果與未中斷完全相同"}},
    {.name = "no_metadata", .type = kFlag, .guide = "false", .sd_scripts = "false",
     .help = {"leave the training settings out of the file", "檔案不寫入訓練設定"}},
    {.name = "metadata_title", .help = {"title in the metadata; absent: output_name", "metadata 的標題;未指定則用 output_name"}},
    {.name = "metadata_author", .help = {"author in the metadata", "metadata 的作者"}},
    {.name = "metadata_description", .help = {"description in the metadata", "metadata 的說明"}},
    {.name = "metadata_license", .help = {"license in the metadata", "metadata 的授權"}},
    {.name = "metadata_tags", .help = {"tags in the metadata", "metadata 的標籤"}},
    {.name = "logging_dir", .type = kPath, .guide = "./logs", .sd_scripts = "./logs",
     .help = {"folder for events.jsonl, TensorBoard curves and the settings of each run", "紀錄資料夾(events.jsonl、TensorBoard 曲線與每次的設定)"}},
    {.name = "probe_every_n_steps", .type = kInt, .min = 0,
     .help = {"measure the loss of always the same pictures and noise every N steps; absent: as often as 2 % of the time allow; 0: never", "每 N 步以固定的圖片與噪聲測量損失;未指定則以 2% 時間為限;0 表示不測"}},
    {.name = "validation_split", .type = kFloat, .guide = "0", .sd_scripts = "0", .min = 0, .max = 1,
     .help = {"share of each folder's pictures that is set aside; their loss tells when training starts to memorise; 0: none", "每個資料夾保留不訓練的比例;其損失可看出何時開始死記;0 表示不保留"}},
    {.name = "validation_seed", .type = kInt, .min = 0,
     .help = {"which pictures are set aside, and their noise; absent: seed", "決定保留哪些圖片與其噪聲;未指定則同 seed"}},
    {.name = "validate_every_n_epochs", .type = kInt, .guide = "1", .sd_scripts = "1", .min = 1,
     .help = {"measure their loss every N epochs", "每 N 個 epoch 測量驗證損失"}},
    {.name = "validate_every_n_steps", .type = kInt, .min = 1,
     .help = {"measure it every N steps too", "另外每 N 步測量一次"}},
    {.name = "max_validation_steps", .type = kInt, .min = 1,
     .help = {"most batches that a measurement looks at", "每次測量的 batch 數上限"}},
    {.name = "log_prefix", .help = {"put before the name of the log folder", "紀錄資料夾名稱的前綴"}},
};

constexpr OptionRow kPreviews[] = {
    {.name = "sample_prompts", .type = kPath, .aliases = "prompt_file",
     .help = {"a file of prompts to draw while training (.txt, .json, .toml); pictures go to output_dir/sample", "訓練中試畫的提示詞檔(.txt、.json、.toml);圖片存於 output_dir/sample"}},
    {.name = "sample_every_n_epochs", .type = kInt, .guide = "2", .min = 1,
     .help = {"draw them every N epochs; wins over sample_every_n_steps", "每 N 個 epoch 試畫一次;優先於 sample_every_n_steps"}},
    {.name = "sample_every_n_steps", .type = kInt, .min = 1,
     .help = {"draw them every N steps", "每 N 步試畫一次"}},
    {.name = "sample_at_first", .type = kFlag, .guide = "false", .sd_scripts = "false",
     .help = {"draw them before the first step too", "訓練開始前也試畫一次"}},
    {.name = "sample_sampler", .guide = "euler_a", .sd_scripts = "ddim", .aliases = "sampler", .choices = "ddim|pndm|plms|lms|euler|euler_a|heun|dpm_2|dpm_2_a|dpmsolver|dpmsolver++|dpmsingle|k_lms|k_euler|k_euler_a|k_dpm_2|k_dpm_2_a|dpmpp_2m_karras",
     .help = {"sampler of the previews", "試畫的採樣器"}},
};

constexpr OptionRow kMemory[] = {
    {.name = "mixed_precision", .guide = "auto", .sd_scripts = "no", .choices = "auto|no|fp16|bf16",
     .help = {"type of the big computations; auto: the best this machine has", "主要計算的精度;auto 為此機器最適合的"}},
    {.name = "base_quant", .guide = "none", .sd_scripts = "none", .choices = "none|int8",
     .help = {"keep the model's frozen weights in 8 bits with one scale a row: half the memory, slower", "以 8 位元保存底模的凍結權重(每列一個係數):記憶體減半,速度較慢"}},
    {.name = "gradient_checkpointing", .type = kFlag, .guide = "false", .sd_scripts = "false",
     .help = {"less memory, more time: intermediate results are computed twice", "省記憶體但較慢:中間結果重新計算"}},
    {.name = "max_memory", .type = kText,
     .help = {"most memory for a step, like 3G or 800M, on a card with the weights; results are recomputed until it fits", "每步可用的記憶體上限,例如 3G 或 800M(顯示卡含權重);以重新計算來節省"}},
};

constexpr OptionRow kRun[] = {
    {.name = "preset", .guide = "guide", .sd_scripts = "sd-scripts", .choices = "guide|sd-scripts|low_memory|character|style",
     .help = {"where defaults come from: the guide's settings, those of sd-scripts, or the guide's for a small card (low_memory), a character, a style (docs/guide/presets.md)", "預設值來源:教學建議值 guide、sd-scripts 的預設值,或教學對小顯存(low_memory)、角色(character)、畫風(style)的建議(docs/guide/presets.md)"}},
    {.name = "config_file", .type = kPath,
     .help = {"a TOML file with options; the command line wins over it", "TOML 設定檔;命令列的值優先"}},
    {.name = "from", .type = kPath,
     .help = {"settings of another program: train.ps1 or train.sh, a command line or TOML of sd-scripts, TOML of lora-scripts, JSON of kohya_ss; what cannot be honoured is named; config_file and the command line win over it", "讀入其他程式的設定:train.ps1、train.sh、sd-scripts 的命令列或 TOML、lora-scripts 的 TOML、kohya_ss 的 JSON;無法沿用的會列出;config_file 與命令列優先"}},
    {.name = "dry_run", .type = kFlag, .guide = "false", .sd_scripts = "false",
     .help = {"print pictures, buckets, steps, memory and time, then stop", "只顯示圖片數、分桶、步數、記憶體與時間後結束"}},
};

constexpr OptionSection kSections[] = {
    {{"Saving", "儲存"}, bit(Command::kTrain), kSaving},
    {{"Previews", "試畫"}, bit(Command::kTrain), kPreviews},
    {{"Precision and memory", "精度與記憶體"}, bit(Command::kTrain), kMemory},
    {{"The run", "執行"}, bit(Command::kTrain), kRun},
};
// clang-format on

}  // namespace

std::span<const OptionSection> output_sections() { return kSections; }

}  // namespace lora::config

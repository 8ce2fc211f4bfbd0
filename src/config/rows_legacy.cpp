// Rows: words of sd-scripts that choose an implementation (accepted, nothing to do) and words that
// would change the result and are not there (refused by name).
#include "config/internal/rows.h"

namespace lora::config {
namespace {

using enum OptionType;

constexpr OptionRow refused(std::string_view name, OptionType type, Words help) {
    OptionRow row = accepted(name, type, help);
    row.support = Support::kRefused;
    return row;
}

// clang-format off
constexpr OptionRow kAcceptedRows[] = {
    accepted("xformers", kFlag, {"attention is always memory-saving here", "此程式的 attention 一律省記憶體"}),
    accepted("sdpa", kFlag, {"attention is always memory-saving here", "此程式的 attention 一律省記憶體"}),
    accepted("mem_eff_attn", kFlag, {"attention is always memory-saving here", "此程式的 attention 一律省記憶體"}),
    accepted("lowram", kFlag, {"the model file is mapped, never copied whole", "模型以記憶體映射讀取,不會整個載入"}),
    accepted("highvram", kFlag, {"memory is planned before the first step", "記憶體在第一步前就規劃好"}),
    accepted("persistent_data_loader_workers", kFlag, {"loading threads always stay", "載入執行緒一律常駐"}),
    accepted("tokenizer_cache_dir", kPath, {"the tokenizer is inside the program", "分詞器內建於程式"}),
    accepted("cache_info", kFlag, {"picture sizes are read from headers, quickly", "圖片大小直接由檔頭快速讀取"}),
    accepted("torch_compile", kFlag, {"a PyTorch matter", "PyTorch 專用"}),
    accepted("dynamo_backend", kText, {"a PyTorch matter", "PyTorch 專用"}),
    accepted("log_with", kText, {"events.jsonl and TensorBoard curves are always written", "一律寫入 events.jsonl 與 TensorBoard 曲線"}),
    accepted("log_tracker_name", kText, {"no outside tracker", "不使用外部追蹤工具"}),
    accepted("log_tracker_config", kPath, {"no outside tracker", "不使用外部追蹤工具"}),
    accepted("log_config", kFlag, {"the settings are always kept in the log folder", "設定一律存於紀錄資料夾"}),
    accepted("console_log_file", kPath, {"a file for messages; redirect stderr instead", "訊息檔;請改為重導 stderr"}),
    accepted("console_log_simple", kFlag, {"messages are always plain", "訊息一律為純文字"}),
    accepted("no_half_vae", kFlag, {"the VAE always computes without overflow", "VAE 計算不會溢位"}),
    accepted("skip_cache_check", kFlag, {"checking the cache costs next to nothing", "檢查快取幾乎不花時間"}),
    accepted("skip_until_initial_step", kFlag, {"resuming always goes on at the right place", "續訓一律從正確位置開始"}),
    accepted("ddp_timeout", kInt, {"one process", "單一行程"}),
    accepted("ddp_gradient_as_bucket_view", kFlag, {"one process", "單一行程"}),
    accepted("ddp_static_graph", kFlag, {"one process", "單一行程"}),
};

constexpr OptionRow kRefusedRows[] = {
    refused("in_json", kPath, {"fine-tuning metadata", "微調用的 metadata"}),
    refused("dataset_class", kText, {"a Python class", "Python 類別"}),
    refused("dataset_repeats", kInt, {"repeats of a fine-tuning data set", "微調資料集的重複次數"}),
    refused("resize_interpolation", kText, {"another way to resize", "其他縮放方式"}),
    refused("lr_scheduler_type", kText, {"a Python scheduler", "Python 的排程器"}),
    refused("fused_backward_pass", kFlag, {"update during the backward pass", "反向傳播時更新"}),
    refused("full_fp16", kFlag, {"LoRA itself in fp16", "LoRA 本身用 fp16"}),
    refused("full_bf16", kFlag, {"LoRA itself in bf16", "LoRA 本身用 bf16"}),
    refused("fp8_base", kFlag, {"base model in 8 bit", "底模用 8 位元"}),
    refused("fp8_base_unet", kFlag, {"UNet in 8 bit", "U-Net 用 8 位元"}),
    refused("cpu_offload_checkpointing", kFlag, {"activations kept in main memory", "中間結果放主記憶體"}),
    refused("initial_epoch", kInt, {"start at a later epoch (use --resume)", "從較後的 epoch 開始(請用 --resume)"}),
    refused("initial_step", kInt, {"start at a later step (use --resume)", "從較後的步數開始(請用 --resume)"}),
    refused("output_config", kFlag, {"write the settings and stop (they are always kept in the log folder)", "輸出設定後結束(設定一律存於紀錄資料夾)"}),
    refused("deepspeed", kFlag, {"several machines", "多機訓練"}),
    refused("huggingface_repo_id", kText, {"uploading", "上傳"}),
    refused("save_state_to_huggingface", kFlag, {"uploading", "上傳"}),
    refused("resume_from_huggingface", kFlag, {"downloading", "下載"}),
    refused("wandb_api_key", kText, {"an outside service", "外部服務"}),
    refused("wandb_run_name", kText, {"an outside service", "外部服務"}),
};

constexpr OptionSection kSections[] = {
    {{"Accepted, without effect here", "可接受但在此不起作用"}, bit(Command::kTrain), kAcceptedRows},
    {{"Not in this version", "此版本尚無"}, bit(Command::kTrain), kRefusedRows},
};
// clang-format on

}  // namespace

std::span<const OptionSection> legacy_sections() { return kSections; }

}  // namespace lora::config

// Rows: sample, demo, inspect, help, and what every command takes.
#include "config/internal/rows.h"

namespace lora::config {
namespace {

using enum OptionType;

// clang-format off
constexpr OptionRow kSample[] = {
    {.name = "model", .type = kPath, .aliases = "pretrained_model_name_or_path pretrained_model ckpt",
     .help = {"the base model, a .safetensors file", "底模(.safetensors)"}},
    {.name = "vae", .type = kPath,
     .help = {"another VAE to decode the pictures with", "改用另一個 VAE 來解碼圖片"}},
    {.name = "v2", .type = kFlag, .guide = "false",
     .help = {"the base model must be Stable Diffusion 2.x (its shapes tell anyway)", "底模須為 Stable Diffusion 2.x(程式本來就會自動判斷)"}},
    {.name = "v_parameterization", .type = kFlag,
     .help = {"the model predicts v instead of noise; absent: as the model file says, else noise", "模型預測 v 而非雜訊;未指定則依模型檔案,檔案未註明時為雜訊"}},
    {.name = "prompt", .help = {"what to draw", "提示詞"}},
    {.name = "from_file", .type = kPath,
     .help = {"draw every line of a prompt file (--n --w --h --d --s --l --ss as for previews); what is given here counts for all lines", "逐行產生提示詞檔(與試畫相同的 --n --w --h --d --s --l --ss);此處指定的選項套用到所有行"}},
    {.name = "negative_prompt", .aliases = "negative", .help = {"what to avoid", "反向提示詞"}},
    {.name = "lora", .type = kList, .aliases = "network_weights",
     .help = {"LoRA files, each with an optional weight: cat.safetensors or cat.safetensors:0.8", "LoRA 檔案,可加權重:cat.safetensors 或 cat.safetensors:0.8"}},
    {.name = "lora_weight", .type = kFloat, .guide = "1.0", .aliases = "network_mul",
     .help = {"weight of LoRA files that name none", "未註明權重的 LoRA 的權重"}},
    {.name = "width", .type = kInt, .min = 64, .max = 4096,
     .help = {"width in pixels, a multiple of 8; absent: the model's native size", "寬(像素,8 的倍數);未指定為模型原生大小"}},
    {.name = "height", .type = kInt, .min = 64, .max = 4096,
     .help = {"height in pixels, a multiple of 8", "高(像素,8 的倍數)"}},
    {.name = "steps", .type = kInt, .guide = "30", .min = 1, .max = 1000,
     .help = {"sampling steps", "採樣步數"}},
    {.name = "scale", .type = kFloat, .guide = "7.5", .aliases = "cfg_scale", .min = 0,
     .help = {"how strongly the prompt is followed (CFG)", "遵循提示詞的強度(CFG)"}},
    {.name = "sampler", .guide = "ddim", .aliases = "sample_sampler", .choices = "ddim|pndm|plms|lms|euler|euler_a|heun|dpm_2|dpm_2_a|dpmsolver|dpmsolver++|dpmsingle|k_lms|k_euler|k_euler_a|k_dpm_2|k_dpm_2_a|dpmpp_2m_karras",
     .help = {"sampler", "採樣器"}},
    {.name = "seed", .type = kInt, .min = 0,
     .help = {"start of the random numbers; absent: drawn and told", "亂數種子;未指定則隨機並顯示"}},
    {.name = "clip_skip", .type = kInt, .min = 1, .max = 12,
     .help = {"which text encoder layer to read; absent: what the model asks for", "取文字編碼器倒數第幾層;未指定則依模型"}},
    {.name = "images", .type = kInt, .guide = "1", .aliases = "images_per_prompt", .min = 1, .max = 1000,
     .help = {"how many pictures, each with the next seed", "圖片張數,種子依序加一"}},
    {.name = "out", .type = kPath, .guide = "sample.png", .aliases = "outdir",
     .help = {"file to write; several pictures get numbers", "輸出檔;多張時加上編號"}},
    {.name = "mixed_precision", .guide = "auto", .aliases = "dtype", .choices = "auto|no|fp16|bf16",
     .help = {"type of the big computations", "主要計算的精度"}},
};

constexpr OptionRow kDemo[] = {
    {.name = "out", .type = kPath, .guide = "demo-out",
     .help = {"folder for the results", "結果資料夾"}},
    {.name = "max_train_steps", .type = kInt, .min = 1,
     .help = {"how long to train", "訓練步數"}},
    {.name = "learning_rate", .type = kFloat, .min = 0,
     .help = {"learning rate", "學習率"}},
    {.name = "seed", .type = kInt, .guide = "1337", .min = 0,
     .help = {"start of all random numbers", "亂數種子"}},
    {.name = "train_data_dir", .type = kPath,
     .help = {"train on other pictures: the check should then say no", "改用其他圖片訓練:此時應判定為未學會"}},
    {.name = "lora", .type = kPath,
     .help = {"judge this file instead of training one", "不訓練,直接判定此 LoRA 檔案"}},
};

constexpr OptionRow kInspect[] = {
    {.name = "quick", .type = kFlag, .guide = "false",
     .help = {"leave out what has to be computed: energies by block, effective ranks, the rank that would do", "略過需要計算的部分:各區塊能量、有效 rank、建議的 rank"}},
};

constexpr OptionRow kVersion[] = {
    {.name = "features", .type = kFlag, .guide = "false",
     .help = {"also list what this build can do: precisions, networks, optimizers and so on", "並列出此版本的功能:精度、網路、優化器等"}},
};

constexpr OptionRow kHelp[] = {
    {.name = "markdown", .type = kFlag, .guide = "false",
     .help = {"print the option tables of docs/options.md", "輸出 docs/options.md 的內容"}},
};

constexpr OptionRow kDevice[] = {
    {.name = "backend", .aliases = "device", .choices = "reference|cpu|cuda",
     .help = {"what computes; absent: the fastest this machine has", "計算裝置;未指定則用最快的"}},
    {.name = "threads", .type = kInt, .guide = "0", .sd_scripts = "0", .aliases = "num_threads num_cpu_threads_per_process", .min = 0, .max = 4096,
     .help = {"processor threads that compute; 0: all", "計算用的執行緒數;0 表示全部"}},
    {.name = "no_autotune", .type = kFlag, .guide = "false", .sd_scripts = "false",
     .help = {"graphics card: take the kernels that are guessed best, without measuring", "顯示卡:不實測,直接採用預估最快的核心"}},
};

constexpr OptionRow kEverywhere[] = {
    {.name = "json", .type = kFlag, .guide = "false", .sd_scripts = "false",
     .help = {"print the result as JSON", "以 JSON 輸出結果"}},
    {.name = "lang", .choices = "en|zh",
     .help = {"language of the help; absent: LORA_LANG or the system's", "說明的語言;未指定依 LORA_LANG 或系統"}},
    {.name = "console_log_level", .guide = "INFO", .sd_scripts = "INFO", .choices = "DEBUG|INFO|WARNING|ERROR|CRITICAL",
     .help = {"how much is told on the way", "訊息的詳細程度"}},
    {.name = "help", .type = kFlag, .guide = "false", .sd_scripts = "false", .aliases = "h",
     .help = {"show this help", "顯示說明"}},
};

constexpr uint32_t kComputing =
    bit(Command::kTrain) | bit(Command::kSample) | bit(Command::kDemo) | bit(Command::kDoctor) |
    bit(Command::kInterrogate) | bit(Command::kData);

constexpr OptionSection kSections[] = {
    {{"Sampling", "採樣"}, bit(Command::kSample), kSample},
    {{"Demo", "示範"}, bit(Command::kDemo), kDemo},
    {{"Inspect", "檢視"}, bit(Command::kInspect), kInspect},
    {{"Version", "版本"}, bit(Command::kVersion), kVersion},
    {{"Help", "說明"}, bit(Command::kHelp), kHelp},
    {{"Device", "裝置"}, kComputing, kDevice},
    {{"Everywhere", "共用"}, kEveryCommand, kEverywhere},
};
// clang-format on

}  // namespace

std::span<const OptionSection> command_sections() { return kSections; }

}  // namespace lora::config

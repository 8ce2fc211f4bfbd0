// Rows: network, length of the run, optimizer and schedule, noise and loss.
#include "config/internal/rows.h"

namespace lora::config {
namespace {

using enum OptionType;

// clang-format off
constexpr OptionRow kNetwork[] = {
    {.name = "network_module", .guide = "networks.lora", .sd_scripts = "networks.lora", .choices = "networks.lora|lycoris.kohya",
     .help = {"networks.lora: LoRA; lycoris.kohya: LoCon, LoHa, LoKr, IA3, chosen by network_args algo=...", "networks.lora 為 LoRA;lycoris.kohya 為 LoCon、LoHa、LoKr、IA3,由 network_args 的 algo=... 選擇"}},
    {.name = "network_dim", .type = kInt, .guide = "32", .sd_scripts = "4", .aliases = "rank", .min = 1, .max = 1024,
     .help = {"rank of the LoRA; 4 to 128, bigger is not better", "LoRA 的 rank;4 到 128,並非越大越好"}},
    {.name = "network_alpha", .type = kFloat, .guide = "16", .sd_scripts = "1", .min = 0,
     .help = {"strength is alpha / dim; half of dim is usual; 0: same as dim", "強度為 alpha / dim;常用 dim 的一半;0 表示與 dim 相同"}},
    {.name = "network_args", .type = kList,
     .help = {"further settings: conv_dim=4 conv_alpha=1 rs_lora=True dora_wd=True rank_dropout=0.1 module_dropout=0.1; with lycoris.kohya also algo=locon|loha|lokr|ia3 preset=full|attn-mlp|... use_tucker=True factor=8 decompose_both=True; by UNet block: block_dims, block_alphas, conv_block_dims, conv_block_alphas (25 numbers), down_lr_weight, mid_lr_weight, up_lr_weight (12, 1, 12 factors of unet_lr, or sine, cosine, linear, reverse_linear, zeros, with +base; 0 leaves a block out), block_lr_zero_threshold; LoRA+: loraplus_lr_ratio, loraplus_unet_lr_ratio, loraplus_text_encoder_lr_ratio", "網路的其他參數:conv_dim=4 conv_alpha=1 rs_lora=True dora_wd=True rank_dropout=0.1 module_dropout=0.1;lycoris.kohya 另有 algo=locon|loha|lokr|ia3 preset=full|attn-mlp|... use_tucker=True factor=8 decompose_both=True;依 U-Net 區塊:block_dims、block_alphas、conv_block_dims、conv_block_alphas(25 個數)、down_lr_weight、mid_lr_weight、up_lr_weight(unet_lr 的 12、1、12 個倍率,或 sine、cosine、linear、reverse_linear、zeros,可加 +底數;0 表示不訓練該區塊)、block_lr_zero_threshold;LoRA+:loraplus_lr_ratio、loraplus_unet_lr_ratio、loraplus_text_encoder_lr_ratio"}},
    {.name = "network_weights", .type = kPath,
     .help = {"a LoRA file to go on from", "從既有的 LoRA 繼續訓練"}},
    {.name = "dim_from_weights", .type = kFlag, .guide = "false", .sd_scripts = "false",
     .help = {"take dim and alpha of each module from network_weights", "各模組的 dim 與 alpha 取自 network_weights"}},
    {.name = "network_train_unet_only", .type = kFlag, .guide = "false", .sd_scripts = "false", .aliases = "train_unet_only",
     .help = {"train the UNet alone: less memory, some quality lost", "只訓練 U-Net:省記憶體,品質略降"}},
    {.name = "network_train_text_encoder_only", .type = kFlag, .guide = "false", .sd_scripts = "false", .aliases = "train_text_encoder_only",
     .help = {"train the text encoder alone", "只訓練文字編碼器"}},
    {.name = "stop_text_encoder_training", .type = kInt, .min = 1,
     .help = {"stop training the text encoder after N epochs; it is used on as it then is", "訓練 N 個 epoch 後停止訓練文字編碼器(之後維持不變)"}},
    {.name = "stop_unet_training", .type = kInt, .min = 1,
     .help = {"the same for the UNet", "訓練 N 個 epoch 後停止訓練 U-Net"}},
    {.name = "network_dropout", .type = kFloat, .guide = "0", .sd_scripts = "0", .min = 0, .max = 0.99,
     .help = {"chance of each of the LoRA's inner values to be left out in a step, against overfitting (0.1 to 0.5); rank_dropout=, module_dropout= are network_args", "每步隨機丟棄 LoRA 內部數值的機率,可減少過擬合(0.1 到 0.5);rank_dropout=、module_dropout= 寫在 network_args"}},
    {.name = "scale_weight_norms", .type = kFloat, .guide = "0", .sd_scripts = "0", .min = 0,
     .help = {"weight changes whose norm exceeds this are shrunk after each step (1 suggested); 0: off", "每步之後把範數超過此值的權重變化縮小(建議 1);0 表示關閉"}},
    {.name = "base_weights", .type = kList,
     .help = {"LoRA files merged into the base model before the training", "訓練前先合併到底模的 LoRA 檔案"}},
    {.name = "base_weights_multiplier", .type = kList,
     .help = {"how strongly each of base_weights is merged; missing ones: 1", "各個 base_weights 的合併強度;未給者為 1"}},
    {.name = "training_comment",
     .help = {"a note kept in the metadata of the file", "寫入檔案 metadata 的備註"}},
};

constexpr OptionRow kLength[] = {
    {.name = "max_train_epochs", .type = kInt, .guide = "12", .aliases = "max_train_epoches", .min = 1,
     .help = {"passes over all pictures; wins over max_train_steps", "訓練的 epoch 數;優先於 max_train_steps"}},
    {.name = "max_train_steps", .type = kInt, .sd_scripts = "1600", .min = 1,
     .help = {"optimizer steps, when no epochs are given", "訓練步數(未指定 epoch 時)"}},
    {.name = "gradient_accumulation_steps", .type = kInt, .guide = "1", .sd_scripts = "1", .min = 1,
     .help = {"batches gathered into one optimizer step", "累積幾個 batch 才更新一次"}},
    {.name = "seed", .type = kInt, .guide = "1337", .aliases = "s_seed", .min = 0,
     .help = {"start of all random numbers", "亂數種子"}},
    {.name = "random_seed", .type = kFlag, .guide = "false", .sd_scripts = "false",
     .help = {"draw a seed and log it", "隨機選一個種子並記錄下來"}},
};

constexpr OptionRow kOptimizer[] = {
    {.name = "optimizer_type", .guide = "AdamW", .sd_scripts = "AdamW", .aliases = "optimizer", .choices = "AdamW|AdamW8bit|PagedAdamW|PagedAdamW8bit|PagedAdamW32bit|Lion|Lion8bit|PagedLion8bit|SGDNesterov|SGDNesterov8bit|DAdaptAdam|DAdaptLion|DAdaptSGD|DAdaptAdan|Prodigy|Adafactor|CAME|AdamWScheduleFree",
     .help = {"optimizer; 8bit: a quarter of the state's memory; DAdapt... and Prodigy find the learning rate themselves (rates are 1); Adafactor, CAME: hardly any state", "優化器;8bit:狀態只佔四分之一記憶體;DAdapt 系列與 Prodigy 自動尋找學習率(學習率設 1);Adafactor、CAME:狀態很小"}},
    {.name = "optimizer_args", .type = kList,
     .help = {"further settings of the optimizer: betas=0.9,0.999 weight_decay=0.01; an unknown one is answered with those that exist", "優化器的其他參數:betas=0.9,0.999 weight_decay=0.01;寫錯時會列出可用的參數"}},
    {.name = "use_8bit_adam", .type = kFlag, .guide = "false", .sd_scripts = "false",
     .help = {"short for optimizer_type AdamW8bit", "等同 optimizer_type AdamW8bit"}},
    {.name = "use_lion_optimizer", .type = kFlag, .guide = "false", .sd_scripts = "false",
     .help = {"short for optimizer_type Lion", "等同 optimizer_type Lion"}},
    {.name = "learning_rate", .type = kFloat, .sd_scripts = "2e-6", .aliases = "lr", .min = 0,
     .help = {"learning rate; the guide's preset takes 1e-4 times the batch size", "學習率;預設為 1e-4 乘以 batch size"}},
    {.name = "unet_lr", .type = kFloat, .min = 0,
     .help = {"learning rate of the UNet; absent: learning_rate", "U-Net 的學習率;未指定則同 learning_rate"}},
    {.name = "text_encoder_lr", .type = kFloat, .min = 0,
     .help = {"learning rate of the text encoder; the guide's preset takes a tenth of learning_rate", "文字編碼器的學習率;預設為 learning_rate 的十分之一"}},
    {.name = "lr_scaling", .guide = "linear", .sd_scripts = "none", .choices = "linear|sqrt|none",
     .help = {"how the default learning rate grows with the batch: linear, square root, not at all", "預設學習率隨 batch 放大的方式:linear 線性、sqrt 平方根、none 不放大"}},
    {.name = "lr_scheduler", .guide = "cosine_with_restarts", .sd_scripts = "constant", .choices = "constant|constant_with_warmup|linear|cosine|cosine_with_restarts|polynomial|inverse_sqrt|cosine_with_min_lr|warmup_stable_decay|piecewise_constant|adafactor",
     .help = {"course of the learning rate; adafactor goes with that optimizer's relative_step", "學習率的變化方式;adafactor 搭配該優化器的 relative_step"}},
    {.name = "lr_warmup_steps", .type = kFloat, .guide = "0", .sd_scripts = "0", .min = 0,
     .help = {"steps of rising learning rate (below 1: share of the run); 0 with constant", "學習率預熱步數(小於 1 為比例);constant 時須為 0"}},
    {.name = "lr_scheduler_num_cycles", .type = kInt, .guide = "1", .sd_scripts = "1", .aliases = "lr_restart_cycles", .min = 1,
     .help = {"restarts of cosine_with_restarts; half waves of cosine_with_min_lr", "cosine_with_restarts 的重啟次數;cosine_with_min_lr 的半週期數"}},
    {.name = "lr_scheduler_power", .type = kFloat, .guide = "1", .sd_scripts = "1", .min = 0,
     .help = {"power of polynomial", "polynomial 的次方"}},
    {.name = "lr_scheduler_timescale", .type = kFloat, .min = 1,
     .help = {"time scale of inverse_sqrt in steps; absent: the warm-up's length", "inverse_sqrt 的時間尺度(步);未指定則為預熱步數"}},
    {.name = "lr_scheduler_min_lr_ratio", .type = kFloat, .min = 0, .max = 1,
     .help = {"lowest share of the learning rate for cosine_with_min_lr and warmup_stable_decay", "cosine_with_min_lr 與 warmup_stable_decay 的最低學習率比例"}},
    {.name = "lr_decay_steps", .type = kFloat, .guide = "0", .sd_scripts = "0", .min = 0,
     .help = {"steps of the final decay of warmup_stable_decay (below 1: share of the run)", "warmup_stable_decay 最後衰減的步數(小於 1 為比例)"}},
    {.name = "lr_scheduler_args", .type = kList,
     .help = {"step_rules=1:10,0.1:20,0.01 for piecewise_constant: factors with the step where each ends, and the last one", "piecewise_constant 的 step_rules=1:10,0.1:20,0.01:各倍率及其結束步數,最後一個為其後的倍率"}},
    {.name = "max_grad_norm", .type = kFloat, .guide = "1.0", .sd_scripts = "1.0", .min = 0,
     .help = {"gradients longer than this are shortened; 0: off", "梯度裁剪的上限;0 表示關閉"}},
    {.name = "ema", .guide = "off", .sd_scripts = "off", .choices = "off|extra|instead",
     .help = {"keep a running average of the LoRA: saved as a further file NAME-ema (extra), or in place of the LoRA (instead)", "保留 LoRA 的移動平均:另存為 名稱-ema(extra),或取代 LoRA 本身(instead)"}},
    {.name = "ema_decay", .type = kFloat, .guide = "0.999", .sd_scripts = "0.999", .min = 0, .max = 0.999999,
     .help = {"how much of the average stays at each step; less during the first steps", "每步保留多少舊平均;最初幾步較少"}},
};

constexpr OptionRow kLoss[] = {
    {.name = "noise_offset", .type = kFloat, .guide = "0", .sd_scripts = "0", .min = 0,
     .help = {"shifts the noise of each channel (0.1 suggested for dark and bright pictures); 0: off", "噪聲偏移(建議 0.1,可學到更暗更亮的畫面);0 表示關閉"}},
    {.name = "noise_offset_random_strength", .type = kFlag, .guide = "false", .sd_scripts = "false",
     .help = {"each batch draws how strong noise_offset is, up to the value given", "每個 batch 隨機決定噪聲偏移強度(最大為設定值)"}},
    {.name = "adaptive_noise_scale", .type = kFloat, .guide = "0", .sd_scripts = "0",
     .help = {"adds to noise_offset by the level of each channel; 0: off", "依各通道平均值調整噪聲偏移;0 表示關閉"}},
    {.name = "ip_noise_gamma", .type = kFloat, .guide = "0", .sd_scripts = "0", .min = 0,
     .help = {"input perturbation: extra noise that the model is not asked for (0.1 suggested); 0: off", "輸入擾動:額外加入不需預測的噪聲(建議 0.1);0 表示關閉"}},
    {.name = "ip_noise_gamma_random_strength", .type = kFlag, .guide = "false", .sd_scripts = "false",
     .help = {"each batch draws how strong ip_noise_gamma is", "每個 batch 隨機決定輸入擾動強度"}},
    {.name = "zero_terminal_snr", .type = kFlag, .guide = "false", .sd_scripts = "false",
     .help = {"noise schedule that ends in pure noise; for v-prediction models", "噪聲排程以純噪聲結束;用於 v-prediction 模型"}},
    {.name = "multires_noise_iterations", .type = kInt, .guide = "0", .sd_scripts = "0", .min = 0, .max = 16,
     .help = {"adds noise of several sizes (6 to 10 suggested); 0: off", "加入多種尺度的噪聲(建議 6 到 10);0 表示關閉"}},
    {.name = "multires_noise_discount", .type = kFloat, .guide = "0.3", .sd_scripts = "0.3", .min = 0, .max = 1,
     .help = {"how much each coarser noise counts", "較粗尺度噪聲的折扣"}},
    {.name = "min_timestep", .type = kInt, .guide = "0", .sd_scripts = "0", .min = 0, .max = 999,
     .help = {"lowest timestep that is trained", "訓練的最小 timestep"}},
    {.name = "max_timestep", .type = kInt, .guide = "1000", .sd_scripts = "1000", .min = 1, .max = 1000,
     .help = {"timesteps stay below this", "timestep 小於此值"}},
    {.name = "min_snr_gamma", .type = kFloat, .guide = "0", .sd_scripts = "0", .min = 0,
     .help = {"evens out the weight of easy and hard noise levels (5 suggested); 0: off", "平衡不同噪聲強度的權重(建議 5);0 表示關閉"}},
    {.name = "scale_v_pred_loss_like_noise_pred", .type = kFlag, .guide = "false", .sd_scripts = "false",
     .help = {"v-prediction: weigh noise levels as noise prediction would", "v-prediction:以噪聲預測的方式加權"}},
    {.name = "v_pred_like_loss", .type = kFloat, .guide = "0", .sd_scripts = "0", .min = 0,
     .help = {"noise prediction: adds so much of a loss weighted as v-prediction; 0: off", "噪聲預測:加入此比例的 v-prediction 式 loss;0 表示關閉"}},
    {.name = "loss_type", .guide = "l2", .sd_scripts = "l2", .choices = "l2|l1|huber|smooth_l1",
     .help = {"how the error counts: squared, absolute, or (huber, smooth_l1) squared when small and absolute when large, which forgives odd pictures", "誤差的算法:l2 平方、l1 絕對值;huber 與 smooth_l1 小誤差取平方、大誤差取絕對值,較能容忍異常圖片"}},
    {.name = "huber_schedule", .guide = "snr", .sd_scripts = "snr", .choices = "constant|exponential|snr",
     .help = {"how the border between small and large goes with the noise level", "大小誤差的分界隨噪聲強度的變化方式"}},
    {.name = "huber_c", .type = kFloat, .guide = "0.1", .sd_scripts = "0.1", .min = 0.000001,
     .help = {"that border at the highest noise level", "噪聲最強時的分界值"}},
    {.name = "huber_scale", .type = kFloat, .guide = "1", .sd_scripts = "1", .min = 0.000001,
     .help = {"factor of the border (constant and exponential)", "分界值的倍率(constant 與 exponential)"}},
    {.name = "masked_loss", .type = kFlag, .guide = "false", .sd_scripts = "false",
     .help = {"only the white parts of the mask pictures of conditioning_data_dir are learned", "只學習 conditioning_data_dir 遮罩圖片的白色部分"}},
    {.name = "alpha_mask", .type = kFlag, .guide = "false", .sd_scripts = "false",
     .help = {"transparent parts of the pictures are not learned", "圖片透明的部分不學習"}},
    {.name = "debiased_estimation_loss", .type = kFlag, .guide = "false", .sd_scripts = "false",
     .help = {"weigh high noise levels more (debiased estimation)", "提高高噪聲強度的權重(去偏估計)"}},
};

constexpr OptionSection kSections[] = {
    {{"Network", "網路"}, bit(Command::kTrain), kNetwork},
    {{"Length of the run", "訓練長度"}, bit(Command::kTrain), kLength},
    {{"Optimizer and learning rate", "優化器與學習率"}, bit(Command::kTrain), kOptimizer},
    {{"Noise and loss", "噪聲與 loss"}, bit(Command::kTrain), kLoss},
};
// clang-format on

}  // namespace

std::span<const OptionSection> training_sections() { return kSections; }

}  // namespace lora::config

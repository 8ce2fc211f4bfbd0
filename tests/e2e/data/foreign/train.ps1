# Model and pictures
$pretrained_model = ".\sd-models\anime.ckpt" # full or pruned
$train_data_dir = "./train/Yuki"
$reg_data_dir = ""

# Output
$output_name = "Yuki"          # 雪
$save_model_as = "safetensors"

$resolution = "512,768"
$batch_size = 4
$max_train_epoches = 14
$save_every_n_epochs = 2
$network_dim = 16
$network_alpha = 8
$clip_skip = 2
$keep_tokens = 1
$mixed_precision = "bf16"      # "no, fp16, bf16"
$train_unet_only = $false
$train_text_encoder_only = $false
$noise_offset = 0.1
$min_snr_gamma = 0
$flip_aug = $true
$random_seed = $false

# Rates
$lr = 1e-4 * [Math]::Round([Math]::Sqrt($batch_size),4)
$unet_lr = 1e-4 * $batch_size
$text_encoder_lr = 1e-5 * $batch_size
$lr_scheduler = "cosine_with_restarts"
$lr_warmup_steps = 0
$lr_restart_cycles = 2

# Blocks
$block_weight_lr = $true
$down_lr_weight = "0,1,1,0,1,1,0,1,1,0,0,0"
$mid_lr_weight = "1"
$up_lr_weight = "0,0,0,1,1,1,1,1,1,1,1,1"
$block_weight_dim = $false
$block_dims = "4,32,32,4,32,32,4,32,32,4,4,4,32,4,4,4,32,32,32,32,32,32,32,32,32"
$block_alphas = "1,16,16,1,16,16,1,16,16,1,1,1,16,1,1,1,16,16,16,16,16,16,16,16,16"

$network_weights = ""
$min_bucket_reso = 256
$max_bucket_reso = 1024
$persistent_data_loader_workers = $false
$log_as_outputname = $true
$optimizer_type = "Lion"

$enable_lycoris_train = $false
$algo = "lora"
$conv_dim = 4
$conv_alpha = 1

$debug_dataset = $false
$output_sample = $true
$sampler = "euler_a"
$sample_every_n_epochs = 2
$prompt_file = "./train/sample_prompts.txt"
$my_own_note = "hello"

# ============= DO NOT MODIFY CONTENTS BELOW =====================
$Env:HF_HOME = "huggingface"
$network_module = "networks.lora"
$ext_args = [System.Collections.ArrayList]::new()
if ($optimizer_type -ieq "DAdaptAdam") {
  [void]$ext_args.Add("--optimizer_args")
  $lr = 1
}
if ($flip_aug) {
  [void]$ext_args.Add("--flip_aug")
}
python python/Scripts/accelerate.exe launch --num_cpu_threads_per_process=8 "./sd-scripts/train_network.py" `
  --enable_bucket `
  --pretrained_model_name_or_path=$pretrained_model `
  --train_data_dir=$train_data_dir `
  --output_dir="./output" `
  --logging_dir="./logs" `
  --resolution=$resolution `
  --network_module=$network_module `
  --learning_rate=$lr `
  --save_precision="fp16" `
  --seed="4711" `
  --cache_latents `
  --prior_loss_weight=0.3 `
  --max_token_length=225 `
  --caption_extension=".txt" `
  --xformers $ext_args
Read-Host | Out-Null ;

#!/bin/bash
# Settings
pretrained_model="./sd-models/model.safetensors" # the base
is_v2_model=0
parameterization=0
train_data_dir="./train/aki"
reg_data_dir=""
network_module="lycoris.kohya"
network_weights=""
network_dim=16                 # rank
network_alpha=8
resolution="512,512"
batch_size=1
max_train_epoches=10
save_every_n_epochs=2
train_unet_only=1
train_text_encoder_only=0
stop_text_encoder_training=0
noise_offset="0"
keep_tokens=0
min_snr_gamma=5
lr="1e-4"
unet_lr="1e-4"
text_encoder_lr="1e-5"
lr_scheduler="cosine_with_restarts"
lr_warmup_steps=0
lr_restart_cycles=1
output_name="aki"
save_model_as="safetensors"
save_state=1
resume=""
min_bucket_reso=256
max_bucket_reso=1024
clip_skip=2
multi_gpu=1
lowram=0
optimizer_type="AdamW8bit"
algo="loha"
conv_dim=4
conv_alpha=4
dropout="0"
use_wandb=0

export HF_HOME="huggingface"
extArgs=()
if [[ $multi_gpu == 1 ]]; then launchArgs+=("--multi_gpu"); fi
if [[ $is_v2_model == 1 ]]; then
  extArgs+=("--v2");
else
  extArgs+=("--clip_skip $clip_skip");
fi
python -m accelerate.commands.launch ${launchArgs[@]} --num_cpu_threads_per_process=8 "./sd-scripts/train_network.py" \
  --enable_bucket \
  --pretrained_model_name_or_path=$pretrained_model \
  --log_prefix=$output_name \
  --mixed_precision="fp16" \
  --save_precision="fp16" \
  --seed="1337" \
  --cache_latents \
  --prior_loss_weight=1 \
  --max_token_length=225 \
  --caption_extension=".txt" \
  --xformers --shuffle_caption ${extArgs[@]}

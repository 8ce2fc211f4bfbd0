@echo off
rem starts train_network.py --network_dim 1
set MODEL=D:\sd models\base.safetensors
set NAME=cat
accelerate launch --num_cpu_threads_per_process 1 ^
  D:\sd-scripts\train_network.py ^
  --pretrained_model_name_or_path="%MODEL%" ^
  --train_data_dir "D:\pictures\my cat" --output_name=%NAME% ^
  --network_module networks.lora --network_dim 8 --network_alpha 4 ^
  --network_args "conv_dim=4" conv_alpha=1 "block_size=4" ^
  --optimizer_type DAdaptAdam --optimizer_args "decouple=True" "weight_decay=0.01" ^
  --learning_rate=1.0 --max_train_steps 400 --keep_tokens=2 --shuffle_caption ^
  --fp8_base --sdxl_magic=3 --lr_warmup_steps=0 --xformers
pause

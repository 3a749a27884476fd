#!/bin/sh
# Preference optimisation on the segments alone; see README.md.
# The learning rate is an adapter's; all weights (--tuner_type full) take 3e-6.
cd "$(dirname "$0")" || exit 1
exec swift rlhf --rlhf_type dpo \
    --model "Qwen/Qwen3-VL-8B-Instruct" \
    --dataset pairs.jsonl \
    --remove_unused_columns false \
    --loss_scale last_round \
    --max_length 32768 \
    --truncation_strategy delete \
    --beta 0.1 \
    --learning_rate 1e-4 \
    --per_device_train_batch_size 1 \
    --gradient_accumulation_steps 16 \
    --output_dir out

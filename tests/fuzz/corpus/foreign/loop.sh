#!/bin/bash
batch_size=$batch_size
for i in 1 2; do
lr=$i
done
lr=`date`
python train_network.py --lr=$lr --x=${y[@]} \
 --flip_aug "open

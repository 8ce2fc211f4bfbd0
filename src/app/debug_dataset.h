// `lora train --debug_dataset`: what each step would train on, instead of training: a page and a
// sheet of pictures with their final captions, and the console, one step at a time.
// Errors   kData, kIo, kConfig as for training. Needs no model.
// Threads  one thread.
#pragma once

#include "config/option_table.h"
#include "train/train_options.h"

namespace lora::app {

// Writes output_dir/debug_dataset/index.html, sheet.png and the pictures, then reads keys: s next
// step, e next epoch, q or Esc ends. The exit code.
int show_dataset(const train::TrainOptions& options, config::Language language);

}  // namespace lora::app

// Attaches the matrices of a LoRA file to a model's layers: for sampling (frozen) and for starting
// a training from a file (shapes and alphas only; the trainer copies the values). Reads
// files of sd-scripts' networks.lora and of LyCORIS (LoRA and LoCon, LoHa, LoKr, IA3).
#pragma once

#include <string>
#include <vector>

#include "io/safetensors.h"
#include "models/lora_module.h"

namespace lora::models {

struct LoraFileContent {
    std::vector<LoraModule> modules;   // in kohya's order
    std::vector<std::string> unknown;  // modules that this model does not have
};

// Reads the tensors whose names start with `prefix` and drops it.
// Errors   kFormat naming the tensor that is missing, has a wrong shape, or belongs to a kind of
//          network that is not read here.
[[nodiscard]] LoraFileContent read_lora_file(const io::SafetensorsFile& file,
                                             const ModelInfo& info,
                                             const std::string& prefix = {});

// Frozen branches with scale multiplier * alpha / rank. The weight values are named
// prefix + key ("lora0/lora_unet_... .lora_down.weight"), so several files can be attached.
void attach_frozen(const LoraFileContent& content,
                   double multiplier,
                   const std::string& prefix,
                   nn::LoraAttachments& attachments);

// A trainable branch of one layer; parameters are named by the file's keys.
void attach_trainable(const LoraModule& module, nn::LoraAttachments& attachments);

}  // namespace lora::models

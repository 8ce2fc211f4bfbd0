// Would the programs that people use load this LoRA? Reads the file by their rules: names of keys,
// halves that belong together, shapes, alphas, kinds of networks, values that are not finite. Runs
// none of them.
// Errors   kIo. A file that is not readable as tensors is an answer, not an error.
// Source   AUTOMATIC1111 extensions-builtin/Lora (networks.py and its module types), ComfyUI
//          comfy/lora.py and comfy/weight_adapter, diffusers loaders/lora_conversion_utils.py: what
//          each looks for, read in 2024 and 2025.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lora::tools {

enum class Program { kAutomatic1111, kComfyUI, kDiffusers };
// "AUTOMATIC1111", "ComfyUI", "diffusers"
[[nodiscard]] std::string_view program_name(Program program);

struct ProgramVerdict {
    Program program = Program::kAutomatic1111;
    int64_t layers_found = 0;
    std::vector<std::string> problems = {};  // none: it loads all of the file
};

struct VerifyReport {
    int64_t layers = 0;
    std::vector<std::string> errors;    // of the file itself, whoever reads it
    std::vector<std::string> warnings;  // loads, but perhaps not as meant
    std::vector<ProgramVerdict> programs;

    [[nodiscard]] bool ok() const;
};

[[nodiscard]] VerifyReport verify_lora(const std::string& path,
                                       const std::vector<Program>& programs);

}  // namespace lora::tools

// Prompts for regularisation pictures, made from the captions of a training folder: with the
// trigger, for pictures that a first version of the LoRA draws with backgrounds (the guide's idea
// 2), or without it, for pictures of the class by the base model alone. Lines of a prompt file as
// sd-scripts reads them; `lora sample --from_file` draws them.
// Not here: the drawing.
// Errors   kIo, kData as for folders of pictures.
// Threads  pure but for reading the folder.
// Source   the guide on training data (requirement M191); features D8 and D26.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tools/tag_classes.h"

namespace lora::tools {

struct RegPromptOptions {
    std::vector<std::string> inputs = {};  // concept folders, the folder above them, or pictures
    std::string caption_extension = ".txt";
    bool with_trigger = true;
    std::string class_name = {};  // empty: as each folder's name says
    int64_t per_picture = 1;
    // In turn for prompts that name no place; none: no place is added.
    std::vector<std::string> backgrounds = {};
    int64_t width_px = 512;
    int64_t height_px = 512;
    uint64_t seed = 1;  // of the first prompt; each has the next
};

struct RegPrompt {
    std::string prompt;
    std::string negative_prompt;
    std::string class_name;  // for the folder 1_CLASS; may be empty
    uint64_t seed = 0;
};

// Tags of plain grounds and of text on the picture go from the prompt to the negative one.
[[nodiscard]] std::vector<RegPrompt> make_reg_prompts(const RegPromptOptions& options,
                                                      const TagClasses& classes);

// One line each: "prompt --n negative --w 512 --h 512 --d 1".
[[nodiscard]] std::string prompt_file(const std::vector<RegPrompt>& prompts,
                                      const RegPromptOptions& options);

}  // namespace lora::tools

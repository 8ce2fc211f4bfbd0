// How far a LoRA has moved what prompts without its trigger draw: pictures of the same seeds
// without and with it, compared pixel by pixel. One number a prompt, as docs/guide/experiments.md
// has it. It sees that pictures change, not whether for the worse; other seeds give somewhat other
// numbers. Errors   as PictureMaker, and what on_progress throws. Threads  one thread. Source   the
// guide on pollution of tags (requirement M151), feature D7.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "app/picture_maker.h"

namespace lora::app {

struct MovementOptions {
    std::vector<std::string> prompts = {};
    int64_t side_px = 0;  // 0: the model's native size
    int64_t num_steps = 12;
    int64_t num_seeds = 2;
    std::optional<int64_t> clip_skip = {};
    std::function<void(int64_t done, int64_t total)> on_progress = {};
};

struct TagMovement {
    std::string prompt;
    double moved = 0;  // root mean square of all pixels' differences; 1: black against white
};

// In the order of the prompts.
[[nodiscard]] std::vector<TagMovement> measure_movement(PictureMaker& maker,
                                                        const std::string& lora_path,
                                                        const MovementOptions& options);

}  // namespace lora::app

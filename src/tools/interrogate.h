// Which tokens a LoRA moves: the text encoder's states of every single token, without and with it.
// Not the running of the encoder: whoever calls gives both as functions.
// Source   training-semantics 12.5 (sd-scripts lora_interrogator).
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace lora::tools {

// The states of windows of three tokens (begin, id, end), one window an id: as many numbers a
// window as the encoder has, all of them for each window together.
using TokenStates = std::function<std::vector<float>(std::span<const int32_t> ids)>;

struct TokenChange {
    int32_t id = 0;
    std::string text;  // UTF-8; a token that ends a word ends with a space
    double score = 0;  // mean absolute difference over positions and channels
};

struct InterrogateOptions {
    int64_t batch_size = 16;  // windows at once; changes nothing but speed
    size_t top = 100;         // how many are told
    int32_t last_token = 49407;
    std::function<void(int64_t done, int64_t total)> on_progress = {};
};

// The tokens that moved most, largest first; ids decide between equal scores.
// Errors   kNumeric when a state is not finite, and what the functions throw.
[[nodiscard]] std::vector<TokenChange> interrogate(const TokenStates& without,
                                                   const TokenStates& with,
                                                   const InterrogateOptions& options = {});

}  // namespace lora::tools

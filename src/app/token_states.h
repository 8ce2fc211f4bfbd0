// The text encoder's states of single tokens, with or without a LoRA: what tools/interrogate.h
// compares. Shapes   ids [N] -> [N, 3, D], the window begin, id, end.
// Errors   kFormat for files of the wrong kind; kData for a LoRA without a text encoder part.
// Threads  one thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "app/picture_maker.h"
#include "train/graph_runner.h"

namespace lora::app {

class TokenEncoder {
public:
    // The backend must outlive the object. clip_skip nothing: what the model was trained with.
    TokenEncoder(backend::Backend& backend,
                 const std::string& model_path,
                 const std::string& lora_path,
                 DType dtype,
                 std::optional<int64_t> clip_skip = std::nullopt);

    [[nodiscard]] std::vector<float> states(std::span<const int32_t> ids, bool with_lora);

private:
    [[nodiscard]] train::GraphRunner& runner(int64_t count, bool with_lora);

    backend::Backend* backend_;
    PictureMaker maker_;
    int64_t clip_skip_ = 1;
    nn::LoraAttachments attachments_;
    std::map<std::pair<int64_t, bool>, std::unique_ptr<train::GraphRunner>> runners_;
};

}  // namespace lora::app

#include "app/token_states.h"

#include <cstring>

#include <fmt/format.h>

#include "base/error.h"
#include "ir/builder.h"
#include "models/clip_text.h"
#include "text/clip_tokenizer.h"

namespace lora::app {
namespace {

constexpr int64_t kWindow = 3;

bool has_text_encoder(const nn::LoraAttachments& attachments, const models::ModelInfo& info) {
    for (const auto& target : models::list_lora_targets(info, {.unet = false})) {
        if (!attachments.find(target.weight_name).empty()) return true;
    }
    return false;
}

}  // namespace

TokenEncoder::TokenEncoder(backend::Backend& backend,
                           const std::string& model_path,
                           const std::string& lora_path,
                           DType dtype,
                           std::optional<int64_t> clip_skip)
    : backend_(&backend), maker_(backend, ModelUse{.path = model_path}, dtype) {
    maker_.add_lora(lora_path);
    attachments_ = maker_.attachments({1});
    clip_skip_ = clip_skip.value_or(maker_.info().clip_skip);
    if (!has_text_encoder(attachments_, maker_.info())) {
        throw Error(ErrorCode::kData,
                    fmt::format("\"{}\" has no text encoder part, so no token means anything else "
                                "with it",
                                lora_path))
            .with_hint(
                "it was trained with network_train_unet_only, or its layers belong to "
                "another family of models");
    }
}

train::GraphRunner& TokenEncoder::runner(int64_t count, bool with_lora) {
    std::unique_ptr<train::GraphRunner>& runner = runners_[{count, with_lora}];
    if (runner) return *runner;
    ir::Graph graph;
    ir::Builder builder(graph);
    const nn::NetContext net{
        .builder = &builder, .dtype = maker_.dtype(), .lora = with_lora ? &attachments_ : nullptr};
    const nn::ValueId ids = builder.input("ids", DType::kI32, Shape{count, kWindow});
    const nn::ValueId states = models::build_clip_text(net, maker_.info().text, ids, clip_skip_);
    graph.mark_output(builder.cast(states, DType::kF32), "states");
    runner = std::make_unique<train::GraphRunner>(
        *backend_, maker_.weights(), std::move(graph), train::GraphRunner::Options{});
    return *runner;
}

std::vector<float> TokenEncoder::states(std::span<const int32_t> ids, bool with_lora) {
    const auto count = static_cast<int64_t>(ids.size());
    Tensor windows(DType::kI32, Shape{count, kWindow});
    const std::span<int32_t> numbers = windows.data<int32_t>();
    for (size_t i = 0; i < ids.size(); ++i) {
        numbers[3 * i] = text::kBosToken;
        numbers[3 * i + 1] = ids[i];
        numbers[3 * i + 2] = text::kEosToken;
    }
    train::GraphRunner& encoder = runner(count, with_lora);
    encoder.set("ids", windows.view());
    encoder.run();
    return to_floats(encoder.get("states").view());
}

}  // namespace lora::app

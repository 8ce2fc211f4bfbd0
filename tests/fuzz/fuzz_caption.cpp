// Fuzz target: the bytes of a caption file on their way to token ids. Nothing may be thrown,
// results stay valid UTF-8, ids stay in the vocabulary. Also folder names, which come from disk
// too.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/utf8.h"
#include "data/caption.h"
#include "data/dataset.h"
#include "fuzz_target.h"
#include "text/clip_tokenizer.h"
#include "text/token_chunks.h"

namespace {

void require(bool holds) {
    if (!holds) std::abort();
}

lora::data::CaptionOptions options_from(uint8_t bits) {
    lora::data::CaptionOptions options;
    options.shuffle_caption = (bits & 1U) != 0;
    options.enable_wildcard = (bits & 2U) != 0;
    options.keep_tokens = (bits >> 2U) & 3U;
    if ((bits & 16U) != 0) options.keep_tokens_separator = "|||";
    if ((bits & 32U) != 0) options.caption_tag_dropout_rate = 0.5;
    if ((bits & 64U) != 0) options.token_warmup_step = 0.5;
    if ((bits & 128U) != 0) options.secondary_separator = ";;;";
    return options;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static const lora::text::ClipTokenizer kTokenizer;
    if (size == 0) return 0;
    const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
    const std::string text = lora::decode_text(bytes).utf8;
    require(lora::is_valid_utf8(text));

    lora::data::PhiloxCaptionRandom random(data[0], 1, 0);
    const std::string caption = lora::data::process_caption(
        text, options_from(data[0]), {.epoch = 1, .step = 3, .max_train_steps = 10}, random);
    require(lora::is_valid_utf8(caption));
    lora::data::TagCounter tags;
    tags.add(caption);
    static_cast<void>(lora::data::parse_folder_name(bytes));

    const auto ids = kTokenizer.encode(caption);
    for (const int32_t id : ids) require(id >= 0 && id < lora::text::kVocabularySize);
    static_cast<void>(kTokenizer.decode(ids));
    const auto chunks = lora::text::training_chunks(ids, {.max_token_length = 225});
    require(chunks.size() == 3);
    for (const auto& chunk : chunks) require(chunk.size() == 77);
    return 0;
}

#include "text/token_chunks.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/check.h"
#include "base/error.h"
#include "text/clip_tokenizer.h"

namespace lora::text {

namespace {

int32_t pad_token(TextEncoderFamily family) {
    return family == TextEncoderFamily::kSD1 ? kEosToken : 0;
}

// Begin, ids, end, padding up to `length` entries; the end token survives cutting.
std::vector<int32_t> padded(std::span<const int32_t> ids, size_t length, int32_t pad) {
    std::vector<int32_t> out;
    out.reserve(length);
    out.push_back(kBosToken);
    const size_t count = std::min(ids.size(), length - 2);
    out.insert(out.end(), ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(count));
    out.push_back(kEosToken);
    out.resize(length, pad);
    return out;
}

}  // namespace

std::vector<std::vector<int32_t>> training_chunks(std::span<const int32_t> ids,
                                                  const ChunkOptions& options) {
    if (options.max_token_length <= 0 || options.max_token_length % kWindowText != 0) {
        throw Error(ErrorCode::kConfig,
                    fmt::format("max_token_length is {}, which is not a multiple of 75",
                                options.max_token_length))
            .with_hint("use 75, 150 or 225");
    }
    const int32_t pad = pad_token(options.family);
    const auto length = narrow<size_t>(options.max_token_length);
    const std::vector<int32_t> all = padded(ids, length + 2, pad);
    if (length == static_cast<size_t>(kWindowText)) return {all};

    std::vector<std::vector<int32_t>> chunks;
    for (size_t start = 1; start <= length; start += static_cast<size_t>(kWindowText)) {
        std::vector<int32_t> chunk = {all.front()};
        const auto first = all.begin() + static_cast<std::ptrdiff_t>(start);
        chunk.insert(chunk.end(), first, first + kWindowText);
        chunk.push_back(all.back());
        if (options.family == TextEncoderFamily::kSD2) {
            if (chunk[75] != kEosToken && chunk[75] != pad) chunk[76] = kEosToken;
            if (chunk[1] == pad) chunk[1] = kEosToken;
        }
        chunks.push_back(std::move(chunk));
    }
    return chunks;
}

std::vector<std::vector<int32_t>> sampling_chunks(std::span<const int32_t> ids,
                                                  TextEncoderFamily family,
                                                  int64_t min_chunks) {
    std::vector<std::vector<int32_t>> chunks;
    size_t at = 0;
    do {
        const size_t count = std::min(ids.size() - at, static_cast<size_t>(kWindowText));
        chunks.push_back(
            padded(ids.subspan(at, count), static_cast<size_t>(kWindowTokens), pad_token(family)));
        at += count;
    } while (at < ids.size() || std::ssize(chunks) < min_chunks);
    return chunks;
}

}  // namespace lora::text

// CLIP's byte-pair tokenizer (the vocabulary of ViT-L/14, shared by SD 1.x and SD 2.x): text to
// token ids and back. Not here: begin, end and padding (token_chunks.h), prompt weights.
// Equals transformers' fast CLIPTokenizer: NFC, white space collapsed, lower case, split by CLIP's
// pattern, byte-level BPE. The literal texts <|startoftext|> and <|endoftext|> become their ids.
// Threads  const members may be called from many threads.
// Source: Radford et al., arXiv:2103.00020; Sennrich et al., arXiv:1508.07909.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lora::text {

inline constexpr int32_t kBosToken = 49406;
inline constexpr int32_t kEosToken = 49407;
inline constexpr int32_t kVocabularySize = 49408;

class ClipTokenizer {
public:
    ClipTokenizer();

    // Ids without begin and end. Broken UTF-8 counts as U+FFFD. Never fails.
    [[nodiscard]] std::vector<int32_t> encode(std::string_view utf8) const;
    // Bytes of one token; a token that ends a word ends with a space. Errors  kInternal if id is
    // outside 0..49407.
    [[nodiscard]] std::string decode_token(int32_t id) const;
    // Tokens joined, trailing space removed; begin and end tokens are left out.
    [[nodiscard]] std::string decode(std::span<const int32_t> ids) const;

private:
    struct Slot {
        uint32_t key = 0;   // left << 16 | right
        uint32_t rank = 0;  // row of the merge list; UINT32_MAX marks a free slot
    };
    void insert(uint32_t key, uint32_t rank);
    // Row of the merge list, or kNoMerge.
    [[nodiscard]] uint32_t find(uint32_t left, uint32_t right) const;
    void encode_segment(std::u32string_view text, std::vector<int32_t>& ids) const;
    // Appends the ids of one piece (no white space) given as bytes.
    void encode_piece(std::string_view bytes, std::vector<int32_t>& ids) const;
    void merge_short(std::vector<uint32_t>& parts) const;
    void merge_long(std::vector<uint32_t>& parts) const;

    std::vector<Slot> slots_;
};

}  // namespace lora::text

#include "text/clip_tokenizer.h"

#include <array>
#include <queue>
#include <utility>

#include "base/check.h"
#include "base/utf8.h"
#include "text/internal/clip_merges.h"
#include "text/unicode.h"

namespace lora::text {

namespace {

constexpr uint32_t kNoMerge = UINT32_MAX;
constexpr size_t kNumSlots = 1U << 17U;  // 2.7 slots a merge
constexpr uint32_t kFirstMerged = 512;   // 256 bytes, 256 bytes that end a word
constexpr std::u32string_view kBosText = U"<|startoftext|>";
constexpr std::u32string_view kEosText = U"<|endoftext|>";
constexpr size_t kShortPiece = 32;

// Token id of each byte: printable bytes first, then the others, each in byte order.
constexpr std::array<uint8_t, 256> make_byte_ids() {
    std::array<uint8_t, 256> ids{};
    int next = 0;
    for (int pass = 0; pass < 2; ++pass) {
        for (int b = 0; b < 256; ++b) {
            const bool printable =
                (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || (b >= 174 && b <= 255);
            if (printable == (pass == 0))
                ids[static_cast<size_t>(b)] = static_cast<uint8_t>(next++);
        }
    }
    return ids;
}

constexpr std::array<uint8_t, 256> kByteIds = make_byte_ids();

size_t slot_of(uint32_t key) { return (key * 0x9E3779B1U) >> 15U; }

// NFC, runs of white space to one space, lower case.
std::u32string normalize(std::string_view utf8) {
    const std::u32string text = to_nfc(utf8_to_utf32(utf8));
    std::u32string collapsed;
    collapsed.reserve(text.size());
    bool in_space = false;
    for (const char32_t c : text) {
        const bool space = char_class(c) == CharClass::kSpace;
        if (!space) {
            collapsed += c;
        } else if (!in_space) {
            collapsed += U' ';
        }
        in_space = space;
    }
    return to_lower(collapsed);
}

// Length of 's 't 're 've 'm 'll 'd at the start of the text, else 0.
size_t contraction_length(std::u32string_view text) {
    constexpr std::array<std::u32string_view, 7> kContractions = {
        U"'s", U"'t", U"'re", U"'ve", U"'m", U"'ll", U"'d"};
    for (const auto& c : kContractions) {
        if (text.starts_with(c)) return c.size();
    }
    return 0;
}

}  // namespace

ClipTokenizer::ClipTokenizer() : slots_(kNumSlots, Slot{0, kNoMerge}) {
    uint32_t rank = 0;
    for (const internal::Merge& merge : internal::clip_merges()) {
        insert(static_cast<uint32_t>(merge.left) << 16U | merge.right, rank++);
    }
    LORA_CHECK(rank + kFirstMerged == static_cast<uint32_t>(kBosToken));
}

void ClipTokenizer::insert(uint32_t key, uint32_t rank) {
    size_t at = slot_of(key);
    while (slots_[at].rank != kNoMerge) at = (at + 1) % kNumSlots;
    slots_[at] = {key, rank};
}

uint32_t ClipTokenizer::find(uint32_t left, uint32_t right) const {
    const uint32_t key = left << 16U | right;
    size_t at = slot_of(key);
    while (slots_[at].rank != kNoMerge && slots_[at].key != key) at = (at + 1) % kNumSlots;
    return slots_[at].rank;
}

std::vector<int32_t> ClipTokenizer::encode(std::string_view utf8) const {
    const std::u32string text = normalize(utf8);
    std::vector<int32_t> ids;
    ids.reserve(text.size() / 3 + 2);
    const std::u32string_view view = text;
    size_t at = 0;
    while (at < view.size()) {
        // Special texts are cut out before the pattern sees the rest.
        size_t end = at;
        int32_t special = -1;
        for (; (end = view.find(U"<|", end)) != std::u32string_view::npos; ++end) {
            if (view.substr(end).starts_with(kBosText)) special = kBosToken;
            if (view.substr(end).starts_with(kEosText)) special = kEosToken;
            if (special >= 0) break;
        }
        encode_segment(view.substr(at, end == std::u32string_view::npos ? end : end - at), ids);
        if (special < 0) break;
        ids.push_back(special);
        at = end + (special == kBosToken ? kBosText.size() : kEosText.size());
    }
    return ids;
}

void ClipTokenizer::encode_segment(std::u32string_view text, std::vector<int32_t>& ids) const {
    size_t at = 0;
    while (at < text.size()) {
        const CharClass first = char_class(text[at]);
        if (first == CharClass::kSpace) {
            ++at;
            continue;
        }
        size_t end = at + contraction_length(text.substr(at));
        if (end == at) {
            // Numbers go one by one; letters, and everything else, in runs.
            do {
                ++end;
            } while (first != CharClass::kNumber && end < text.size() &&
                     char_class(text[end]) == first);
        }
        encode_piece(utf32_to_utf8(text.substr(at, end - at)), ids);
        at = end;
    }
}

void ClipTokenizer::encode_piece(std::string_view bytes, std::vector<int32_t>& ids) const {
    std::vector<uint32_t> parts;
    parts.reserve(bytes.size());
    for (const char c : bytes) parts.push_back(kByteIds[static_cast<unsigned char>(c)]);
    parts.back() += 256;  // the last byte ends the word
    if (parts.size() <= kShortPiece) {
        merge_short(parts);
    } else {
        merge_long(parts);
    }
    for (const uint32_t part : parts) ids.push_back(static_cast<int32_t>(part));
}

// Applies the earliest merge, leftmost first, until none applies.
void ClipTokenizer::merge_short(std::vector<uint32_t>& parts) const {
    while (parts.size() > 1) {
        uint32_t best = kNoMerge;
        size_t best_at = 0;
        for (size_t i = 0; i + 1 < parts.size(); ++i) {
            const uint32_t rank = find(parts[i], parts[i + 1]);
            if (rank < best) {
                best = rank;
                best_at = i;
            }
        }
        if (best == kNoMerge) return;
        parts[best_at] = kFirstMerged + best;
        parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(best_at) + 1);
    }
}

// The same result in n log n: a queue of candidate merges over a linked list of parts.
void ClipTokenizer::merge_long(std::vector<uint32_t>& parts) const {
    constexpr uint32_t kGone = UINT32_MAX;
    const size_t count = parts.size();
    std::vector<size_t> next(count);
    std::vector<size_t> previous(count);
    for (size_t i = 0; i < count; ++i) {
        next[i] = i + 1;
        previous[i] = i == 0 ? count : i - 1;  // count: none
    }
    using Candidate = std::pair<uint32_t, size_t>;  // rank, position of the left part
    std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue;
    const auto offer = [&](size_t i) {
        if (i >= count || next[i] >= count) return;
        const uint32_t rank = find(parts[i], parts[next[i]]);
        if (rank != kNoMerge) queue.emplace(rank, i);
    };
    for (size_t i = 0; i < count; ++i) offer(i);
    while (!queue.empty()) {
        const auto [rank, i] = queue.top();
        queue.pop();
        // Stale when a neighbour changed since.
        if (parts[i] == kGone || next[i] >= count || find(parts[i], parts[next[i]]) != rank)
            continue;
        const size_t gone = next[i];
        parts[i] = kFirstMerged + rank;
        parts[gone] = kGone;
        next[i] = next[gone];
        if (next[i] < count) previous[next[i]] = i;
        offer(i);
        offer(previous[i]);
    }
    std::erase(parts, kGone);
}

std::string ClipTokenizer::decode_token(int32_t id) const {
    LORA_CHECK(id >= 0 && id < kVocabularySize);
    if (id == kBosToken) return "<|startoftext|>";
    if (id == kEosToken) return "<|endoftext|>";
    const auto token = static_cast<uint32_t>(id);
    if (token >= kFirstMerged) {
        const internal::Merge merge = internal::clip_merges()[token - kFirstMerged];
        return decode_token(merge.left) + decode_token(merge.right);
    }
    for (size_t b = 0; b < kByteIds.size(); ++b) {
        if (kByteIds[b] == token % 256) {
            return std::string(1, static_cast<char>(b)) + (token >= 256 ? " " : "");
        }
    }
    return {};
}

std::string ClipTokenizer::decode(std::span<const int32_t> ids) const {
    std::string out;
    for (const int32_t id : ids) {
        if (id != kBosToken && id != kEosToken) out += decode_token(id);
    }
    if (!out.empty() && out.back() == ' ') out.pop_back();
    return out;
}

}  // namespace lora::text

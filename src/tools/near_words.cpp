#include "tools/near_words.h"

#include <algorithm>
#include <array>
#include <bit>

namespace lora::tools {
namespace {

// Which letters a word has, and which of them twice: 32 classes of letters with two bits each. One
// inserted, removed or replaced letter flips at most two of the bits, a swap none.
uint64_t letters_of(std::string_view word) {
    uint64_t once = 0;
    uint64_t twice = 0;
    for (const char c : word) {
        const uint64_t bit = uint64_t{1} << (static_cast<unsigned char>(c) & 31U);
        twice |= once & bit;
        once |= bit;
    }
    return once | twice << 32U;
}

}  // namespace

int edit_distance(std::string_view a, std::string_view b, int limit) {
    if (a.size() > b.size()) std::swap(a, b);
    const auto reach = static_cast<size_t>(limit);
    if (b.size() - a.size() > reach) return limit + 1;
    // Row i holds the distances of the first i letters of a; places further than `limit` from the
    // diagonal cannot count, and those beside the band hold what is too much.
    std::array<std::vector<int>, 3> rows;
    for (auto& row : rows) row.assign(b.size() + 2, limit + 1);
    for (size_t j = 0; j <= std::min(b.size(), reach); ++j) rows[0][j] = static_cast<int>(j);
    for (size_t i = 1; i <= a.size(); ++i) {
        auto& row = rows[i % 3];
        const auto& above = rows[(i + 2) % 3];
        const auto& second = rows[(i + 1) % 3];
        const size_t first = i > reach ? i - reach : 1;
        const size_t last = std::min(b.size(), i + reach);
        row[first - 1] = first == 1 ? static_cast<int>(i) : limit + 1;
        row[last + 1] = limit + 1;
        int least = row[first - 1];
        for (size_t j = first; j <= last; ++j) {
            row[j] = std::min(
                {above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                row[j] = std::min(row[j], second[j - 2] + 1);
            }
            least = std::min(least, row[j]);
        }
        if (least > limit) return limit + 1;
    }
    return std::min(rows[a.size() % 3][b.size()], limit + 1);
}

void NearWords::add(std::string_view word) {
    by_length_[word.size()].push_back({letters_of(word), words_.size()});
    words_.emplace_back(word);
}

std::vector<NearWords::Hit> NearWords::within(std::string_view word, int limit) const {
    std::vector<Hit> out;
    const auto reach = static_cast<size_t>(limit);
    const uint64_t letters = letters_of(word);
    const size_t shortest = word.size() - std::min(word.size(), reach);
    const auto end = by_length_.upper_bound(word.size() + reach);
    for (auto bucket = by_length_.lower_bound(shortest); bucket != end; ++bucket) {
        for (const Entry& entry : bucket->second) {
            if (std::popcount(entry.letters ^ letters) > 2 * limit) continue;
            const int distance = edit_distance(word, words_[entry.number], limit);
            if (distance <= limit) out.push_back({entry.number, distance});
        }
    }
    return out;
}

}  // namespace lora::tools

// Words a letter or two away from a given one, out of many: what misspelt tags are found by.
// Not here: which words are tags (tag_classes.h).
// Threads  const members may be called from many threads.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace lora::tools {

// Changes (insert, remove, replace, swap of neighbours) between two words; at most `limit` + 1.
// Takes time in proportion to the words' length times `limit`.
[[nodiscard]] int edit_distance(std::string_view a, std::string_view b, int limit);

// Words sorted by length, each with a summary of its letters: a search compares summaries, 64 bits
// each, of words of about the same length, and measures the few that are left. The answers are
// those of edit_distance() with every word.
class NearWords {
public:
    struct Hit {
        size_t number = 0;  // of the word, in the order of add()
        int distance = 0;
    };

    void add(std::string_view word);
    [[nodiscard]] const std::string& word(size_t number) const { return words_[number]; }
    // All words at most `limit` changes away, in no useful order.
    [[nodiscard]] std::vector<Hit> within(std::string_view word, int limit) const;

private:
    struct Entry {
        uint64_t letters = 0;
        size_t number = 0;
    };
    std::vector<std::string> words_;
    std::map<size_t, std::vector<Entry>> by_length_;
};

}  // namespace lora::tools

// What happens to a caption each time its picture is drawn: prefix and suffix, dropout, wildcards,
// splitting into tags, warm-up, shuffling, tag dropout. Not here: reading caption files
// (dataset.h), token ids (text/).
// Threads  pure but for the random numbers handed in. Source: kohya sd-scripts process_caption
//          (training-semantics 2.1, the newest version's rules).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/rng.h"

namespace lora::data {

struct CaptionOptions {
    bool shuffle_caption = false;
    int64_t keep_tokens = 0;                     // this many tags stay in front
    std::string keep_tokens_separator = {};      // text before its first occurrence stays in front
    std::string caption_separator = ",";         // splits a caption into tags
    std::string secondary_separator = {};        // becomes caption_separator at the end
    double caption_dropout_rate = 0;             // chance of an empty caption
    int64_t caption_dropout_every_n_epochs = 0;  // 0: never
    double caption_tag_dropout_rate = 0;         // chance of each tag to go; kept tags never go
    int64_t token_warmup_min = 1;                // tags at the first step
    double token_warmup_step = 0;  // all tags from here on; below 1: share of all steps
    bool enable_wildcard = false;  // {a|b} picks one, several lines pick one
    std::string caption_prefix = {};
    std::string caption_suffix = {};
    int64_t max_shuffled_tags = 0;  // at most this many after the kept ones; 0: all
};

// The same without what chance or the run's progress does to tags: order, dropout, warm-up.
[[nodiscard]] CaptionOptions plain_options(CaptionOptions options);

// Where in the run the caption is drawn.
struct CaptionPlace {
    int64_t epoch = 1;  // 1-based
    int64_t step = 0;   // optimizer updates done before
    int64_t max_train_steps = 0;
};

// The random decisions of one caption; tests replace it to record them.
class CaptionRandom {
public:
    virtual ~CaptionRandom() = default;
    virtual void shuffle(std::vector<std::string>& tags) = 0;
    // One of the alternatives (never empty).
    [[nodiscard]] virtual std::string choose(const std::vector<std::string>& alternatives) = 0;
    // In [0, 1).
    [[nodiscard]] virtual double uniform() = 0;
};

// Numbers from the stream (seed, kCaption, epoch, sample).
class PhiloxCaptionRandom : public CaptionRandom {
public:
    PhiloxCaptionRandom(uint64_t seed, int64_t epoch, uint32_t sample);
    void shuffle(std::vector<std::string>& tags) override;
    [[nodiscard]] std::string choose(const std::vector<std::string>& alternatives) override;
    [[nodiscard]] double uniform() override;

private:
    Rng rng_;
};

[[nodiscard]] std::string process_caption(std::string_view caption,
                                          const CaptionOptions& options,
                                          const CaptionPlace& place,
                                          CaptionRandom& random);

// Splits at every occurrence of a separator; an empty separator gives one piece.
[[nodiscard]] std::vector<std::string> split(std::string_view text, std::string_view separator);

}  // namespace lora::data

#include "data/caption.h"

#include <algorithm>
#include <cmath>

#include "base/words.h"
#include "text/unicode.h"

namespace lora::data {

namespace {

struct Tags {
    std::vector<std::string> fixed;
    std::vector<std::string> flexible;
    std::vector<std::string> suffix;
};

bool is_dropped(const CaptionOptions& options, const CaptionPlace& place, CaptionRandom& random) {
    if (options.caption_dropout_rate > 0 && random.uniform() < options.caption_dropout_rate) {
        return true;
    }
    const int64_t every = options.caption_dropout_every_n_epochs;
    return every > 0 && place.epoch % every == 0;
}

// {a|b|c} becomes one of its alternatives; {{ and }} are literal braces; no nesting.
std::string replace_wildcards(std::string caption, CaptionRandom& random) {
    // Bytes that no UTF-8 text holds stand for the literal braces meanwhile.
    constexpr std::string_view kOpen = "\xFE";
    constexpr std::string_view kClose = "\xFF";
    replace_all(caption, "{{", kOpen);
    replace_all(caption, "}}", kClose);
    std::string out;
    size_t at = 0;
    while (at < caption.size()) {
        const size_t open = caption.find('{', at);
        const size_t close = open == std::string::npos ? open : caption.find('}', open);
        if (close == std::string::npos) break;
        out += caption.substr(at, open - at);
        if (close == open + 1) {
            out += "{}";
        } else {
            out += random.choose(
                split(std::string_view(caption).substr(open + 1, close - open - 1), "|"));
        }
        at = close + 1;
    }
    out += caption.substr(at);
    replace_all(out, kOpen, "{");
    replace_all(out, kClose, "}");
    return out;
}

std::vector<std::string> stripped_pieces(std::string_view text,
                                         std::string_view separator,
                                         bool keep_empty) {
    std::vector<std::string> pieces;
    for (const std::string& piece : split(text, separator)) {
        const std::string_view tag = text::strip(piece);
        if (keep_empty || !tag.empty()) pieces.emplace_back(tag);
    }
    return pieces;
}

Tags split_tags(std::string_view caption, const CaptionOptions& options) {
    const std::string& separator = options.caption_separator;
    const std::string& marker = options.keep_tokens_separator;
    Tags tags;
    const size_t first = marker.empty() ? std::string::npos : caption.find(marker);
    if (first != std::string::npos) {
        const std::string_view rest = caption.substr(first + marker.size());
        const size_t second = rest.find(marker);
        tags.fixed = stripped_pieces(caption.substr(0, first), separator, false);
        tags.flexible = stripped_pieces(rest.substr(0, second), separator, false);
        if (second != std::string::npos) {
            tags.suffix = stripped_pieces(rest.substr(second + marker.size()), separator, false);
        }
        return tags;
    }
    tags.flexible = stripped_pieces(text::strip(caption), separator, true);
    const auto keep = std::clamp<int64_t>(options.keep_tokens, 0, std::ssize(tags.flexible));
    const auto border = tags.flexible.begin() + keep;
    tags.fixed.assign(tags.flexible.begin(), border);
    tags.flexible.erase(tags.flexible.begin(), border);
    return tags;
}

void warm_up(std::vector<std::string>& tags,
             const CaptionOptions& options,
             const CaptionPlace& place) {
    double last = options.token_warmup_step;
    if (last < 1) last = std::floor(last * static_cast<double>(place.max_train_steps));
    if (last <= 0 || static_cast<double>(place.step) >= last) return;
    const auto span = static_cast<double>(std::ssize(tags) - options.token_warmup_min);
    const double count = std::floor(static_cast<double>(place.step) * (span / last)) +
                         static_cast<double>(options.token_warmup_min);
    const double limit = std::clamp(count, 0.0, static_cast<double>(tags.size()));
    tags.resize(static_cast<size_t>(limit));
}

std::string join(const Tags& tags) {
    std::string out;
    bool first = true;
    for (const auto* part : {&tags.fixed, &tags.flexible, &tags.suffix}) {
        for (const std::string& tag : *part) {
            if (!first) out += ", ";
            out += tag;
            first = false;
        }
    }
    return out;
}

std::string rearrange(std::string_view caption,
                      const CaptionOptions& options,
                      const CaptionPlace& place,
                      CaptionRandom& random) {
    Tags tags = split_tags(caption, options);
    warm_up(tags.flexible, options, place);
    if (options.shuffle_caption) random.shuffle(tags.flexible);
    if (options.max_shuffled_tags > 0 && std::ssize(tags.flexible) > options.max_shuffled_tags) {
        tags.flexible.resize(static_cast<size_t>(options.max_shuffled_tags));
    }
    if (options.caption_tag_dropout_rate > 0) {
        std::erase_if(tags.flexible, [&](const std::string&) {
            return random.uniform() < options.caption_tag_dropout_rate;
        });
    }
    return join(tags);
}

}  // namespace

CaptionOptions plain_options(CaptionOptions options) {
    options.shuffle_caption = false;
    options.caption_dropout_rate = 0;
    options.caption_dropout_every_n_epochs = 0;
    options.caption_tag_dropout_rate = 0;
    options.token_warmup_step = 0;
    return options;
}

PhiloxCaptionRandom::PhiloxCaptionRandom(uint64_t seed, int64_t epoch, uint32_t sample)
    : rng_(seed, RngStream::kCaption, static_cast<uint64_t>(epoch), sample) {}

void PhiloxCaptionRandom::shuffle(std::vector<std::string>& tags) { rng_.shuffle(tags); }

std::string PhiloxCaptionRandom::choose(const std::vector<std::string>& alternatives) {
    return alternatives[rng_.below(alternatives.size())];
}

double PhiloxCaptionRandom::uniform() { return static_cast<double>(rng_.uniform()); }

std::vector<std::string> split(std::string_view text, std::string_view separator) {
    std::vector<std::string> pieces;
    size_t at = 0;
    while (!separator.empty()) {
        const size_t end = text.find(separator, at);
        if (end == std::string_view::npos) break;
        pieces.emplace_back(text.substr(at, end - at));
        at = end + separator.size();
    }
    pieces.emplace_back(text.substr(at));
    return pieces;
}

std::string process_caption(std::string_view raw,
                            const CaptionOptions& options,
                            const CaptionPlace& place,
                            CaptionRandom& random) {
    std::string caption(raw);
    if (!options.caption_prefix.empty()) caption = options.caption_prefix + " " + caption;
    if (!options.caption_suffix.empty()) caption += " " + options.caption_suffix;
    if (is_dropped(options, place, random)) return {};
    if (options.enable_wildcard) {
        if (caption.find('\n') != std::string::npos) caption = random.choose(split(caption, "\n"));
        caption = replace_wildcards(std::move(caption), random);
    } else {
        caption = caption.substr(0, caption.find('\n'));
    }
    if (options.shuffle_caption || options.token_warmup_step > 0 ||
        options.caption_tag_dropout_rate > 0 || options.max_shuffled_tags > 0) {
        caption = rearrange(caption, options, place, random);
    }
    replace_all(caption, options.secondary_separator, options.caption_separator);
    return caption;
}

}  // namespace lora::data

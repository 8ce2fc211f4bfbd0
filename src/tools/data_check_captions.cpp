// Captions of one folder: encodings, tags, triggers, lengths, what is always together.
#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include <fmt/format.h>

#include "base/attempt.h"
#include "base/error.h"
#include "base/file.h"
#include "base/utf8.h"
#include "base/words.h"
#include "text/clip_tokenizer.h"
#include "text/unicode.h"
#include "tools/caption_tags.h"
#include "tools/internal/data_check.h"

namespace lora::tools::internal {
namespace {

using enum Severity;

constexpr std::string_view kMark = "\xEF\xBB\xBF";

struct Caption {
    std::string path;
    std::string text;  // the first line, as it would be fixed
    std::vector<std::string> tags;
    std::vector<std::string> plain;
    bool changed = false;
    std::string rest;  // further lines
};

const text::ClipTokenizer& tokenizer() {
    static const text::ClipTokenizer kTokenizer;
    return kTokenizer;
}

std::string with_commas(std::string text) {
    for (const std::string_view wide : {"\xEF\xBC\x8C", "\xE3\x80\x81"}) {  // U+FF0C, U+3001
        for (size_t at = 0; (at = text.find(wide, at)) != std::string::npos;) {
            text.replace(at, wide.size(), ", ");
        }
    }
    return text;
}

// Reads one file; what is wrong with its bytes is said here.
Caption read_caption(const CheckContext& context, const std::string& path) {
    Caption out;
    out.path = path;
    std::string bytes;
    if (const auto error = attempt([&] { bytes = read_text_file(path); })) {
        context.add(kError, "unreadable_caption", path, error->message(), "make it readable");
        return out;
    }
    const DecodedText decoded = decode_text(bytes);
    const bool marked = bytes.starts_with(kMark);
    if (decoded.encoding == TextEncoding::kBrokenUtf8) {
        context.add(kError, "encoding", path, "is text in no known encoding", "write it as UTF-8");
    } else if (decoded.encoding != TextEncoding::kUtf8 || marked) {
        context.add(kWarning,
                    "encoding",
                    path,
                    marked ? std::string("begins with a byte-order mark")
                           : fmt::format("is {}, not UTF-8", encoding_name(decoded.encoding)),
                    "write it as UTF-8",
                    true);
        out.changed = true;
    }
    std::string text = decoded.utf8;
    const size_t end = first_line(text).size();
    out.rest = text.substr(end);
    text.resize(end);
    if (!text::strip(out.rest).empty()) {
        context.add(kWarning,
                    "several_lines",
                    path,
                    "only the first line of a caption is read",
                    "put all tags into one line");
    }
    const auto is_control = [](char c) {
        return static_cast<unsigned char>(c) < 0x20 && c != '\t';
    };
    if (std::any_of(text.begin(), text.end(), is_control)) {
        context.add(kWarning, "control_character", path, "holds control characters", "remove them");
    }
    out.text = with_commas(text);
    if (out.text != text) {
        context.add(kWarning,
                    "wide_comma",
                    path,
                    "tags are parted by wide commas, which do not part them",
                    "write plain commas",
                    true);
        out.changed = true;
    }
    out.tags = split_tags(out.text);
    for (const std::string& tag : out.tags) out.plain.push_back(plain_tag(tag));
    if (out.tags.empty()) {
        context.add(kWarning,
                    "empty_caption",
                    path,
                    "is empty: the folder's concept is used",
                    "write a caption or remove the file");
    }
    return out;
}

void check_doubles(const CheckContext& context, Caption& caption) {
    std::set<std::string> seen;
    std::string doubled;
    for (const std::string& tag : caption.plain) {
        if (!seen.insert(tag).second) doubled = tag;
    }
    if (doubled.empty()) return;
    context.add(kWarning,
                "duplicate_tag",
                caption.path,
                fmt::format("\"{}\" stands there twice", doubled),
                "remove doubled tags",
                true);
    TagEdits edits;
    edits.dedupe = true;
    caption.tags = apply_edits(caption.tags, edits, context.classes);
    caption.changed = true;
}

void check_length(const CheckContext& context, const Caption& caption) {
    // A token is at least one byte long.
    if (static_cast<int64_t>(caption.text.size()) <= context.options.max_token_length) return;
    const auto count = std::ssize(tokenizer().encode(caption.text));
    if (count <= context.options.max_token_length) return;
    context.add(
        kWarning,
        "long_caption",
        caption.path,
        fmt::format(
            "{} tokens; what is beyond {} is cut off", count, context.options.max_token_length),
        "shorten it or raise max_token_length");
}

void check_contradictions(const CheckContext& context, const Caption& caption) {
    constexpr std::pair<const char*, const char*> kPairs[] = {{"indoors", "outdoors"},
                                                              {"day", "night"},
                                                              {"open mouth", "closed mouth"},
                                                              {"long hair", "short hair"},
                                                              {"standing", "sitting"},
                                                              {"solo", "multiple girls"},
                                                              {"solo", "2girls"},
                                                              {"1girl", "2girls"},
                                                              {"no humans", "1girl"},
                                                              {"full body", "upper body"}};
    const auto has = [&](const char* tag) {
        return std::find(caption.plain.begin(), caption.plain.end(), tag) != caption.plain.end();
    };
    const bool one_figure = !has("2girls") && !has("1boy") && !has("multiple girls");
    for (const auto& [a, b] : kPairs) {
        if (!has(a) || !has(b)) continue;
        if (!one_figure && std::string_view(a) == "long hair") continue;
        context.add(kWarning,
                    "contradiction",
                    caption.path,
                    fmt::format("\"{}\" and \"{}\" do not go together", a, b),
                    "remove the one that is wrong");
    }
}

// Whether every word is one that the text encoder has a token for, or that tags are made of.
bool words_are_known(const CheckContext& context, const std::string& tag) {
    for (const std::string_view word : split(tag, ' ')) {
        if (word.empty() || context.classes.knows_words(word)) continue;
        if (tokenizer().encode(word).size() > 1) return false;
    }
    return true;
}

using TagUsers = std::map<std::string, std::vector<const Caption*>>;

// Tags of a folder that stand in several captions: what a rare one may have been meant for.
class CommonTags {
public:
    explicit CommonTags(const TagUsers& users) {
        for (const auto& [tag, where] : users) {
            if (where.size() < 3) continue;
            tags_.add(tag);
            counts_.push_back(where.size());
            most_ = std::max(most_, where.size());
        }
    }
    // By letters the first of those at most `limit` changes away that are three times as frequent;
    // empty when there is none.
    [[nodiscard]] std::string nearest(const std::string& tag, int limit, size_t uses) const {
        if (most_ < 3 * uses) return {};
        std::optional<size_t> best;
        for (const NearWords::Hit& hit : tags_.within(tag, limit)) {
            if (counts_[hit.number] < 3 * uses) continue;
            if (!best || hit.number < *best) best = hit.number;
        }
        return best ? tags_.word(*best) : "";
    }

private:
    NearWords tags_;
    std::vector<size_t> counts_;
    size_t most_ = 0;
};

void check_vocabulary(const CheckContext& context,
                      const std::vector<Caption>& captions,
                      const ScannedFolder& folder) {
    TagUsers users;
    for (const Caption& caption : captions) {
        const std::set<std::string> unique(caption.plain.begin(), caption.plain.end());
        for (const std::string& tag : unique) users[tag].push_back(&caption);
    }
    const CommonTags common(users);
    for (const auto& [tag, where] : users) {
        if (tag == folder.row.trigger || context.classes.knows(tag) || tag.size() < 4) continue;
        // Sentences and triggers of the user's own are no misspelt tags.
        if (std::count(tag.begin(), tag.end(), ' ') > 4) continue;
        if (where.size() * 2 > captions.size() && captions.size() > 2) continue;
        if (words_are_known(context, tag)) continue;
        const int limit = tag.size() < 8 ? 1 : 2;
        std::string near = context.classes.nearest(tag);
        if (near.empty()) near = common.nearest(tag, limit, where.size());
        for (const Caption* caption : where) {
            context.add(near.empty() && where.size() > 2 ? kNote : kWarning,
                        near.empty() ? "unknown_tag" : "misspelt_tag",
                        caption->path,
                        fmt::format("\"{}\" is no tag that the base model knows", tag),
                        near.empty() ? "remove it, or keep it when it is a word of your own"
                                     : fmt::format("did you mean \"{}\"?", near));
        }
    }
}

// Tags that share exactly the same captions fuse (M148).
void check_together(const CheckContext& context,
                    const std::vector<Caption>& captions,
                    const ScannedFolder& folder) {
    if (captions.size() < 5) return;
    std::map<std::string, std::vector<size_t>> places;  // captions that hold the tag
    for (size_t i = 0; i < captions.size(); ++i) {
        for (const std::string& tag : captions[i].plain) {
            if (tag == folder.row.trigger || context.classes.class_of(tag) == TagClass::kCount) {
                continue;
            }
            auto& where = places[tag];
            if (where.empty() || where.back() != i) where.push_back(i);
        }
    }
    std::map<std::vector<size_t>, std::vector<std::string>> groups;
    for (auto& [tag, where] : places) {
        if (where.size() >= 4) groups[std::move(where)].push_back(tag);
    }
    for (const auto& [where, tags] : groups) {
        if (tags.size() < 2) continue;
        context.add(kWarning,
                    "always_together",
                    folder.path,
                    fmt::format("{} stand in the same {} captions and will fuse",
                                fmt::join(tags, ", "),
                                where.size()),
                    "remove all but one, or add pictures with one of them alone");
    }
}

void check_trigger(const CheckContext& context,
                   std::vector<Caption>& captions,
                   const ScannedFolder& folder) {
    const std::string& trigger = folder.row.trigger;
    if (trigger.empty() || context.options.keep_tokens > 0) return;
    const auto names_it = [&](const Caption& caption) {
        return std::find(caption.plain.begin(), caption.plain.end(), trigger) !=
               caption.plain.end();
    };
    const auto count = std::count_if(captions.begin(), captions.end(), names_it);
    if (count == 0) return;  // training puts the folder's concept in front
    for (Caption& caption : captions) {
        if (caption.tags.empty() || caption.plain.front() == trigger) continue;
        const bool present = names_it(caption);
        context.add(kWarning,
                    present ? "trigger_not_first" : "trigger_missing",
                    caption.path,
                    fmt::format("the trigger \"{}\" {}",
                                trigger,
                                present ? "is not the first tag, and keep_tokens is 0"
                                        : "is missing, other captions have it"),
                    "put it first",
                    true);
        TagEdits edits;
        edits.add = {trigger};
        for (size_t i = 0; i < caption.tags.size(); ++i) {
            if (plain_tag(caption.tags[i]) == trigger) edits.add = {caption.tags[i]};
        }
        caption.tags = apply_edits(caption.tags, edits, context.classes);
        caption.changed = true;
    }
}

void check_kinds(const CheckContext& context,
                 const std::vector<Caption>& captions,
                 const ScannedFolder& folder) {
    std::vector<std::string> details;
    size_t with_background = 0;
    std::vector<const Caption*> without;
    for (const Caption& caption : captions) {
        bool background = false;
        bool detail = false;
        for (const std::string& tag : caption.plain) {
            background |= context.classes.class_of(tag) == TagClass::kBackground;
            detail |= tag == "close-up" || tag == "close up" || tag == "head out of frame" ||
                      (tag.ends_with(" focus") && tag != "male focus" && tag != "solo focus" &&
                       tag != "female focus");
        }
        if (detail) details.push_back(base_name(caption.path));
        with_background += background ? 1 : 0;
        // One or two tags are another way of captioning.
        if (!background && caption.tags.size() >= 3) without.push_back(&caption);
    }
    if (with_background > 0) {
        for (const Caption* caption : without) {
            context.add(kWarning,
                        "untagged_background",
                        caption->path,
                        "no tag names the background; it will be learnt with the other tags",
                        "add one, for example simple background or outdoors");
        }
    } else if (without.size() >= 3) {
        context.add(kWarning,
                    "untagged_background",
                    folder.path,
                    "no caption names a background",
                    "add tags such as simple background or outdoors");
    }
    if (captions.size() >= 4 && details.size() * 10 > captions.size() * 3) {
        context.add(kWarning,
                    "detail_share",
                    folder.path,
                    fmt::format("{} of {} pictures are details: {}",
                                details.size(),
                                captions.size(),
                                fmt::join(details, ", ")),
                    "keep details below a third");
    }
}

// A character's name in every caption and another word as concept: one name for both is steadier
// (M154).
void check_concept_name(const CheckContext& context,
                        const std::vector<Caption>& captions,
                        const ScannedFolder& folder) {
    if (folder.row.trigger.empty() || captions.size() < 3) return;
    std::map<std::string, size_t> first;
    for (const Caption& caption : captions) {
        if (!caption.plain.empty()) ++first[caption.plain.front()];
    }
    for (const auto& [name, count] : first) {
        if (count * 10 < captions.size() * 8 || name == folder.row.trigger) continue;
        if (context.classes.knows(name)) continue;
        const bool named = std::any_of(captions.begin(), captions.end(), [&](const auto& caption) {
            return std::find(caption.plain.begin(), caption.plain.end(), folder.row.trigger) !=
                   caption.plain.end();
        });
        if (named) continue;
        std::string folder_name = name;
        std::replace(folder_name.begin(), folder_name.end(), ' ', '_');
        context.add(kNote,
                    "concept_name",
                    folder.path,
                    fmt::format("captions begin with \"{}\", the folder's concept is \"{}\"",
                                name,
                                folder.row.trigger),
                    fmt::format("the character's name as concept too tends to be steadier: {}_{}",
                                folder.row.repeats,
                                folder_name));
    }
}

// Tags that name a way of drawing, on few captions of a folder (M174).
void check_style_tags(const CheckContext& context, const std::vector<Caption>& captions) {
    constexpr std::string_view kStyles[] = {"monochrome",
                                            "greyscale",
                                            "sketch",
                                            "lineart",
                                            "realistic",
                                            "photorealistic",
                                            "photo",
                                            "3d",
                                            "pixel art",
                                            "chibi",
                                            "comic",
                                            "4koma",
                                            "sepia",
                                            "spot color",
                                            "flat color",
                                            "ukiyo-e",
                                            "western comics (style)",
                                            "oekaki",
                                            "retro artstyle",
                                            "1980s (style)",
                                            "1990s (style)",
                                            "style parody",
                                            "traditional media",
                                            "watercolor (medium)",
                                            "painting (medium)",
                                            "graphite (medium)",
                                            "colored pencil (medium)",
                                            "photo (medium)",
                                            "scan",
                                            "screencap",
                                            "game cg"};
    constexpr size_t kManyCaptions = 8;
    if (captions.size() < kManyCaptions) return;
    std::map<std::string_view, std::vector<const Caption*>> users;
    for (const Caption& caption : captions) {
        for (const std::string_view style : kStyles) {
            const bool has =
                std::find(caption.plain.begin(), caption.plain.end(), style) != caption.plain.end();
            if (has) users[style].push_back(&caption);
        }
    }
    for (const auto& [style, where] : users) {
        if (where.size() * 5 > captions.size()) continue;
        for (const Caption* caption : where) {
            context.add(kNote,
                        "style_outlier",
                        caption->path,
                        fmt::format("is tagged \"{}\" as only {} of {} pictures here",
                                    style,
                                    where.size(),
                                    captions.size()),
                        "for one way of drawing keep few pictures of another");
        }
    }
}

}  // namespace

void check_captions(const CheckContext& context, const ScannedFolder& folder) {
    std::vector<Caption> captions;
    std::vector<std::string> missing;
    for (const ScannedPicture& picture : folder.pictures) {
        if (picture.caption_path.empty()) {
            missing.push_back(picture.path);
            continue;
        }
        captions.push_back(read_caption(context, picture.caption_path));
    }
    if (!captions.empty()) {
        for (const std::string& path : missing) {
            context.add(kWarning,
                        "no_caption",
                        path,
                        "has no caption, other pictures of its folder have",
                        "write one, or tag the folder");
        }
    }
    for (Caption& caption : captions) {
        check_doubles(context, caption);
        check_length(context, caption);
        check_contradictions(context, caption);
    }
    check_vocabulary(context, captions, folder);
    check_together(context, captions, folder);
    check_concept_name(context, captions, folder);
    check_style_tags(context, captions);
    check_trigger(context, captions, folder);
    check_kinds(context, captions, folder);
    if (is_symlink(folder.path)) return;  // nothing is written through links
    for (const Caption& caption : captions) {
        if (!caption.changed || is_symlink(caption.path)) continue;
        context.report.fixes.push_back({caption.path, join_tags(caption.tags) + caption.rest});
    }
}

}  // namespace lora::tools::internal

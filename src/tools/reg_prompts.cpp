#include "tools/reg_prompts.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/file.h"
#include "base/utf8.h"
#include "tools/caption_tags.h"
#include "tools/internal/picture_set.h"

namespace lora::tools {
namespace {

using internal::InputPicture;

// What the pictures must not have again.
constexpr std::string_view kPlainGround[] = {"white background",
                                             "simple background",
                                             "grey background",
                                             "gray background",
                                             "black background",
                                             "transparent background",
                                             "gradient background",
                                             "plain background"};
constexpr std::string_view kText[] = {"text",
                                      "english text",
                                      "chinese text",
                                      "japanese text",
                                      "korean text",
                                      "signature",
                                      "artist name",
                                      "twitter username",
                                      "username",
                                      "watermark",
                                      "web address",
                                      "dated",
                                      "logo",
                                      "copyright name",
                                      "speech bubble"};
constexpr std::string_view kNegative =
    "white background, simple background, text, signature, watermark";

template <size_t N>
bool is_one_of(const std::string& plain, const std::string_view (&words)[N]) {
    return std::find(std::begin(words), std::end(words), plain) != std::end(words);
}

// Words that would be read as a flag or a comment of the file cannot stand in it.
bool can_stand_in_a_line(const std::string& tag) {
    return tag.find("--") == std::string::npos && !tag.starts_with('#') &&
           std::none_of(
               tag.begin(), tag.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; });
}

std::vector<std::string> tags_of(const InputPicture& input) {
    if (!path_exists(input.caption)) return {};
    const std::string text = decode_text(read_text_file(input.caption)).utf8;
    return split_tags(first_line(text));
}

void put_first(std::vector<std::string>& tags, const std::string& tag) {
    if (tag.empty() || !can_stand_in_a_line(tag)) return;
    std::erase_if(tags, [&](const std::string& own) { return plain_tag(own) == plain_tag(tag); });
    tags.insert(tags.begin(), tag);
}

}  // namespace

std::vector<RegPrompt> make_reg_prompts(const RegPromptOptions& options,
                                        const TagClasses& classes) {
    std::vector<RegPrompt> out;
    size_t next_place = 0;
    for (const InputPicture& input :
         internal::collect_pictures(options.inputs, options.caption_extension)) {
        const data::ConceptName own = internal::concept_of_folder(input.folder);
        const std::string class_name =
            options.class_name.empty() ? own.class_name : options.class_name;
        std::vector<std::string> tags = tags_of(input);
        std::erase_if(tags, [&](const std::string& tag) {
            const std::string plain = plain_tag(tag);
            return is_one_of(plain, kPlainGround) || is_one_of(plain, kText) ||
                   !can_stand_in_a_line(tag) ||
                   (!options.with_trigger && plain == plain_tag(own.trigger));
        });
        put_first(tags, class_name);
        if (options.with_trigger) put_first(tags, own.trigger);
        const bool has_place = std::any_of(tags.begin(), tags.end(), [&](const std::string& tag) {
            return classes.class_of(tag) == TagClass::kBackground;
        });
        for (int64_t i = 0; i < options.per_picture; ++i) {
            std::vector<std::string> words = tags;
            if (!has_place && !options.backgrounds.empty()) {
                words.push_back(options.backgrounds[next_place++ % options.backgrounds.size()]);
            }
            if (words.empty()) continue;
            out.push_back(
                {join_tags(words), std::string(kNegative), class_name, options.seed + out.size()});
        }
    }
    return out;
}

std::string prompt_file(const std::vector<RegPrompt>& prompts, const RegPromptOptions& options) {
    std::string out;
    for (const RegPrompt& row : prompts) {
        out += fmt::format("{} --n {} --w {} --h {} --d {}\n",
                           row.prompt,
                           row.negative_prompt,
                           options.width_px,
                           options.height_px,
                           row.seed);
    }
    return out;
}

}  // namespace lora::tools

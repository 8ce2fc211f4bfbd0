// Fuzz target: a selected_tags.csv and the scores and options around it. Only an Error of the
// file's kind may come out; captions stay whole.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "fuzz_target.h"
#include "tools/tagger_choice.h"
#include "tools/tagger_list.h"

namespace {

lora::tools::TagChoiceOptions options_from(uint8_t bits, std::string_view text) {
    lora::tools::TagChoiceOptions options;
    options.spaces = (bits & 1U) != 0;
    options.escape_brackets = (bits & 2U) != 0;
    options.expand_characters = (bits & 4U) != 0;
    options.characters_first = (bits & 8U) != 0;
    options.with_scores = (bits & 16U) != 0;
    options.dedupe = (bits & 32U) != 0;
    if ((bits & 64U) != 0) options.order = lora::tools::TagOrder::kAlphabet;
    if ((bits & 128U) != 0) options.rating = lora::tools::RatingPlace::kFirst;
    options.exclude = {std::string(text.substr(0, 8)), "*" + std::string(text.substr(0, 2))};
    options.always_first = options.exclude;
    return options;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size == 0) return 0;
    const std::string_view text = lora::fuzz::as_text(data + 1, size - 1);
    lora::fuzz::run([&] {
        auto options = options_from(data[0], text);
        lora::fuzz::run([&] { options.replace = lora::tools::read_tag_replacement(text); });
        auto tags = lora::tools::read_tagger_list(text, "selected_tags.csv");
        std::vector<float> scores(tags.size());
        for (size_t i = 0; i < scores.size(); ++i) {
            scores[i] = static_cast<float>(data[i % size]) / 255.0F;
        }
        const lora::tools::TagChooser chooser(std::move(tags), options);
        const auto chosen = chooser.choose(scores);
        for (const auto conflict :
             {lora::tools::OnConflict::kReplace, lora::tools::OnConflict::kAppend}) {
            const std::string caption = chooser.caption(chosen, "trigger", text, conflict);
            if (!caption.starts_with("trigger")) std::abort();
        }
    });
    return 0;
}

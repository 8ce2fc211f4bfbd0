// The trigger words of a LoRA, from the tag counts that training left in its metadata.
#include <algorithm>
#include <map>

#include "app/file_info.h"
#include "base/attempt.h"
#include "base/json.h"

namespace lora::app {
namespace {

// A tag in at least this share of a folder's captions belongs to the concept itself.
constexpr double kNearlyAlways = 0.9;

// A metadata value as JSON; null when it is missing or broken, since others write these files too.
Json json_value(const io::Metadata& metadata, const std::string& key) {
    Json value;
    const auto found = metadata.find(key);
    if (found == metadata.end()) return value;
    // A damaged value only means that there is nothing to tell.
    if (attempt([&] { value = parse_json(found->second, key); })) return {};
    return value;
}

int64_t integer(const Json& object, const std::string& key) {
    if (!object.is_object() || !object.contains(key)) return 0;
    return object[key].is_number_integer() ? object[key].get<int64_t>() : 0;
}

}  // namespace

std::vector<TriggerWord> trigger_words(const io::Metadata& metadata, size_t limit) {
    const Json frequency = json_value(metadata, "ss_tag_frequency");
    const Json folders = json_value(metadata, "ss_dataset_dirs");
    std::map<std::string, TriggerWord> words;
    if (frequency.is_object()) {
        for (const auto& [folder, tags] : frequency.items()) {
            if (!tags.is_object()) continue;
            const bool known = folders.is_object() && folders.contains(folder);
            const int64_t captions = known ? integer(folders[folder], "img_count") : 0;
            for (const auto& [tag, count] : tags.items()) {
                if (!count.is_number_integer()) continue;
                TriggerWord& word = words[tag];
                word.word = tag;
                word.count += count.get<int64_t>();
                word.captions += captions;
            }
        }
    }
    std::vector<TriggerWord> out;
    out.reserve(words.size());
    for (auto& [tag, word] : words) out.push_back(std::move(word));
    const auto share = [](const TriggerWord& w) {
        return w.captions > 0 ? static_cast<double>(w.count) / static_cast<double>(w.captions)
                              : 0.0;
    };
    std::stable_sort(out.begin(), out.end(), [&](const TriggerWord& a, const TriggerWord& b) {
        const bool a_always = share(a) >= kNearlyAlways;
        const bool b_always = share(b) >= kNearlyAlways;
        if (a_always != b_always) return a_always;
        return a.count > b.count;
    });
    const auto always = static_cast<size_t>(std::count_if(
        out.begin(), out.end(), [&](const TriggerWord& w) { return share(w) >= kNearlyAlways; }));
    // Tags of the pictures' other content help nobody once there are real trigger words.
    out.resize(std::min(always > 0 ? always : out.size(), limit));
    return out;
}

}  // namespace lora::app

#include "train/advice.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include <fmt/format.h>

#include "base/attempt.h"
#include "base/error.h"
#include "base/json.h"
#include "base/words.h"
#include "text/clip_tokenizer.h"
#include "text/unicode.h"

namespace lora::train {
namespace {

// The guide's line between few and many pictures for regularisation.
constexpr int64_t kFewImages = 30;
// From so many on the usual repeats hold.
constexpr int64_t kSmallSet = 20;

// Words that captions of anime and photo models are full of.
constexpr std::string_view kKnownTags[] = {"1girl",
                                           "1boy",
                                           "2girls",
                                           "2boys",
                                           "solo",
                                           "girl",
                                           "boy",
                                           "woman",
                                           "man",
                                           "person",
                                           "people",
                                           "cat",
                                           "dog",
                                           "fox",
                                           "wolf",
                                           "rabbit",
                                           "horse",
                                           "bird",
                                           "dragon",
                                           "angel",
                                           "demon",
                                           "maid",
                                           "nurse",
                                           "witch",
                                           "knight",
                                           "princess",
                                           "idol",
                                           "ninja",
                                           "robot",
                                           "dress",
                                           "swimsuit",
                                           "bikini",
                                           "uniform",
                                           "school uniform",
                                           "kimono",
                                           "hat",
                                           "glasses",
                                           "skirt",
                                           "armor",
                                           "weapon",
                                           "sword",
                                           "gun",
                                           "car",
                                           "building",
                                           "city",
                                           "sky",
                                           "night",
                                           "snow",
                                           "beach",
                                           "forest",
                                           "flower",
                                           "tree",
                                           "water",
                                           "fire",
                                           "smile",
                                           "sitting",
                                           "standing",
                                           "lying",
                                           "portrait",
                                           "style",
                                           "anime",
                                           "manga",
                                           "comic",
                                           "realistic",
                                           "sketch",
                                           "monochrome",
                                           "watercolor",
                                           "background",
                                           "white background",
                                           "simple background",
                                           "red",
                                           "blue",
                                           "green",
                                           "black",
                                           "white",
                                           "pink",
                                           "face",
                                           "hair",
                                           "long hair",
                                           "short hair",
                                           "twintails",
                                           "ponytail",
                                           "blonde hair",
                                           "breasts",
                                           "animal ears"};

void note(Diagnostics& out, std::string place, std::string text, std::string hint = {}) {
    out.push_back({Severity::kNote, std::move(place), std::move(text), std::move(hint)});
}

// Pictures times repeats of each folder in one epoch, as they are really drawn.
std::vector<int64_t> draws_by_folder(const data::Dataset& dataset) {
    std::vector<int64_t> draws(dataset.folders.size(), 0);
    for (const data::ImageEntry& image : dataset.images) {
        const auto idx = static_cast<size_t>(image.folder_idx);
        if (idx < draws.size()) draws[idx] += image.repeats;
    }
    return draws;
}

void advise_on_length(const TrainOptions& options,
                      const data::Dataset& dataset,
                      const data::StepPlan& steps,
                      Diagnostics& out) {
    const ViewRange views = usual_views(options.optimizer.optimizer_type);
    for (const data::ConceptFolder& folder : dataset.folders) {
        if (folder.is_reg) continue;
        const int64_t total = steps.num_epochs * folder.repeats;
        if (total >= views.low && total <= views.high) continue;
        const RepeatRange repeats = usual_repeats(folder.num_images);
        const auto epochs = [&](int64_t wanted) {
            return std::max<int64_t>(1, (wanted + folder.repeats / 2) / folder.repeats);
        };
        note(
            out,
            folder.name,
            fmt::format("{} repeats x {} epochs show each picture {} times; {} to {} is usual with "
                        "{}",
                        folder.repeats,
                        steps.num_epochs,
                        total,
                        views.low,
                        views.high,
                        options.optimizer.optimizer_type),
            fmt::format("{} to {} repeats suit {} pictures; at {} repeats, {} to {} epochs",
                        repeats.low,
                        repeats.high,
                        folder.num_images,
                        folder.repeats,
                        epochs(views.low),
                        epochs(views.high)));
    }
}

void advise_on_shares(const data::Dataset& dataset, Diagnostics& out) {
    const std::vector<int64_t> draws = draws_by_folder(dataset);
    int64_t total = 0;
    int64_t count = 0;
    for (size_t i = 0; i < draws.size(); ++i) {
        if (dataset.folders[i].is_reg) continue;
        total += draws[i];
        ++count;
    }
    if (count < 2 || total == 0) return;
    std::string text;
    for (size_t i = 0; i < draws.size(); ++i) {
        if (dataset.folders[i].is_reg) continue;
        text += fmt::format("{}{} {:.0f}% ({} x {})",
                            text.empty() ? "" : ", ",
                            dataset.folders[i].name,
                            100.0 * static_cast<double>(draws[i]) / static_cast<double>(total),
                            dataset.folders[i].num_images,
                            dataset.folders[i].repeats);
    }
    note(out,
         "concepts",
         fmt::format("shares of an epoch: {}", text),
         "raise the repeats of a concept that should weigh more");
}

void advise_on_regularisation(const TrainOptions& options,
                              const data::Dataset& dataset,
                              Diagnostics& out) {
    int64_t train = 0;
    int64_t reg = 0;
    int64_t reg_draws = 0;
    for (const data::ConceptFolder& folder : dataset.folders) {
        (folder.is_reg ? reg : train) += folder.num_images;
    }
    for (const data::ImageEntry& image : dataset.images) {
        if (image.is_reg) reg_draws += image.repeats;
    }
    if (reg == 0) return;
    note(out,
         "regularisation",
         fmt::format("{} pictures are drawn {} times an epoch, as often as those that are trained",
                     reg,
                     reg_draws));
    if (train > kFewImages) {
        note(out,
             "regularisation",
             fmt::format("{} pictures are trained: with more than about {} it is not advised for a "
                         "character, which may stay unlearnt while face and build drift to the "
                         "regularisation pictures",
                         train,
                         kFewImages),
             "leave reg_data_dir out, or see docs/guide/regularisation.md");
    }
    if (options.dataset.prior_loss_weight >= 1) {
        note(out,
             "prior_loss_weight",
             fmt::format("{} gives regularisation as much weight as training",
                         options.dataset.prior_loss_weight),
             "0.3 is worth a try");
    }
}

void advise_on_triggers(const data::Dataset& dataset, Diagnostics& out) {
    for (const data::ConceptFolder& folder : dataset.folders) {
        if (folder.is_reg) continue;
        const std::string meaning = other_meaning(folder.trigger);
        if (meaning.empty()) continue;
        note(out,
             folder.name,
             fmt::format(
                 "the trigger \"{}\" is {}: old and new meaning will mix", folder.trigger, meaning),
             "give the concept a name of its own if that is not wanted");
    }
}

}  // namespace

ViewRange usual_views(std::string_view optimizer_type) {
    ViewRange range;
    // It needs 1 to 1.4 times the epochs of AdamW.
    if (lower_ascii(optimizer_type) == "dadaptadam") range.high = range.high * 14 / 10;
    return range;
}

RepeatRange usual_repeats(int64_t num_images) {
    RepeatRange range;
    if (num_images >= kSmallSet || num_images < 1) return range;
    const double factor =
        std::min(4.0, static_cast<double>(kSmallSet) / static_cast<double>(num_images));
    const auto raised = [&](int64_t value) {
        return static_cast<int64_t>(std::lround(static_cast<double>(value) * factor));
    };
    return {raised(range.low), raised(range.high)};
}

std::string other_meaning(std::string_view trigger) {
    const std::string word = text::lower_utf8(text::strip(trigger));
    if (word.empty()) return {};
    if (std::find(std::begin(kKnownTags), std::end(kKnownTags), word) != std::end(kKnownTags)) {
        return "a tag of its own";
    }
    static const text::ClipTokenizer kTokenizer;
    const bool is_word = word.size() > 2 && word.find(' ') == std::string::npos;
    return is_word && kTokenizer.encode(word).size() == 1 ? "one word the model knows"
                                                          : std::string();
}

std::optional<Diagnostic> advise_on_model(const io::SafetensorsFile& model) {
    size_t num_models = 0;  // 0: it is not told
    bool is_merged = false;
    for (const auto& entry : model.metadata()) {
        const std::string& key = entry.first;
        const std::string& value = entry.second;
        if (key == "modelspec.merged_from" && !value.empty()) {
            is_merged = true;
            num_models = std::max(num_models, split(value, ',').size());
        }
        if (key == "sd_merge_recipe") is_merged = true;
        if (key != "sd_merge_models") continue;
        is_merged = true;
        Json models;
        const auto wrong = attempt([&] { models = parse_json(value, key); });
        if (!wrong && models.is_object()) num_models = std::max(num_models, models.size());
    }
    if (!is_merged) return std::nullopt;
    return Diagnostic{Severity::kNote,
                      "pretrained_model_name_or_path",
                      num_models > 1
                          ? fmt::format("this base model was merged from {} models", num_models)
                          : std::string("this base model was merged from others"),
                      "heavily merged models seem to overfit sooner: watch the validation loss "
                      "(validation_split), or train on a model that is no merge"};
}

Diagnostics advise(const TrainOptions& options,
                   const data::BucketedDataset& data,
                   const data::StepPlan& steps) {
    Diagnostics out;
    advise_on_length(options, data.dataset, steps, out);
    advise_on_shares(data.dataset, out);
    advise_on_regularisation(options, data.dataset, out);
    advise_on_triggers(data.dataset, out);
    return out;
}

}  // namespace lora::train

#include "config/dataset_config.h"

#include <algorithm>
#include <array>
#include <functional>
#include <iterator>
#include <optional>

#include <fmt/format.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/utf8.h"
#include "base/words.h"
#include "config/internal/paths.h"
#include "config/internal/toml.h"
#include "config/settings.h"
#include "config/validate.h"
#include "data/augment.h"

namespace lora::config {
namespace {

constexpr int kMaxDepth = 16;

// TOML as JSON, so that both are read by the same code.
Json to_json(const toml::node& node, int depth = 0) {
    if (depth > kMaxDepth) return nullptr;
    if (const auto* table = node.as_table()) {
        Json out = Json::object();
        for (const auto& [key, value] : *table) {
            out[std::string(key.str())] = to_json(value, depth + 1);
        }
        return out;
    }
    if (const auto* list = node.as_array()) {
        Json out = Json::array();
        for (const toml::node& item : *list) out.push_back(to_json(item, depth + 1));
        return out;
    }
    if (const auto* text = node.as_string()) return text->get();
    if (const auto* integer = node.as_integer()) return integer->get();
    if (const auto* number = node.as_floating_point()) return number->get();
    if (const auto* flag = node.as_boolean()) return flag->get();
    return nullptr;
}

enum Place : uint8_t { kInGeneral = 1, kInDataset = 2, kInSubset = 4 };
constexpr uint8_t kEverywhere = kInGeneral | kInDataset | kInSubset;
constexpr uint8_t kOfDatasets = kInGeneral | kInDataset;

struct Key {
    std::string_view name;
    uint8_t places;
};
constexpr Key kKeys[] = {{"image_dir", kInSubset},
                         {"is_reg", kInSubset},
                         {"subsets", kInDataset},
                         {"class_tokens", kEverywhere},
                         {"caption_extension", kEverywhere},
                         {"num_repeats", kEverywhere},
                         {"shuffle_caption", kEverywhere},
                         {"keep_tokens", kEverywhere},
                         {"keep_tokens_separator", kEverywhere},
                         {"caption_separator", kEverywhere},
                         {"secondary_separator", kEverywhere},
                         {"enable_wildcard", kEverywhere},
                         {"caption_prefix", kEverywhere},
                         {"caption_suffix", kEverywhere},
                         {"caption_dropout_rate", kEverywhere},
                         {"caption_dropout_every_n_epochs", kEverywhere},
                         {"caption_tag_dropout_rate", kEverywhere},
                         {"token_warmup_min", kEverywhere},
                         {"token_warmup_step", kEverywhere},
                         {"max_shuffled_tags", kEverywhere},
                         {"flip_aug", kEverywhere},
                         {"color_aug", kEverywhere},
                         {"random_crop", kEverywhere},
                         {"face_crop_aug_range", kEverywhere},
                         {"conditioning_data_dir", kInSubset},
                         {"alpha_mask", kEverywhere},
                         {"cache_info", kEverywhere},
                         {"batch_size", kOfDatasets},
                         {"resolution", kOfDatasets},
                         {"enable_bucket", kOfDatasets},
                         {"min_bucket_reso", kOfDatasets},
                         {"max_bucket_reso", kOfDatasets},
                         {"bucket_reso_steps", kOfDatasets},
                         {"bucket_no_upscale", kOfDatasets},
                         {"validation_split", kOfDatasets},
                         {"validation_seed", kOfDatasets},
                         {"network_multiplier", kOfDatasets}};

// Of sd-scripts, for what is not trained here.
constexpr std::string_view kMissing[] = {
    "metadata_file", "custom_attributes", "resize_interpolation", "caption_file_encoding"};

// Looks a value up in the tables from the innermost to the outermost.
class Lookup {
public:
    Lookup(std::vector<const Json*> tables, std::string place, Diagnostics& findings)
        : tables_(std::move(tables)), place_(std::move(place)), findings_(findings) {}

    void flag(const char* name, bool& value) {
        const Json* found = find(name);
        if (found == nullptr) return;
        if (!found->is_boolean()) return wrong(name, "true or false");
        value = found->get<bool>();
    }
    void text(const char* name, std::string& value) {
        const Json* found = find(name);
        if (found == nullptr) return;
        if (!found->is_string()) return wrong(name, "a text in quotes");
        value = found->get<std::string>();
    }
    void count(const char* name, int64_t& value, int64_t least) {
        const Json* found = find(name);
        if (found == nullptr) return;
        if (!found->is_number_integer() || found->get<double>() > 1e9 ||
            found->get<double>() < static_cast<double>(least)) {
            return wrong(name, fmt::format("a whole number from {} on", least));
        }
        value = found->get<int64_t>();
    }
    void number(const char* name, double& value, double most) {
        const Json* found = find(name);
        if (found == nullptr) return;
        if (!found->is_number() || !(found->get<double>() >= 0 && found->get<double>() <= most)) {
            return wrong(name, fmt::format("a number from 0 to {}", most));
        }
        value = found->get<double>();
    }
    // One side, [width, height] or "width,height".
    void resolution(data::ImageSize& value) {
        const Json* found = find("resolution");
        if (found == nullptr) return;
        std::string words = found->is_string() ? found->get<std::string>() : found->dump();
        std::erase_if(words, [](char c) { return c == '[' || c == ']'; });
        const auto size = parse_resolution(words);
        if (!size) return wrong("resolution", "512, or [512, 768]");
        value = *size;
    }
    void face(std::optional<data::FaceCropRange>& value) {
        const Json* found = find("face_crop_aug_range");
        if (found == nullptr) return;
        const bool two = found->is_array() && found->size() == 2 && (*found)[0].is_number() &&
                         (*found)[1].is_number();
        if (!two) return wrong("face_crop_aug_range", "[2.0, 4.0]");
        value = data::FaceCropRange{(*found)[0].get<double>(), (*found)[1].get<double>()};
    }

    void wrong(std::string_view name, std::string wanted) {
        findings_.push_back({Severity::kError,
                             place_,
                             fmt::format("{} is not what it should be", name),
                             std::move(wanted)});
    }

private:
    [[nodiscard]] const Json* find(const char* name) const {
        for (const Json* table : tables_) {
            const auto found = table->find(name);
            if (found != table->end() && !found->is_null()) return &*found;
        }
        return nullptr;
    }

    std::vector<const Json*> tables_;
    std::string place_;
    Diagnostics& findings_;
};

class ConfigReader {
public:
    ConfigReader(const Json& json,
                 const std::string& what,
                 const train::TrainOptions& run,
                 Diagnostics& findings)
        : json_(json), what_(what), run_(run), findings_(findings) {}

    std::vector<data::DatasetPlan> run() {
        std::vector<data::DatasetPlan> plans;
        if (!json_.is_object() || !json_.contains("datasets") || !json_["datasets"].is_array()) {
            error(what_, "no [[datasets]] in this description", "see docs/guide/dataset-config.md");
            return plans;
        }
        for (const auto& [name, value] : json_.items()) {
            if (name == "general" || name == "datasets") continue;
            error(what_, fmt::format("\"{}\" is neither general nor datasets", name), {});
        }
        if (json_.contains("general") && json_["general"].is_object()) {
            general_ = json_["general"];
            check_keys(general_, kInGeneral, what_ + ", general");
        }
        int64_t number = 0;
        for (const Json& dataset : json_["datasets"]) {
            ++number;
            const std::string place = fmt::format("{}, data set {}", what_, number);
            if (!dataset.is_object()) {
                error(place, "this is no table", {});
                continue;
            }
            plans.push_back(read_dataset(dataset, place));
        }
        return plans;
    }

private:
    void error(std::string place, std::string text, std::string hint) {
        findings_.push_back({Severity::kError, std::move(place), std::move(text), std::move(hint)});
    }

    void check_keys(const Json& table, Place where, const std::string& place) {
        for (const auto& item : table.items()) {
            const std::string& name = item.key();
            const auto* key = std::find_if(
                std::begin(kKeys), std::end(kKeys), [&](const Key& k) { return k.name == name; });
            if (key != std::end(kKeys) && (key->places & where) != 0) continue;
            if (key != std::end(kKeys)) {
                error(place, fmt::format("{} does not belong here", name), {});
            } else if (std::find(std::begin(kMissing), std::end(kMissing), name) !=
                       std::end(kMissing)) {
                error(place,
                      fmt::format("{} is not in this version, and leaving it out would change the "
                                  "result",
                                  name),
                      {});
            } else {
                std::vector<std::string_view> names;
                for (const Key& k : kKeys) names.push_back(k.name);
                const std::string near = nearest_word(name, names);
                error(place,
                      fmt::format("there is no setting \"{}\"", name),
                      near.empty() ? std::string() : fmt::format("did you mean {}?", near));
            }
        }
    }

    data::DatasetPlan read_dataset(const Json& table, const std::string& place) {
        check_keys(table, kInDataset, place);
        data::DatasetPlan plan;
        plan.batch_size = run_.latents.train_batch_size;
        plan.bucket = run_.bucket;
        plan.validation_split = run_.monitor.validation_split;
        Lookup look({&table, &general_}, place, findings_);
        look.count("batch_size", plan.batch_size, 1);
        look.resolution(plan.bucket.resolution);
        look.flag("enable_bucket", plan.bucket.enable_bucket);
        look.count("min_bucket_reso", plan.bucket.min_bucket_reso_px, 1);
        look.count("max_bucket_reso", plan.bucket.max_bucket_reso_px, 1);
        look.count("bucket_reso_steps", plan.bucket.bucket_reso_steps_px, 1);
        look.flag("bucket_no_upscale", plan.bucket.no_upscale);
        look.number("validation_split", plan.validation_split, 1);
        int64_t seed = -1;
        look.count("validation_seed", seed, 0);
        if (seed >= 0) plan.validation_seed = static_cast<uint64_t>(seed);
        add_at(place, data::check_bucket_options(plan.bucket));
        const auto subsets = table.find("subsets");
        if (subsets == table.end() || !subsets->is_array() || subsets->empty()) {
            error(place, "a data set without [[datasets.subsets]]", "each names an image_dir");
            return plan;
        }
        int64_t number = 0;
        for (const Json& subset : *subsets) {
            ++number;
            const std::string here = fmt::format("{}, subset {}", place, number);
            if (subset.is_object()) {
                plan.subsets.push_back(read_subset(subset, table, here));
                const auto& range = plan.subsets.back().options.augment.face_crop_aug_range;
                if (range) add_at(here, data::check_face_crop(*range, plan.bucket.enable_bucket));
            } else {
                error(here, "this is no table", {});
            }
        }
        return plan;
    }

    data::SubsetPlan read_subset(const Json& table, const Json& dataset, const std::string& place) {
        check_keys(table, kInSubset, place);
        data::SubsetPlan plan;
        plan.caption_extension = run_.dataset.caption_extension;
        plan.options = {.caption = run_.caption,
                        .augment = run_.latents.augment(),
                        .mask = {.conditioning_data_dir = run_.dataset.mask.conditioning_data_dir,
                                 .alpha = run_.loss.alpha_mask}};
        Lookup look({&table, &dataset, &general_}, place, findings_);
        Lookup own({&table}, place, findings_);
        own.text("image_dir", plan.image_dir);
        if (plan.image_dir.empty()) error(place, "image_dir is missing", "the folder of pictures");
        plan.image_dir = with_forward_slashes(plan.image_dir);
        own.flag("is_reg", plan.is_reg);
        std::string tokens;
        look.text("class_tokens", tokens);
        if (!tokens.empty()) plan.class_tokens = tokens;
        look.text("caption_extension", plan.caption_extension);
        look.count("num_repeats", plan.num_repeats, 1);
        read_caption(look, plan.options.caption);
        data::AugmentOptions& augment = plan.options.augment;
        look.flag("flip_aug", augment.flip_aug);
        look.flag("color_aug", augment.color_aug);
        look.flag("random_crop", augment.random_crop);
        look.face(augment.face_crop_aug_range);
        look.flag("alpha_mask", plan.options.mask.alpha);
        read_masks(own, place, plan.options.mask);
        return plan;
    }

    // The run says whether mask pictures are used.
    void read_masks(Lookup& own, const std::string& place, data::MaskOptions& mask) {
        std::string folder;
        own.text("conditioning_data_dir", folder);
        if (folder.empty()) return;
        if (run_.loss.masked_loss) {
            mask.conditioning_data_dir = with_forward_slashes(folder);
        } else {
            findings_.push_back({Severity::kWarning,
                                 place,
                                 "masks are not used without masked_loss",
                                 "add --masked_loss"});
        }
    }

    static void read_caption(Lookup& look, data::CaptionOptions& caption) {
        look.flag("shuffle_caption", caption.shuffle_caption);
        look.count("keep_tokens", caption.keep_tokens, 0);
        look.text("keep_tokens_separator", caption.keep_tokens_separator);
        look.text("caption_separator", caption.caption_separator);
        look.text("secondary_separator", caption.secondary_separator);
        look.flag("enable_wildcard", caption.enable_wildcard);
        look.text("caption_prefix", caption.caption_prefix);
        look.text("caption_suffix", caption.caption_suffix);
        look.number("caption_dropout_rate", caption.caption_dropout_rate, 1);
        look.count("caption_dropout_every_n_epochs", caption.caption_dropout_every_n_epochs, 0);
        look.number("caption_tag_dropout_rate", caption.caption_tag_dropout_rate, 1);
        look.count("token_warmup_min", caption.token_warmup_min, 0);
        look.number("token_warmup_step", caption.token_warmup_step, 1e9);
        look.count("max_shuffled_tags", caption.max_shuffled_tags, 0);
    }

    void add_at(const std::string& place, Diagnostics found) {
        for (Diagnostic& finding : found) {
            finding.place = place;
            findings_.push_back(std::move(finding));
        }
    }

    const Json& json_;
    const std::string& what_;
    const train::TrainOptions& run_;
    Diagnostics& findings_;
    Json general_ = Json::object();
};

}  // namespace

std::vector<data::DatasetPlan> parse_dataset_config(std::string_view text,
                                                    const std::string& what,
                                                    const train::TrainOptions& run,
                                                    Diagnostics& findings) {
    const bool is_json = trimmed(text).starts_with('{');
    const Json json = is_json ? parse_json(text, what) : to_json(parse_toml(text, what));
    return ConfigReader(json, what, run, findings).run();
}

void load_dataset_config(train::TrainOptions& options,
                         bool cache_latents_given,
                         Diagnostics& findings) {
    const std::string& path = options.dataset.dataset_config;
    if (path.empty()) return;
    const std::string text =
        with_context(fmt::format("while reading the data set's description {}", path),
                     [&] { return decode_text(read_text_file(path)).utf8; });
    options.dataset.plans = parse_dataset_config(text, path, options, findings);
    for (const auto& [name, value] : {std::pair("train_data_dir", &options.dataset.train_data_dir),
                                      {"reg_data_dir", &options.dataset.reg_data_dir}}) {
        if (value->empty()) continue;
        findings.push_back(
            {Severity::kWarning, name, "dataset_config names the folders; this is not used", {}});
    }
    bool changes = false;
    options.loss.folder_masks = false;
    for (const data::DatasetPlan& plan : options.dataset.plans) {
        for (const data::SubsetPlan& subset : plan.subsets) {
            changes = changes || subset.options.augment.changes_pixels();
            options.loss.folder_masks = options.loss.folder_masks || subset.options.mask.any();
        }
    }
    if (changes && !cache_latents_given) options.latents.cache_latents = false;
}

}  // namespace lora::config

// `lora tag`: captions from a WD14 tagger.
#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "app/cli/command.h"
#include "app/cli/counter.h"
#include "app/cli/stop.h"
#include "app/cli/terminal.h"
#include "app/cli/tool_options.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "base/words.h"
#include "config/load.h"
#include "tools/file_changes.h"
#include "tools/model_catalog.h"
#include "tools/tagger.h"

namespace lora::app {
namespace {

tools::TagOrder order_of(const config::Settings& settings) {
    const std::string name = settings.text("tag_order");
    if (settings.flag("sort_by_alphabetical_order") || name == "alphabet") {
        return tools::TagOrder::kAlphabet;
    }
    return name == "model" ? tools::TagOrder::kModel : tools::TagOrder::kScore;
}

tools::TagChoiceOptions choice_of(const config::Settings& settings) {
    const auto threshold = [&](const char* name) {
        return settings.number(settings.has(name) ? name : "thresh");
    };
    tools::TagChoiceOptions options;
    options.general_threshold = threshold("general_threshold");
    options.character_threshold = threshold("character_threshold");
    options.rating_threshold = settings.number("rating_threshold");
    options.exclude = tag_list(settings, "undesired_tags");
    options.spaces = settings.flag("remove_underscore");
    options.keep_underscores = tag_list(settings, "underscore_excludes");
    options.escape_brackets = settings.flag("escape_brackets");
    options.expand_characters = settings.flag("character_tag_expand");
    options.replace = tools::read_tag_replacement(settings.text("tag_replacement"));
    options.order = order_of(settings);
    options.characters_first = settings.flag("character_tags_first");
    if (settings.flag("use_rating_tags")) {
        options.rating = tools::RatingPlace::kFirst;
    } else if (settings.flag("use_rating_tags_as_last_tag")) {
        options.rating = tools::RatingPlace::kLast;
    }
    options.always_first = tag_list(settings, "always_first_tags");
    options.with_scores = settings.flag("add_scores");
    options.add = tag_list(settings, "add");
    options.dedupe = settings.flag("dedupe");
    options.separator = settings.text("caption_separator");
    return options;
}

tools::TaggerModelOptions model_of(const config::Settings& settings) {
    const std::string folder = settings.text("model_dir");
    tools::TaggerModelOptions options;
    options.model = tools::find_tagger(settings.text("model"),
                                       folder.empty() ? tools::default_model_folder() : folder);
    options.tags_csv = settings.text("tags_csv");
    options.runtime.library = settings.text("onnxruntime");
    options.runtime.threads = static_cast<int>(settings.integer("threads"));
    options.is_rgb = settings.text("channel_order") == "rgb";
    const std::string range = settings.text("pixel_range");
    options.range = range == "unit"     ? tools::PixelRange::kUnit
                    : range == "signed" ? tools::PixelRange::kSigned
                                        : tools::PixelRange::kBytes;
    options.apply_exif = !settings.flag("ignore_exif");
    return options;
}

tools::TagRunOptions run_options_of(const config::Settings& settings, const std::string& folder) {
    tools::TagRunOptions options;
    options.folder = folder;
    options.recursive = settings.flag("recursive");
    options.caption_extension = settings.text("caption_extension");
    options.output_dir = settings.text("output_dir");
    options.name_pattern = settings.text("output_name");
    const std::string conflict = settings.text("on_conflict");
    if (settings.flag("append_tags") || conflict == "append") {
        options.on_conflict = tools::OnConflict::kAppend;
    } else if (conflict == "prepend") {
        options.on_conflict = tools::OnConflict::kPrepend;
    } else if (conflict == "copy") {
        options.on_conflict = tools::OnConflict::kReplace;
    }
    options.batch_size = settings.integer("batch_size");
    options.folder_trigger = settings.flag("folder_trigger");
    options.save_json = settings.flag("save_json");
    options.dry_run = settings.flag("dry_run");
    Sha256 hash;
    hash.update(config::to_toml(settings));
    options.settings = hash.hex_digest();
    return options;
}

OrderedJson picture_json(const tools::TaggedPicture& picture) {
    OrderedJson tags = OrderedJson::array();
    for (const tools::ChosenTag& tag : picture.tags) {
        tags.push_back({{"tag", tag.text},
                        {"score", tag.score},
                        {"category", tools::tagger_category_name(tag.category)}});
    }
    return {{"picture", picture.path},
            {"caption_file", picture.caption_path},
            {"caption", trimmed(picture.caption)},
            {"tags", tags}};
}

void print_frequencies(const std::map<std::string, int64_t>& counts) {
    std::vector<std::pair<std::string, int64_t>> rows(counts.begin(), counts.end());
    std::stable_sort(
        rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
    for (const auto& [tag, count] : rows) print_out(fmt::format("{:>6}  {}\n", count, tag));
}

int undo(const std::string& folder) {
    const tools::UndoReport undone = tools::undo_changes(folder);
    print_out(fmt::format("{} files restored\n", undone.restored));
    for (const std::string& path : undone.kept) log::warning("{} was changed since", path);
    return undone.kept.empty() ? 0 : 1;
}

}  // namespace

int run_tag(const Context& /*context*/, const config::Loaded& loaded) {
    const config::Settings& settings = loaded.settings;
    if (loaded.positionals.empty()) {
        throw Error(ErrorCode::kConfig, "a folder is missing").with_hint("lora tag DIR");
    }
    const std::string& folder = loaded.positionals.front();
    if (settings.flag("undo")) {
        const std::string& elsewhere = settings.text("output_dir");
        return undo(elsewhere.empty() ? folder : elsewhere);
    }
    tools::TagRunOptions options = run_options_of(settings, folder);
    const tools::TagChoiceOptions choice = choice_of(settings);
    tools::TaggerModel model(model_of(settings));
    log::info("{} tags, {} px, ONNX Runtime {}",
              model.tags().size(),
              model.side_px(),
              model.session().library_version());
    const tools::TagChooser chooser(model.tags(), choice);

    const bool as_json = settings.flag("json");
    OrderedJson files = OrderedJson::array();
    std::map<std::string, int64_t> counts;
    const StopSignals signals;
    options.stop = signals.token();
    tools::TagReport report;
    {
        Counter counter("pictures", std::chrono::seconds(30));
        options.progress = counter.function();
        options.tagged = [&](const tools::TaggedPicture& picture) {
            for (const tools::ChosenTag& tag : picture.tags) ++counts[tag.text];
            if (as_json) {
                files.push_back(picture_json(picture));
            } else if (options.dry_run) {
                print_out(
                    fmt::format("{}\n+ {}\n", picture.caption_path, trimmed(picture.caption)));
            }
        };
        report = tools::tag_folder(model, chooser, options);
    }
    if (as_json) {
        print_json({{"pictures", report.pictures},
                    {"tagged", report.tagged},
                    {"skipped", report.skipped},
                    {"without_tags", report.without_tags},
                    {"failed", report.failed},
                    {"files", files}},
                   1);
    } else {
        if (settings.flag("frequency_tags")) print_frequencies(counts);
        print_out(fmt::format("{} of {} pictures {}, {} have captions, {} cannot be read\n",
                              report.tagged,
                              report.pictures,
                              options.dry_run ? "would be tagged" : "tagged",
                              report.skipped,
                              report.failed.size()));
    }
    if (report.without_tags > 0) {
        log::warning("{} pictures have no tag above the threshold", report.without_tags);
    }
    return report.failed.empty() ? 0 : 1;
}

}  // namespace lora::app

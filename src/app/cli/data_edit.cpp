// `lora data crop|cutout|erase|mix`: pictures and folders made ready.
#include <array>
#include <cmath>
#include <memory>
#include <optional>

#include <fmt/format.h>

#include "app/cli/data_actions.h"
#include "app/cli/terminal.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/utf8.h"
#include "base/words.h"
#include "config/recipe.h"
#include "tools/data_mix.h"
#include "tools/file_changes.h"
#include "tools/picture_edits.h"
#include "tools/segmenter_model.h"

namespace lora::app {
namespace {

const char* word(tools::EditOutcome outcome) {
    if (outcome == tools::EditOutcome::kDone) return "done";
    return outcome == tools::EditOutcome::kSkipped ? "skipped" : "failed";
}

void print_report(const tools::EditReport& report, bool as_json, bool dry_run) {
    if (as_json) {
        OrderedJson rows = OrderedJson::array();
        for (const tools::EditRow& row : report.rows) {
            rows.push_back({{"path", row.path},
                            {"outcome", word(row.outcome)},
                            {"written", row.written},
                            {"note", row.note}});
        }
        print_json({{"dry_run", dry_run}, {"undo_in", report.roots}, {"pictures", rows}}, 1);
        return;
    }
    for (const tools::EditRow& row : report.rows) {
        std::string line = fmt::format("{:<8}{}", word(row.outcome), printable(row.path));
        for (const std::string& path : row.written) {
            if (path != row.path) line += fmt::format("\n        -> {}", printable(path));
        }
        if (!row.note.empty()) line += fmt::format("\n        {}", printable(row.note));
        print_out(line + "\n");
    }
    print_out(fmt::format("{} of {} pictures {}\n",
                          report.count(tools::EditOutcome::kDone),
                          report.rows.size(),
                          dry_run ? "would change" : "done"));
    if (dry_run) return;
    for (const std::string& root : report.roots) {
        print_out(fmt::format("--undo {} takes it back\n", printable(root)));
    }
}

tools::EditOptions edit_options(const config::Settings& settings,
                                const std::vector<std::string>& inputs) {
    tools::EditOptions options;
    options.inputs = inputs;
    options.to = settings.text("to");
    options.caption_extension = settings.text("caption_extension");
    options.box = settings.text("box");
    options.mask = settings.text("mask");
    options.dry_run = settings.flag("dry_run");
    return options;
}

// "0.5" or "0.485,0.456,0.406"; nothing where the option was not given.
std::optional<std::array<float, 3>> channels(const config::Settings& settings, const char* name) {
    if (settings.text(name).empty()) return std::nullopt;
    const std::string text = settings.text(name);
    const auto words = split(text, ',');
    std::array<float, 3> out{};
    for (size_t c = 0; c < 3; ++c) {
        const auto number = parse_number<float>(trimmed(words[words.size() == 3 ? c : 0]));
        const bool fits = words.size() == 1 || words.size() == 3;
        if (!fits || !number || !std::isfinite(*number)) {
            throw Error(ErrorCode::kConfig, fmt::format("{} \"{}\" is no number", name, text))
                .with_hint("one number, or three as in 0.485,0.456,0.406");
        }
        out[c] = *number;
    }
    return out;
}

std::unique_ptr<tools::Segmenter> segmenter_of(const config::Settings& settings) {
    tools::SegmenterOptions options;
    options.model = settings.text("segmenter");
    if (options.model.empty()) return std::make_unique<tools::GrabCut>();
    options.runtime.library = settings.text("onnxruntime");
    options.runtime.threads = static_cast<int>(settings.integer("threads"));
    options.side_px = settings.integer("segmenter_size");
    options.mean = channels(settings, "pixel_mean");
    options.deviation = channels(settings, "pixel_std");
    for (const float value : options.deviation.value_or(std::array<float, 3>{1, 1, 1})) {
        if (value > 0) continue;
        throw Error(ErrorCode::kConfig, "pixel_std must be greater than 0");
    }
    options.keep_shape = settings.text("segmenter_fit") == "pad";
    auto out = std::make_unique<tools::SegmenterModel>(options);
    log::info("{} finds figures at {} px", printable(options.model), out->side_px());
    return out;
}

}  // namespace

int undo_in(const std::vector<std::string>& folders) {
    int64_t restored = 0;
    bool all = true;
    bool any = false;
    for (const std::string& folder : folders) {
        // A run that was killed before its journal leaves a folder with nothing to undo.
        if (!tools::can_undo(folder) && folders.size() > 1) continue;
        any = true;
        const tools::UndoReport undone = tools::undo_changes(folder);
        restored += undone.restored;
        for (const std::string& path : undone.kept) {
            print_out(fmt::format("{} was changed since and stays\n", printable(path)));
        }
        all = all && undone.kept.empty();
    }
    if (!any) throw Error(ErrorCode::kData, "nothing to undo in the folders given");
    print_out(fmt::format("{} files restored\n", restored));
    return all ? 0 : 1;
}

int run_data_edit(const std::string& action,
                  const config::Settings& settings,
                  const std::vector<std::string>& inputs) {
    const tools::EditOptions options = edit_options(settings, inputs);
    const std::string reg = settings.text("reg_data_dir");
    if (settings.flag("undo")) {
        std::vector<std::string> roots = tools::edit_roots(options);
        if (!reg.empty()) roots.push_back(reg);
        return undo_in(roots);
    }
    tools::EditReport report;
    if (action == "crop") {
        report = tools::crop_figures(options,
                                     {.reg_data_dir = reg,
                                      .class_name = settings.text("class"),
                                      .margin = settings.number("margin"),
                                      .plain_too = settings.flag("plain_too")},
                                     *segmenter_of(settings));
    } else if (action == "cutout") {
        tools::CutOutOptions how;
        how.background = tools::parse_colour(settings.text("background"));
        how.tags = settings.list("tags");
        std::erase(how.tags, "");
        how.drop_background_tags = settings.flag("drop_background_tags");
        report = tools::cut_out(options, how, *segmenter_of(settings), tools::TagClasses());
    } else {
        tools::EraseOptions how;
        if (settings.has("color")) how.colour = tools::parse_colour(settings.text("color"));
        how.grow_px = settings.integer("grow");
        report = tools::erase(options, how);
    }
    print_report(report, settings.flag("json"), options.dry_run);
    for (const tools::EditRow& row : report.rows) {
        if (row.outcome != tools::EditOutcome::kFailed) continue;
        log::warning("{}: {}", printable(row.path), printable(row.note));
    }
    if (report.count(tools::EditOutcome::kFailed) == std::ssize(report.rows)) {
        throw Error(ErrorCode::kData, "none of the pictures could be worked on");
    }
    return 0;
}

int run_data_mix(const config::Settings& settings, const std::vector<std::string>& inputs) {
    if (settings.flag("undo")) {
        const std::string to = settings.text("to");
        return undo_in({to.empty() ? inputs.front() : to});
    }
    if (inputs.size() != 1) {
        throw Error(ErrorCode::kConfig, "lora data mix wants one folder")
            .with_hint("lora data mix pictures --to train --trigger mika");
    }
    tools::MixOptions options;
    options.source = inputs.front();
    options.to = settings.text("to");
    const std::string use = settings.text("use");
    options.use = use == "apart"   ? tools::MixUse::kApart
                  : use == "blend" ? tools::MixUse::kBlend
                                   : tools::MixUse::kTogether;
    options.trigger = settings.text("trigger");
    if (const std::string path = settings.text("folder_tags"); !path.empty()) {
        options.folder_tags =
            tools::parse_folder_tags(decode_text(read_text_file(path)).utf8, path);
    }
    options.acts = settings.text("acts");
    options.share = settings.number("share");
    options.repeats = settings.integer("repeats");
    options.caption_extension = settings.text("caption_extension");
    options.dry_run = settings.flag("dry_run");
    const tools::MixReport report = tools::mix_data(options, config::advised_repeats);
    OrderedJson rows = OrderedJson::array();
    for (const tools::MixFolder& folder : report.folders) {
        rows.push_back({{"path", folder.path},
                        {"repeats", folder.repeats},
                        {"sfw", folder.sfw},
                        {"nsfw", folder.nsfw},
                        {"nsfw_share", folder.nsfw_share()}});
        if (settings.flag("json")) continue;
        print_out(fmt::format("{}: {} sfw, {} nsfw ({:.0f}%)\n",
                              folder.path,
                              folder.sfw,
                              folder.nsfw,
                              100 * folder.nsfw_share()));
    }
    if (settings.flag("json")) {
        print_json({{"dry_run", options.dry_run},
                    {"copied", report.copied},
                    {"left_out", report.left_out},
                    {"folders", rows}},
                   1);
        return 0;
    }
    if (report.left_out > 0) {
        print_out(fmt::format("{} nsfw pictures have no place in this share\n", report.left_out));
    }
    print_out(fmt::format("{} files {}\n",
                          report.copied,
                          options.dry_run ? "would be written" : "written; --undo takes it back"));
    if (options.use == tools::MixUse::kApart) {
        print_out("train the folders sfw and nsfw one after the other\n");
    }
    return 0;
}

}  // namespace lora::app

// `lora data`: chooses the action; `check` tells what is wrong with a training folder.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "app/cli/command.h"
#include "app/cli/data_actions.h"
#include "app/cli/terminal.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "config/validate.h"
#include "tools/data_check.h"

namespace lora::app {
namespace {

const char* word(Severity severity) {
    if (severity == Severity::kError) return "error";
    return severity == Severity::kWarning ? "warning" : "note";
}

void print_findings(const tools::CheckReport& report) {
    OrderedJson rows = OrderedJson::array();
    for (const tools::CheckFinding& finding : report.findings) {
        rows.push_back({{"severity", word(finding.severity)},
                        {"kind", finding.kind},
                        {"path", finding.path},
                        {"message", finding.message},
                        {"fix", finding.fix}});
    }
    print_json(rows, 1);
}

void print_table(const tools::CheckReport& report) {
    for (const tools::CheckedFolder& row : report.folders) {
        print_out(fmt::format("{}: {} pictures x {}, {} captions, {:.0f}% of an epoch\n",
                              printable(row.name),
                              row.images,
                              row.repeats,
                              row.captions,
                              100 * row.share));
    }
    for (const tools::CheckFinding& finding : report.findings) {
        print_out(fmt::format("{:<8}{:<20}{}\n{:<28}{}; {}{}\n",
                              word(finding.severity),
                              finding.kind,
                              printable(finding.path),
                              "",
                              printable(finding.message),
                              printable(finding.fix),
                              finding.fixable ? " (--fix does)" : ""));
    }
    print_out(fmt::format("pictures: {}, errors: {}, warnings: {}\n",
                          report.images,
                          report.count(Severity::kError),
                          report.count(Severity::kWarning)));
}

// Side of a square as large as "512" or "512,768" say.
int64_t trained_px(const std::string& resolution) {
    const auto size = config::parse_resolution(resolution);
    if (!size) {
        throw Error(ErrorCode::kConfig, fmt::format("resolution \"{}\" is no size", resolution))
            .with_hint("512, or width,height");
    }
    return std::llround(std::sqrt(static_cast<double>(size->width_px * size->height_px)));
}

int run_data_check(const config::Settings& settings, const std::vector<std::string>& inputs) {
    if (inputs.size() != 1) {
        throw Error(ErrorCode::kConfig, "lora data check wants one folder")
            .with_hint("lora data check DIR");
    }
    tools::CheckOptions options;
    options.folder = inputs.front();
    if (settings.flag("undo")) return undo_in({options.folder});
    options.caption_extension = settings.text("caption_extension");
    options.no_decode = settings.flag("no_decode");
    options.keep_tokens = settings.integer("keep_tokens");
    options.max_token_length = settings.integer("max_token_length");
    options.epochs = settings.integer("max_train_epochs");
    options.min_side_px = settings.integer("min_side");
    options.list_quality = settings.flag("quality");
    options.trained_px = trained_px(settings.text("resolution"));
    const tools::TagClasses classes;
    tools::CheckReport report = tools::check_data(options, classes);
    if (settings.flag("fix")) {
        const int64_t changed = tools::change_files(options.folder, report.fixes);
        print_err(fmt::format("{} files changed; --undo restores them\n", changed));
        report = tools::check_data(options, classes);
    }
    if (!settings.text("html").empty()) {
        write_file_atomically(settings.text("html"),
                              tools::data_report_html(report, options.folder));
    }
    settings.flag("json") ? print_findings(report) : print_table(report);
    return report.count(Severity::kError) > 0 ? 1 : 0;
}

}  // namespace

int run_data(const Context& context, const config::Loaded& loaded) {
    const std::vector<std::string>& words = loaded.positionals;
    const std::string action = words.empty() ? "" : words.front();
    constexpr std::string_view kActions[] = {
        "check", "plan", "crop", "cutout", "erase", "mix", "reg"};
    if (std::find(std::begin(kActions), std::end(kActions), action) == std::end(kActions)) {
        throw Error(ErrorCode::kConfig,
                    action.empty() ? "lora data wants an action and a folder"
                                   : fmt::format("lora data has no action \"{}\"", action))
            .with_hint("lora data check DIR; others are plan, crop, cutout, erase, mix, reg");
    }
    const std::vector<std::string> inputs(words.begin() + 1, words.end());
    if (inputs.empty()) {
        throw Error(ErrorCode::kConfig, fmt::format("lora data {} wants a folder", action))
            .with_hint(fmt::format("lora data {} DIR", action));
    }
    if (action == "check") return run_data_check(loaded.settings, inputs);
    if (action == "plan") return run_data_plan(context, loaded.settings, inputs);
    if (action == "reg") return run_data_reg(loaded.settings, inputs);
    if (action == "mix") return run_data_mix(loaded.settings, inputs);
    return run_data_edit(action, loaded.settings, inputs);
}

}  // namespace lora::app

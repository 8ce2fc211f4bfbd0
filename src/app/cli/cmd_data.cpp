// `lora data check`: what is wrong with a training folder.
#include <fmt/format.h>

#include "app/cli/command.h"
#include "app/cli/terminal.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
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
                              row.name,
                              row.images,
                              row.repeats,
                              row.captions,
                              100 * row.share));
    }
    for (const tools::CheckFinding& finding : report.findings) {
        print_out(fmt::format("{:<8}{:<20}{}\n{:<28}{}; {}{}\n",
                              word(finding.severity),
                              finding.kind,
                              finding.path,
                              "",
                              finding.message,
                              finding.fix,
                              finding.fixable ? " (--fix does)" : ""));
    }
    print_out(fmt::format("{} pictures, {} errors, {} warnings\n",
                          report.images,
                          report.count(Severity::kError),
                          report.count(Severity::kWarning)));
}

}  // namespace

int run_data(const Context& /*context*/, const config::Loaded& loaded) {
    const config::Settings& settings = loaded.settings;
    if (loaded.positionals.size() != 2 || loaded.positionals.front() != "check") {
        throw Error(ErrorCode::kConfig, "lora data wants an action and a folder")
            .with_hint("lora data check DIR");
    }
    tools::CheckOptions options;
    options.folder = loaded.positionals[1];
    if (settings.flag("undo")) {
        const tools::UndoReport undone = tools::undo_changes(options.folder);
        print_out(fmt::format("{} files restored\n", undone.restored));
        for (const std::string& path : undone.kept) {
            print_out(fmt::format("{} was changed since and stays\n", path));
        }
        return undone.kept.empty() ? 0 : 1;
    }
    options.caption_extension = settings.text("caption_extension");
    options.no_decode = settings.flag("no_decode");
    options.keep_tokens = settings.integer("keep_tokens");
    options.max_token_length = settings.integer("max_token_length");
    options.epochs = settings.integer("max_train_epochs");
    options.min_side_px = settings.integer("min_side");
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

}  // namespace lora::app

#include "app/cli/report.h"

#include <fmt/format.h>

#include "base/log.h"

namespace lora::app {
namespace {

std::string line_of(const Diagnostic& finding) {
    std::string line =
        finding.place.empty() ? finding.text : fmt::format("{}: {}", finding.place, finding.text);
    return line;
}

}  // namespace

void raise_errors(const Diagnostics& findings) {
    std::vector<const Diagnostic*> errors;
    for (const Diagnostic& finding : findings) {
        if (finding.severity == Severity::kError) errors.push_back(&finding);
    }
    if (errors.empty()) return;
    if (errors.size() == 1) {
        throw Error(ErrorCode::kConfig, line_of(*errors.front())).with_hint(errors.front()->hint);
    }
    Error error(ErrorCode::kConfig, fmt::format("{} settings are wrong", errors.size()));
    for (const Diagnostic* finding : errors) {
        std::string line = line_of(*finding);
        if (!finding->hint.empty()) line += fmt::format(" ({})", finding->hint);
        error.add_context(std::move(line));
    }
    throw error;
}

void log_warnings(const Diagnostics& findings) {
    for (const Diagnostic& finding : findings) {
        std::string line = line_of(finding);
        if (!finding.hint.empty()) line += fmt::format(" ({})", finding.hint);
        if (finding.severity == Severity::kWarning) log::warning("{}", line);
        if (finding.severity == Severity::kNote) log::info("{}", line);
    }
}

}  // namespace lora::app

#include "train/save_names.h"

#include <fmt/format.h>

#include "base/wall_clock.h"

namespace lora::train {
namespace {

std::string name_or(const SaveOptions& options, const char* fallback) {
    return options.output_name.empty() ? fallback : options.output_name;
}

}  // namespace

std::string time_stamp() {
    const std::tm fields = calendar_time(unix_time(), false);
    return fmt::format("{:04}{:02}{:02}{:02}{:02}{:02}",
                       fields.tm_year + 1900,
                       fields.tm_mon + 1,
                       fields.tm_mday,
                       fields.tm_hour,
                       fields.tm_min,
                       fields.tm_sec);
}

std::string epoch_file_name(const SaveOptions& options, int64_t epoch) {
    return fmt::format("{}-{:06}.{}", name_or(options, "epoch"), epoch, options.save_model_as);
}

std::string step_file_name(const SaveOptions& options, int64_t step) {
    return fmt::format("{}-step{:08}.{}", name_or(options, "at"), step, options.save_model_as);
}

std::string final_file_name(const SaveOptions& options) {
    return fmt::format("{}.{}", name_or(options, "last"), options.save_model_as);
}

std::string ema_file_name(const std::string& name) {
    const size_t dot = name.rfind('.');
    return name.substr(0, dot) + "-ema" + name.substr(dot);
}

std::string epoch_state_name(const SaveOptions& options, int64_t epoch) {
    return fmt::format("{}-{:06}-state", name_or(options, "epoch"), epoch);
}

std::string step_state_name(const SaveOptions& options, int64_t step) {
    return fmt::format("{}-step{:08}-state", name_or(options, "at"), step);
}

std::string final_state_name(const SaveOptions& options) {
    return fmt::format("{}-state", name_or(options, "last"));
}

std::string rolling_state_name(const SaveOptions& options, int64_t step) {
    return fmt::format("{}-rolling-step{:08}-state", name_or(options, "last"), step);
}

bool saves_epoch(int64_t every_n, int64_t epoch, int64_t num_epochs) {
    return every_n > 0 && epoch % every_n == 0 && epoch < num_epochs;
}

bool saves_step(int64_t every_n, int64_t step) { return every_n > 0 && step % every_n == 0; }

std::optional<int64_t> old_epoch(int64_t epoch, int64_t every_n, int64_t keep_last) {
    if (keep_last <= 0) return std::nullopt;
    const int64_t old = epoch - every_n * keep_last;
    if (old < 0) return std::nullopt;
    return old;
}

std::optional<int64_t> old_step(int64_t step, int64_t every_n, int64_t keep_last) {
    if (keep_last <= 0) return std::nullopt;
    const int64_t limit = step - keep_last - 1;
    if (limit < 0) return std::nullopt;
    const int64_t old = limit - limit % every_n;
    if (old <= 0) return std::nullopt;
    return old;
}

}  // namespace lora::train

#include "train/run_history.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

#include <fmt/format.h>

#include "base/attempt.h"
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "train/step_cost.h"

namespace lora::train {
namespace {

// Never silent for so long while training, previews and saving included.
constexpr double kLeastSilence_s = 300;
constexpr double kSilentSteps = 50;
constexpr size_t kTimedSteps = 50;

double number(const Json& json, const char* name, double fallback = 0) {
    const auto found = json.find(name);
    return found != json.end() && found->is_number() ? found->get<double>() : fallback;
}
int64_t integer(const Json& json, const char* name) {
    return static_cast<int64_t>(number(json, name));
}
std::string text(const Json& json, const char* name) {
    const auto found = json.find(name);
    return found != json.end() && found->is_string() ? found->get<std::string>() : "";
}
std::optional<double> optional_number(const Json& json, const char* name) {
    const auto found = json.find(name);
    if (found == json.end() || !found->is_number()) return std::nullopt;
    return found->get<double>();
}

HistoryFile file_of(const Json& e) {
    return {text(e, "path"),
            integer(e, "step"),
            integer(e, "epoch"),
            integer(e, "index"),
            text(e, "prompt")};
}

CurvePoint point_of(const Json& e, const char* value) {
    return {integer(e, "step"), integer(e, "epoch"), number(e, value)};
}

void add_step(RunHistory& h, const Json& e) {
    h.total_steps = integer(e, "steps");
    h.steps.push_back({.step = integer(e, "step"),
                       .epoch = integer(e, "epoch"),
                       .loss = number(e, "loss", std::nan("")),
                       .average_loss = number(e, "average_loss"),
                       .relative_loss = optional_number(e, "relative_loss"),
                       .lr_unet = number(e, "lr_unet"),
                       .lr_text_encoder = number(e, "lr_text_encoder"),
                       .step_ms = number(e, "step_ms")});
}

void start(RunHistory& h, const Json& e) {
    h.run = text(e, "run");
    h.output_name = text(e, "output_name");
    h.backend = text(e, "backend");
    h.device = text(e, "device");
    h.dtype = text(e, "dtype");
    h.started = number(e, "time");
    h.resumed_step = integer(e, "resumed_step");
}

template <typename T>
void drop_after(std::vector<T>& items, int64_t step) {
    std::erase_if(items, [step](const T& item) { return item.step > step; });
}

void go_back(RunHistory& h, const Json& e) {
    const int64_t step = integer(e, "step");
    drop_after(h.steps, step);
    drop_after(h.probes, step);
    drop_after(h.validations, step);
    h.troubles.push_back(fmt::format("step {}: {}; went back to step {}, rate x {:g}",
                                     integer(e, "failed_step"),
                                     text(e, "cause"),
                                     step,
                                     number(e, "rate_factor", 1)));
}

using Handler = std::function<void(RunHistory&, const Json&)>;
const std::map<std::string, Handler, std::less<>>& handlers() {
    static const std::map<std::string, Handler, std::less<>> kHandlers = {
        {"run_started", start},
        {"plan_ready",
         [](RunHistory& h, const Json& e) {
             h.images = integer(e, "images");
             h.total_steps = integer(e, "steps");
             h.total_epochs = integer(e, "epochs");
         }},
        {"step_done", add_step},
        {"went_back", go_back},
        {"probe_done",
         [](RunHistory& h, const Json& e) { h.probes.push_back(point_of(e, "relative")); }},
        {"validation_done",
         [](RunHistory& h, const Json& e) {
             const CurvePoint point = point_of(e, "loss");
             if (h.validations.empty() || h.validations.back().step != point.step)
                 h.validations.push_back(point);
         }},
        {"turned_up",
         [](RunHistory& h, const Json& e) {
             h.turn = CurvePoint{
                 integer(e, "turn_step"), integer(e, "turn_epoch"), number(e, "turn_loss")};
         }},
        {"advised_save", [](RunHistory& h, const Json& e) { h.advised_file = text(e, "path"); }},
        {"weight_sweep", [](RunHistory& h, const Json& e) { h.best_weight = number(e, "best"); }},
        {"file_saved", [](RunHistory& h, const Json& e) { h.files.push_back(file_of(e)); }},
        {"state_saved", [](RunHistory& h, const Json& e) { h.states.push_back(file_of(e)); }},
        {"preview_done", [](RunHistory& h, const Json& e) { h.previews.push_back(file_of(e)); }},
        {"run_ended", [](RunHistory& h, const Json& e) { h.status = text(e, "status"); }},
    };
    return kHandlers;
}

constexpr std::string_view kEventsName = "events.jsonl";

}  // namespace

void RunHistory::add(const Json& event) {
    if (!event.is_object()) return;
    last_time = std::max(last_time, number(event, "time"));
    const auto handler = handlers().find(text(event, "event"));
    if (handler != handlers().end()) handler->second(*this, event);
}

int64_t RunHistory::step() const { return steps.empty() ? resumed_step : steps.back().step; }

double RunHistory::step_ms() const {
    std::vector<double> times;
    const size_t count = std::min(steps.size(), kTimedSteps);
    for (size_t i = steps.size() - count; i < steps.size(); ++i) times.push_back(steps[i].step_ms);
    return times.empty() ? 0 : median(std::move(times));
}

double RunHistory::seconds_left() const {
    return step_ms() / 1000 * static_cast<double>(std::max<int64_t>(total_steps - step(), 0));
}

std::string RunHistory::state_at(double now) const {
    if (status != "running") return status;
    const double patience = std::max(kLeastSilence_s, kSilentSteps * step_ms() / 1000);
    return now - last_time > patience ? "silent" : status;
}

RunHistory read_history(const std::string& events_path) {
    const std::string content = read_text_file(events_path);
    RunHistory history;
    size_t line = 1;
    for (size_t begin = 0; begin < content.size(); ++line) {
        const size_t end = content.find('\n', begin);
        if (end == std::string::npos) break;
        if (end > begin) {
            history.add(parse_json(std::string_view(content).substr(begin, end - begin),
                                   fmt::format("{} line {}", events_path, line)));
        }
        begin = end + 1;
    }
    if (history.run.empty()) history.run = base_name(parent_path(events_path));
    return history;
}

std::vector<RunHistory> find_histories(const std::string& folder) {
    if (!is_directory(folder)) {
        throw Error(ErrorCode::kIo, fmt::format("{} is not a folder", folder))
            .with_hint("give the folder of a run, or the logging_dir that holds such folders");
    }
    std::vector<RunHistory> found;
    if (const std::string own = join_path(folder, kEventsName); path_exists(own)) {
        found.push_back(read_history(own));
        return found;
    }
    for (const DirectoryEntry& entry : list_directory(folder)) {
        const std::string events = join_path(join_path(folder, entry.name), kEventsName);
        if (!entry.is_directory || !path_exists(events)) continue;
        const auto problem = attempt([&] { found.push_back(read_history(events)); });
        if (problem) {
            log::warning("{} is left out: {}", entry.name, problem->message());
            continue;
        }
        found.back().run = entry.name;
    }
    if (found.empty()) {
        throw Error(ErrorCode::kIo, fmt::format("no run has left events in {}", folder))
            .with_hint("give the logging_dir of `lora train`, or the folder of one run in it");
    }
    std::stable_sort(found.begin(), found.end(), [](const RunHistory& a, const RunHistory& b) {
        return a.started > b.started;
    });
    return found;
}

std::vector<double> smoothed(const std::vector<double>& values, double weight) {
    std::vector<double> result;
    double sum = 0;
    double total = 0;
    for (const double value : values) {
        if (std::isfinite(value)) {
            sum = sum * (1 - weight) + value * weight;
            total = total * (1 - weight) + weight;
        }
        result.push_back(total > 0 ? sum / total : std::nan(""));
    }
    return result;
}

}  // namespace lora::train

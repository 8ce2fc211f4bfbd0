#include "train/events.h"

#include <fstream>

#include <fmt/format.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/wall_clock.h"

namespace lora::train {
namespace {

// Non-finite numbers have no JSON form; nlohmann writes null for them.
struct ToJson {
    OrderedJson operator()(const RunStarted& e) const {
        return {{"event", "run_started"},
                {"run", e.run},
                {"output_name", e.output_name},
                {"backend", e.backend},
                {"device", e.device},
                {"dtype", e.dtype},
                {"seed", e.seed},
                {"resumed_step", e.resumed_step}};
    }
    OrderedJson operator()(const PrecomputeProgress& e) const {
        return {{"event", "precompute_progress"}, {"done", e.done}, {"total", e.total}};
    }
    OrderedJson operator()(const PlanReady& e) const {
        OrderedJson buckets = OrderedJson::array();
        for (const PlanReady::Bucket& bucket : e.buckets) {
            buckets.push_back({{"width", bucket.width_px},
                               {"height", bucket.height_px},
                               {"count", bucket.count}});
        }
        return {{"event", "plan_ready"},
                {"images", e.images},
                {"buckets", buckets},
                {"steps", e.steps},
                {"epochs", e.epochs},
                {"planned_peak_bytes", e.planned_peak_bytes},
                {"estimated_s", e.estimated_s}};
    }
    OrderedJson operator()(const EpochStarted& e) const {
        return {{"event", "epoch_started"}, {"epoch", e.epoch}, {"epochs", e.epochs}};
    }
    OrderedJson operator()(const StepDone& e) const {
        OrderedJson json = {{"event", "step_done"},
                            {"step", e.step},
                            {"steps", e.steps},
                            {"epoch", e.epoch},
                            {"loss", e.loss},
                            {"average_loss", e.average_loss},
                            {"lr_unet", e.lr_unet},
                            {"lr_text_encoder", e.lr_text_encoder},
                            {"grad_norm", e.grad_norm},
                            {"step_ms", e.step_ms}};
        if (e.d > 0) {
            json["d"] = e.d;
            json["d_times_lr"] = e.d * std::max(e.lr_unet, e.lr_text_encoder);
        }
        if (e.relative_loss) json["relative_loss"] = *e.relative_loss;
        if (e.max_norm) {
            json["max_norm"] = {{"keys_scaled", e.max_norm->keys_scaled},
                                {"average_key_norm", e.max_norm->average},
                                {"max_key_norm", e.max_norm->largest}};
        }
        for (const auto& [name, rate] : e.group_rates) json["group_rates"][name] = rate;
        return json;
    }
    OrderedJson operator()(const FileSaved& e) const { return saved("file_saved", e); }
    OrderedJson operator()(const StateSaved& e) const { return saved("state_saved", e); }
    OrderedJson operator()(const PreviewDone& e) const {
        OrderedJson json = saved("preview_done", e);
        json["index"] = e.index;
        json["prompt"] = e.prompt;
        return json;
    }
    OrderedJson operator()(const WentBack& e) const {
        return {{"event", "went_back"},
                {"failed_step", e.failed_step},
                {"step", e.step},
                {"cause", e.cause},
                {"rate_factor", e.rate_factor}};
    }
    OrderedJson operator()(const BaseMeasured& e) const {
        OrderedJson points = OrderedJson::array();
        for (const ExpectedLoss::Point& point : e.points) {
            points.push_back({point.timestep, point.loss});
        }
        return {{"event", "base_measured"}, {"points", points}};
    }
    OrderedJson operator()(const ProbeDone& e) const {
        OrderedJson json = {{"event", "probe_done"},
                            {"step", e.step},
                            {"epoch", e.epoch},
                            {"loss", e.loss},
                            {"relative", e.relative}};
        if (e.layout) json["layout"] = *e.layout;
        if (e.form) json["form"] = *e.form;
        if (e.detail) json["detail"] = *e.detail;
        for (const auto& [name, value] : e.concepts) json["concepts"][name] = value;
        json["ms"] = e.ms;
        return json;
    }
    OrderedJson operator()(const ValidationDone& e) const {
        return {{"event", "validation_done"},
                {"step", e.step},
                {"epoch", e.epoch},
                {"ends_epoch", e.ends_epoch},
                {"loss", e.loss},
                {"divergence", e.divergence},
                {"ms", e.ms}};
    }
    OrderedJson operator()(const TurnedUp& e) const {
        return {{"event", "turned_up"},
                {"turn_step", e.turn_step},
                {"turn_epoch", e.turn_epoch},
                {"turn_loss", e.turn_loss},
                {"step", e.step},
                {"loss", e.loss}};
    }
    OrderedJson operator()(const AdvisedSave& e) const { return saved("advised_save", e); }
    OrderedJson operator()(const WeightSweep& e) const {
        return {{"event", "weight_sweep"},
                {"weights", e.weights},
                {"relative", e.relative},
                {"best", e.best}};
    }
    OrderedJson operator()(const RunEnded& e) const {
        OrderedJson json = {{"event", "run_ended"},
                            {"status", e.status},
                            {"step", e.step},
                            {"seconds", e.seconds},
                            {"average_loss", e.average_loss},
                            {"measured_peak_bytes", e.measured_peak_bytes},
                            {"output_file", e.output_file}};
        if (e.probe_relative) json["probe_relative"] = *e.probe_relative;
        if (e.probe_trend) json["probe_trend"] = *e.probe_trend;
        if (e.best_weight) json["best_weight"] = *e.best_weight;
        if (!e.advised_file.empty()) json["advised_file"] = e.advised_file;
        return json;
    }

private:
    template <typename E>
    static OrderedJson saved(const char* name, const E& e) {
        return {{"event", name}, {"path", e.path}, {"step", e.step}, {"epoch", e.epoch}};
    }
};

}  // namespace

void TeeSink::on_event(const Event& event) {
    for (EventSink* sink : sinks_) sink->on_event(event);
}

struct JsonLinesSink::Impl {
    std::string path;
    std::ofstream file;
};

JsonLinesSink::JsonLinesSink(const std::string& path) : impl_(std::make_unique<Impl>()) {
    make_directories(parent_path(path));
    impl_->path = path;
    impl_->file.open(to_path(path), std::ios::binary | std::ios::app);
    if (!impl_->file) throw Error(ErrorCode::kIo, fmt::format("cannot write {}", path));
}

JsonLinesSink::~JsonLinesSink() = default;

void JsonLinesSink::on_event(const Event& event) {
    impl_->file << event_json(event, unix_time()) << '\n';
    impl_->file.flush();
    if (!impl_->file) {
        throw Error(ErrorCode::kIo, fmt::format("cannot write to {}", impl_->path))
            .with_hint("is the disk full?");
    }
}

std::string event_json(const Event& event, double time) {
    OrderedJson json = std::visit(ToJson{}, event);
    json["time"] = time;
    return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

}  // namespace lora::train

#include "train/monitor.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>

#include "base/log.h"
#include "train/step_cost.h"

namespace lora::train {
namespace {

// Steps that are timed before the first interval is chosen, and kept.
constexpr size_t kFirstSteps = 4;
constexpr size_t kSteps = 32;

// Less than the 2 % that are promised: times vary, and one more probe is asked at the end.
constexpr double kMostCost = 0.015;

}  // namespace

int64_t probe_interval(double probe_ms, double step_ms) {
    const double steps = std::ceil(probe_ms / (kMostCost * std::max(step_ms, 1e-6)));
    return static_cast<int64_t>(std::clamp(steps, 1.0, 1e9));
}

void Monitor::set_measures(Probe* probe, Validation* validation) {
    parts_.probe = probe;
    parts_.validation = validation;
}

void Monitor::on_event(const Event& event) {
    const auto* saved = std::get_if<FileSaved>(&event);
    if (saved == nullptr) return;
    saved_.push_back(*saved);
    advise();
}

void Monitor::at_start(MonitorState& state) {
    if (!state.validations.empty()) turn_ = TurnWatch(state.validations).turn();
    if (parts_.probe == nullptr) return;
    if (parts_.probe->restore_base(state.base)) return;
    parts_.probe->measure_base(parts_.base_values);
    probe_ms_ = parts_.probe->repeated_ms();
    state.base = parts_.probe->expected().points();
    parts_.events->on_event(BaseMeasured{state.base});
}

void Monitor::go_back(const MonitorState& state, int64_t step) {
    const auto is_later = [step](const FileSaved& file) { return file.step > step; };
    std::erase_if(saved_, is_later);
    turn_ = TurnWatch(state.validations).turn();
    if (!turn_ || (advised_ && is_later(*advised_))) advised_.reset();
    next_probe_ = 0;
}

std::optional<double> Monitor::relative(std::span<const float> losses,
                                        std::span<const int64_t> timesteps) const {
    if (parts_.probe == nullptr || parts_.probe->expected().empty()) return std::nullopt;
    return parts_.probe->expected().relative(losses, timesteps);
}

void Monitor::after_step(MonitorState& state, const RunPlace& place, double step_ms) {
    if (step_ms_.size() == kSteps) step_ms_.erase(step_ms_.begin());
    step_ms_.push_back(step_ms);
    if (next_probe_ == 0 && step_ms_.size() >= kFirstSteps) schedule_probe(place.step);
    if (probe_is_due(place.step)) ask(state, place);
    const int64_t every = parts_.options->validate_every_n_steps;
    if (every > 0 && place.step % every == 0) validate(state, place, false);
}

void Monitor::after_epoch(MonitorState& state, const RunPlace& place) {
    const int64_t every = std::max<int64_t>(parts_.options->validate_every_n_epochs, 1);
    if (place.epoch % every == 0) validate(state, place, true);
}

void Monitor::schedule_probe(int64_t step) {
    // A forward pass of as many pictures as a step has, until one was timed.
    const double step_ms = median(step_ms_);
    const double probe_ms = probe_ms_ > 0 ? probe_ms_ : step_ms;
    next_probe_ = step + probe_interval(probe_ms, step_ms);
}

bool Monitor::probe_is_due(int64_t step) const {
    if (parts_.probe == nullptr) return false;
    const std::optional<int64_t> every = parts_.options->probe_every_n_steps;
    if (every) return *every > 0 && step % *every == 0;
    return next_probe_ > 0 && step >= next_probe_;
}

void Monitor::ask(MonitorState& state, const RunPlace& place) {
    const ProbeResult result = parts_.probe->ask();
    probe_ms_ = probe_ms_ > 0 ? std::min(probe_ms_, result.ms) : result.ms;
    // What was expensive has to be paid by more steps.
    if (!step_ms_.empty()) {
        schedule_probe(place.step);
        next_probe_ +=
            static_cast<int64_t>((result.ms - probe_ms_) / (kMostCost * median(step_ms_)));
    }
    state.probes.push_back({place.step, place.epoch, result.relative});
    parts_.events->on_event(ProbeDone{.step = place.step,
                                      .epoch = place.epoch,
                                      .loss = result.loss,
                                      .relative = result.relative,
                                      .layout = result.bands[0],
                                      .form = result.bands[1],
                                      .detail = result.bands[2],
                                      .concepts = result.concepts,
                                      .ms = result.ms});
}

void Monitor::validate(MonitorState& state, const RunPlace& place, bool ends_epoch) {
    if (parts_.validation == nullptr) return;
    const auto start = std::chrono::steady_clock::now();
    // Nothing has changed when this step was measured already.
    const bool is_known = !state.validations.empty() && state.validations.back().step == place.step;
    const double loss = is_known ? state.validations.back().value : parts_.validation->measure();
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
    parts_.events->on_event(ValidationDone{.step = place.step,
                                           .epoch = place.epoch,
                                           .ends_epoch = ends_epoch,
                                           .loss = loss,
                                           .divergence = loss - place.average_loss,
                                           .ms = took.count()});
    if (!is_known) judge(state, {place.step, place.epoch, loss});
}

void Monitor::judge(MonitorState& state, const CurvePoint& point) {
    TurnWatch watch(state.validations);
    const bool turns = watch.add(point);
    state.validations.push_back(point);
    turn_ = watch.turn();
    if (!turns) return;
    log::warning(
        "the validation loss has turned up: it was lowest at step {} (epoch {}), {:.4f}, and is "
        "{:.4f} now; from there on training memorises",
        turn_->step,
        turn_->epoch,
        turn_->value,
        point.value);
    parts_.events->on_event(TurnedUp{.turn_step = turn_->step,
                                     .turn_epoch = turn_->epoch,
                                     .turn_loss = turn_->value,
                                     .step = point.step,
                                     .loss = point.value});
    advised_.reset();
    advise();
}

// A little past the turn is best: not the file at it, the first one after.
void Monitor::advise() {
    if (!turn_ || advised_) return;
    for (const FileSaved& file : saved_) {
        if (file.step <= turn_->step) continue;
        advised_ = file;
        log::info("advised save: {}, the first after the turn (step {})", file.path, turn_->step);
        parts_.events->on_event(AdvisedSave{file.path, file.step, file.epoch});
        return;
    }
}

std::optional<double> Monitor::sweep() {
    constexpr std::array<double, 6> kWeights{0.4, 0.6, 0.8, 1.0, 1.2, 1.4};
    const std::vector<double> losses =
        parts_.probe->sweep(*parts_.network, parts_.base_values, kWeights);
    const double best = best_weight(kWeights, losses);
    log::info("the probe loss is least at weight {:.2f}: {}", best, verdict_of_weight(best));
    parts_.events->on_event(WeightSweep{{kWeights.begin(), kWeights.end()}, losses, best});
    return best;
}

MonitorVerdict Monitor::at_end(MonitorState& state, const RunPlace& place) {
    MonitorVerdict verdict;
    if (advised_) verdict.advised_file = advised_->path;
    const bool is_off = parts_.options->probe_every_n_steps == 0;
    if (parts_.probe == nullptr || is_off) return verdict;
    if (state.probes.empty() || state.probes.back().step != place.step) ask(state, place);
    verdict.probe_relative = state.probes.back().value;
    verdict.probe_trend = trend(state.probes);
    const char* words = "";
    if (verdict.probe_trend) {
        words = *verdict.probe_trend < kStillFalling ? ", still falling: more epochs would go on"
                                                     : ", no longer falling";
    }
    log::info("probe: {:.3f} of the base model's loss{}", *verdict.probe_relative, words);
    verdict.best_weight = sweep();
    return verdict;
}

}  // namespace lora::train

#include "train/recovery.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include <fmt/format.h>

#include "base/attempt.h"
#include "base/check.h"
#include "base/file.h"
#include "base/log.h"
#include "train/state_folders.h"

namespace lora::train {
namespace {

bool all_finite(std::span<const float> values) {
    return std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); });
}

bool all_finite(const StateContent& state) {
    if (state.slot.dtype != DType::kF32) return true;
    for (size_t at = 0; at + sizeof(float) <= state.bytes.size(); at += sizeof(float)) {
        float value = 0;
        std::memcpy(&value, state.bytes.data() + at, sizeof(value));
        if (!std::isfinite(value)) return false;
    }
    return true;
}

// The first entry that holds a value which is not finite.
const ParameterEntry* first_bad(const Network& network, std::span<const float> flat) {
    for (const ParameterEntry& entry : network.entries()) {
        const auto part =
            flat.subspan(static_cast<size_t>(entry.offset), static_cast<size_t>(entry.count));
        if (!all_finite(part)) return &entry;
    }
    return nullptr;
}

std::string largest_parameter(const Network& network, std::span<const float> flat) {
    const ParameterEntry* most = nullptr;
    float size = 0;
    for (const ParameterEntry& entry : network.entries()) {
        const auto first = static_cast<size_t>(entry.offset);
        for (size_t i = first; i < first + static_cast<size_t>(entry.count); ++i) {
            if (!(std::abs(flat[i]) > size)) continue;
            size = std::abs(flat[i]);
            most = &entry;
        }
    }
    if (most == nullptr) return "";
    return fmt::format("; the largest parameter is {:.3g}, in {}", size, most->key);
}

std::string bad_pictures(const data::BucketedDataset& data,
                         const data::Batch& batch,
                         const StepResult& result) {
    std::vector<std::string> names;
    for (size_t i = 0; i < result.losses.size() && i < batch.image_idx.size(); ++i) {
        if (std::isfinite(result.losses[i])) continue;
        names.push_back(data.dataset.images[static_cast<size_t>(batch.image_idx[i])].path);
    }
    if (names.empty()) return "";
    return fmt::format("the loss of {}", fmt::join(names, ", "));
}

}  // namespace

void Recovery::keep(const Progress& progress) {
    if (progress.step >= failed_step_ + kKeepEvery) failures_ = 0;
    if (kept_ && progress.step < kept_->progress.step + kKeepEvery) return;
    Kept now{progress,
             read_floats(*parts_.buffers->values),
             read_states_with(*parts_.optimizer, parts_.ema)};
    const bool is_good =
        all_finite(now.values) && std::all_of(now.states.begin(),
                                              now.states.end(),
                                              [](const StateContent& s) { return all_finite(s); });
    if (is_good || !kept_) kept_ = std::move(now);
}

std::optional<Recovery::Kept> Recovery::older_on_disk() const {
    std::optional<Kept> found;
    const auto problem = attempt([&] {
        const auto path =
            find_newest_state(*parts_.save, parts_.identity.session_id, kept_->progress.step - 1);
        if (!path) return;
        TrainState state =
            load_state(*path, *parts_.network, slots_with(*parts_.optimizer, parts_.ema));
        found = Kept{progress_of(state.summary), std::move(state.values), std::move(state.states)};
    });
    if (problem) log::warning("no state on disk is used: {}", problem->message());
    return found;
}

void Recovery::put_back() const {
    write_floats(*parts_.buffers->values, kept_->values);
    write_states_with(*parts_.optimizer, parts_.ema, kept_->states);
    parts_.buffers->gradients->fill_zero();
}

std::optional<Progress> Recovery::go_back(const Progress& failed) {
    LORA_CHECK(kept_.has_value(), "nothing was kept");
    ++failures_;
    failed_step_ = failed.step + 1;
    if (failures_ == 2) {
        if (auto older = older_on_disk()) kept_ = std::move(older);
    }
    put_back();
    if (failures_ >= kMostFailures) return std::nullopt;
    // Kept too, so that a later failure from here is again at a smaller rate.
    kept_->progress.rate_factor = failed.rate_factor * kRateFactor;
    return kept_->progress;
}

std::string numeric_cause(const Network& network,
                          const ParameterBuffers& buffers,
                          const data::BucketedDataset& data,
                          const data::Batch& batch,
                          const StepResult& result) {
    const std::vector<float> values = read_floats(*buffers.values);
    const std::vector<float> gradients = read_floats(*buffers.gradients);
    const ParameterEntry* bad_value = first_bad(network, values);
    const ParameterEntry* bad_gradient = first_bad(network, gradients);
    // A bad gradient with a good loss has made the parameters bad, and not they it.
    const bool is_backward = std::isfinite(result.loss) && bad_gradient != nullptr;
    if (bad_value != nullptr && !is_backward) {
        return fmt::format("parameter {} is not finite", bad_value->key);
    }
    std::vector<std::string> causes;
    if (std::string pictures = bad_pictures(data, batch, result); !pictures.empty()) {
        causes.push_back(std::move(pictures));
    }
    if (bad_gradient != nullptr) {
        causes.push_back(fmt::format("the gradient of {}", bad_gradient->key));
    }
    const std::string what = causes.empty() ? "no tensor that could be looked at"
                                            : fmt::format("{}", fmt::join(causes, " and "));
    return fmt::format("{} is not finite{}", what, largest_parameter(network, values));
}

}  // namespace lora::train

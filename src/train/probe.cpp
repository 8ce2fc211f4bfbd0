#include "train/probe.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <numeric>

#include "base/check.h"
#include "base/hash.h"
#include "train/step_inputs.h"

namespace lora::train {
namespace {

// A forward pass takes about a third of a training step's time.
constexpr double kForwardShare = 1.0 / 3;
constexpr double kBaseShare = 0.01;     // of the run, for asking the base model
constexpr double kRepeatShare = 0.016;  // for a dozen times of asking the model as it stands
constexpr int64_t kEvaluations = 12;
constexpr size_t kMostBuckets = 3;

double now_ms() {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return std::chrono::duration<double, std::milli>(now).count();
}

// The k-th of points that fill 0..1 evenly, however many there are (golden ratio).
double spread(int64_t k) {
    constexpr double kGolden = 0.6180339887498949;
    const double x = 0.5 + kGolden * static_cast<double>(k);
    return x - std::floor(x);
}

struct Pool {
    int64_t bucket_idx = 0;
    std::vector<int64_t> images;
    size_t next = 0;
    int64_t batches = 0;
};

// The fullest buckets first.
std::vector<Pool> fullest_buckets(const data::BucketedDataset& data,
                                  const std::vector<int64_t>& wanted) {
    std::vector<Pool> pools(data.buckets.size());
    for (size_t b = 0; b < pools.size(); ++b) pools[b].bucket_idx = static_cast<int64_t>(b);
    for (size_t i = 0; i < data.dataset.images.size(); ++i) {
        if (data.dataset.images[i].is_reg) continue;
        const auto idx = static_cast<int64_t>(i);
        if (!wanted.empty() && std::find(wanted.begin(), wanted.end(), idx) == wanted.end()) {
            continue;
        }
        pools[static_cast<size_t>(data.bucket_idx[i])].images.push_back(idx);
    }
    std::erase_if(pools, [](const Pool& pool) { return pool.images.empty(); });
    std::stable_sort(pools.begin(), pools.end(), [](const Pool& a, const Pool& b) {
        return a.images.size() > b.images.size();
    });
    if (pools.size() > kMostBuckets) pools.resize(kMostBuckets);
    return pools;
}

// The pool that has had the fewest batches for its pictures.
Pool& neediest(std::vector<Pool>& pools) {
    return *std::min_element(pools.begin(), pools.end(), [](const Pool& a, const Pool& b) {
        const auto served = [](const Pool& pool) {
            return static_cast<double>(pool.batches) / static_cast<double>(pool.images.size());
        };
        return served(a) < served(b);
    });
}

size_t band_of(int64_t timestep) {
    if (timestep >= 667) return 0;
    return timestep >= 333 ? 1 : 2;
}

}  // namespace

ProbePlanOptions probe_budget(int64_t run_samples, int64_t batch_size, bool wanted) {
    constexpr int64_t kLeast = 8;
    constexpr int64_t kMost = 64;
    constexpr int64_t kLeastRepeated = 4;
    constexpr int64_t kMostRepeated = 24;
    const auto samples = static_cast<double>(run_samples);
    const auto base = static_cast<int64_t>(kBaseShare / kForwardShare * samples);
    if (base < kLeast && !wanted) return {.batch_size = batch_size};
    const auto repeated =
        static_cast<int64_t>(kRepeatShare / kForwardShare * samples) / kEvaluations;
    return {.batch_size = batch_size,
            .num_samples = std::clamp(base, kLeast, kMost),
            .num_repeated = std::clamp(repeated, kLeastRepeated, kMostRepeated)};
}

ProbePlan plan_probe(const data::BucketedDataset& data, const ProbePlanOptions& options) {
    ProbePlan plan;
    std::vector<Pool> pools = fullest_buckets(data, options.images);
    if (options.num_samples == 0 || pools.empty()) return plan;
    const int64_t num_batches = std::max<int64_t>(1, options.num_samples / options.batch_size);
    int64_t sample = 0;
    const int64_t range = options.max_timestep - options.min_timestep;
    for (int64_t i = 0; i < num_batches; ++i) {
        Pool& pool = neediest(pools);
        ++pool.batches;
        ProbeBatch next{{pool.bucket_idx, {}}, {}};
        const auto bucket = static_cast<size_t>(pool.bucket_idx);
        const int64_t batch = data.buckets[bucket].batch(options.batch_size);
        for (int64_t k = 0; k < batch; ++k, ++sample) {
            const int64_t image = pool.images[pool.next++ % pool.images.size()];
            next.pictures.slots.push_back(data.first_slot[static_cast<size_t>(image)]);
            const auto offset = static_cast<int64_t>(
                spread(sample) * static_cast<double>(std::max<int64_t>(range, 1)));
            next.timesteps.push_back(std::min<int64_t>(options.min_timestep + offset, 999));
        }
        plan.batches.push_back(std::move(next));
    }
    plan.num_repeated = static_cast<size_t>(std::clamp<int64_t>(
        (options.num_repeated + options.batch_size / 2) / options.batch_size, 1, num_batches));
    return plan;
}

Probe::Probe(Parts parts, const ProbePlan& plan)
    : parts_(std::move(parts)), num_repeated_(plan.num_repeated) {
    data::LoaderOptions options = parts_.loader;
    options.never_flips = true;
    options.plain_captions = true;
    const data::BatchMaker maker(*parts_.data, std::move(options), parts_.latents);
    // Noise that no training step draws.
    const uint64_t seed = fnv1a64("probe") ^ parts_.seed;
    const data::Dataset& dataset = parts_.data->dataset;
    for (size_t i = 0; i < plan.batches.size(); ++i) {
        data::Batch batch = maker.make_of(plan.batches[i].pictures);
        if (parts_.fill_masks) parts_.fill_masks(batch);
        Question question{make_step_inputs(batch, *parts_.loss, seed, static_cast<int64_t>(i)), {}};
        question.inputs.timesteps = plan.batches[i].timesteps;
        std::fill(question.inputs.loss_weights.begin(), question.inputs.loss_weights.end(), 1.0F);
        for (const int64_t image : batch.image_idx) {
            const auto folder = dataset.images[static_cast<size_t>(image)].folder_idx;
            question.concepts.push_back(dataset.folders[static_cast<size_t>(folder)].name);
        }
        questions_.push_back(std::move(question));
    }
}

std::vector<float> Probe::answers(size_t first, size_t count) {
    std::vector<float> losses;
    for (size_t i = first; i < first + count; ++i) {
        const StepResult result = parts_.evaluator->run(questions_[i].inputs);
        losses.insert(losses.end(), result.losses.begin(), result.losses.end());
    }
    return losses;
}

void Probe::measure_base(std::span<const float> base) {
    const std::vector<float> now = read_floats(*parts_.buffers->values);
    write_floats(*parts_.buffers->values, base);
    std::vector<ExpectedLoss::Point> points;
    double fastest_ms = 1e30;
    for (size_t i = 0; i < questions_.size(); ++i) {
        const double start = now_ms();
        const std::vector<float> losses = answers(i, 1);
        fastest_ms = std::min(fastest_ms, now_ms() - start);
        for (size_t k = 0; k < losses.size(); ++k) {
            points.push_back({questions_[i].inputs.timesteps[k], static_cast<double>(losses[k])});
        }
    }
    write_floats(*parts_.buffers->values, now);
    repeated_ms_ = fastest_ms * static_cast<double>(num_repeated_);
    LORA_CHECK(restore_base(points), "the base model's answers fit the questions");
}

bool Probe::restore_base(const std::vector<ExpectedLoss::Point>& points) {
    std::vector<int64_t> asked;
    size_t num_repeated = 0;
    for (size_t i = 0; i < questions_.size(); ++i) {
        const auto& timesteps = questions_[i].inputs.timesteps;
        asked.insert(asked.end(), timesteps.begin(), timesteps.end());
        if (i + 1 == num_repeated_) num_repeated = asked.size();
    }
    const bool is_same =
        points.size() >= num_repeated && !points.empty() && points.size() == asked.size() &&
        std::equal(asked.begin(), asked.end(), points.begin(), [](int64_t t, const auto& point) {
            return t == point.timestep;
        });
    if (!is_same) return false;
    base_losses_.clear();
    for (size_t i = 0; i < num_repeated; ++i) base_losses_.push_back(points[i].loss);
    expected_ = ExpectedLoss(points);
    questions_.resize(num_repeated_);  // the others are not asked again
    return true;
}

double Probe::relative_of(std::span<const float> losses) const {
    double sum = 0;
    for (size_t i = 0; i < losses.size(); ++i) {
        sum += static_cast<double>(losses[i]) / base_losses_[i];
    }
    return sum / static_cast<double>(losses.size());
}

ProbeResult Probe::ask() {
    const double start = now_ms();
    const std::vector<float> losses = answers(0, num_repeated_);
    ProbeResult result;
    result.ms = now_ms() - start;
    result.relative = relative_of(losses);
    result.loss =
        std::accumulate(losses.begin(), losses.end(), 0.0) / static_cast<double>(losses.size());
    struct Mean {
        double sum = 0;
        int64_t count = 0;
    };
    std::array<Mean, 3> bands{};
    std::map<std::string, Mean> concepts;
    size_t at = 0;
    for (const Question& question : questions_) {
        for (size_t i = 0; i < question.concepts.size(); ++i, ++at) {
            const double ratio = static_cast<double>(losses[at]) / base_losses_[at];
            for (Mean* mean :
                 {&bands[band_of(question.inputs.timesteps[i])], &concepts[question.concepts[i]]}) {
                mean->sum += ratio;
                ++mean->count;
            }
        }
    }
    for (size_t i = 0; i < bands.size(); ++i) {
        if (bands[i].count > 0)
            result.bands[i] = bands[i].sum / static_cast<double>(bands[i].count);
    }
    if (concepts.size() < 2) return result;
    for (const auto& [name, mean] : concepts) {
        result.concepts.emplace_back(name, mean.sum / static_cast<double>(mean.count));
    }
    return result;
}

std::vector<double> Probe::sweep(const Network& network,
                                 std::span<const float> base,
                                 std::span<const double> weights) {
    const std::vector<float> values = read_floats(*parts_.buffers->values);
    std::vector<double> found;
    for (const double weight : weights) {
        std::vector<float> scaled = values;
        for (const ParameterEntry& entry : network.entries()) {
            const auto first = static_cast<size_t>(entry.offset);
            const auto end = first + static_cast<size_t>(entry.count);
            const std::span<const float> start = base.subspan(first, end - first);
            const bool starts_at_zero =
                std::all_of(start.begin(), start.end(), [](float value) { return value == 0; });
            if (!starts_at_zero) continue;
            for (size_t i = first; i < end; ++i) scaled[i] *= static_cast<float>(weight);
        }
        write_floats(*parts_.buffers->values, scaled);
        found.push_back(relative_of(answers(0, num_repeated_)));
    }
    write_floats(*parts_.buffers->values, values);
    return found;
}

double best_weight(std::span<const double> weights, std::span<const double> losses) {
    LORA_CHECK(weights.size() == losses.size() && !weights.empty());
    const auto lowest = std::min_element(losses.begin(), losses.end()) - losses.begin();
    const auto i = static_cast<size_t>(lowest);
    if (i == 0 || i + 1 == losses.size()) return weights[i];
    // Weights need not be equally far apart: the vertex by divided differences.
    const double left = (losses[i] - losses[i - 1]) / (weights[i] - weights[i - 1]);
    const double right = (losses[i + 1] - losses[i]) / (weights[i + 1] - weights[i]);
    const double bend = (right - left) / (weights[i + 1] - weights[i - 1]);
    if (!(bend > 0)) return weights[i];
    return 0.5 * (weights[i - 1] + weights[i]) - 0.5 * left / bend;
}

}  // namespace lora::train

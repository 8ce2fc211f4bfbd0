#include "train/internal/picture_network.h"

#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "base/attempt.h"
#include "base/error.h"
#include "base/log.h"
#include "plan/memory_plan.h"

namespace lora::train {
namespace {

// Runners that are kept; they share the backend's arena, so that only their plans cost memory.
constexpr size_t kMaxRunners = 32;

Shape with_batch(const Shape& shape, int64_t batch) {
    return {batch, shape[1], shape[2], shape[3]};
}

Shape tile_shape(const Shape& shape, int64_t batch, const TileLayout* layout) {
    if (layout == nullptr) return with_batch(shape, batch);
    return {batch, shape[1], std::min(shape[2], layout->tile), std::min(shape[3], layout->tile)};
}

// Pictures [begin, begin + count) of the input.
TensorView pictures(const TensorView& input, int64_t begin, int64_t count) {
    const size_t one = input.bytes.size() / static_cast<size_t>(input.shape[0]);
    return {
        input.dtype,
        with_batch(input.shape, count),
        input.bytes.subspan(static_cast<size_t>(begin) * one, static_cast<size_t>(count) * one)};
}

Tensor stacked(const std::vector<std::vector<Tensor>>& groups, size_t output, int64_t batch) {
    Tensor all(DType::kF32, with_batch(groups.front()[output].shape(), batch));
    auto target = all.bytes().begin();
    for (const std::vector<Tensor>& group : groups) {
        target = std::ranges::copy(group[output].bytes(), target).out;
    }
    return all;
}

}  // namespace

PictureNetwork::PictureNetwork(backend::Backend& backend,
                               WeightStore& weights,
                               PictureGraph graph,
                               size_t max_arena_bytes)
    : backend_(&backend),
      weights_(&weights),
      graph_(std::move(graph)),
      max_arena_bytes_(max_arena_bytes) {}

size_t PictureNetwork::planned_bytes(const Shape& input) const {
    return plan::make_plan(graph_.build(input), backend_->capabilities()).arena_bytes;
}

PictureNetwork::Way PictureNetwork::find_way(const Shape& input) const {
    std::vector<Way> ways = {{.batch = input[0]}};
    if (input[0] > 1) ways.push_back({});
    for (const TileLayout& layout : graph_.tiles) {
        if (layout.tile < std::max(input[2], input[3])) ways.push_back({.layout = &layout});
    }
    for (Way& way : ways) {
        way.arena_bytes = planned_bytes(tile_shape(input, way.batch, way.layout));
        if (max_arena_bytes_ == 0 || way.arena_bytes <= max_arena_bytes_) return way;
    }
    throw Error(
        ErrorCode::kOutOfMemory,
        fmt::format("a picture of {} needs at least {} MiB of working memory in the VAE, the "
                    "limit is {} MiB",
                    input.to_string(),
                    ways.back().arena_bytes >> 20U,
                    max_arena_bytes_ >> 20U))
        .with_hint("raise max_memory or lower the resolution");
}

const PictureNetwork::Way& PictureNetwork::way_for(const Shape& input) {
    const std::string key = input.to_string();
    if (const auto it = ways_.find(key); it != ways_.end()) return it->second;
    return ways_[key] = find_way(input);
}

size_t PictureNetwork::arena_bytes(const Shape& input) { return way_for(input).arena_bytes; }

std::vector<Tensor> PictureNetwork::run_at_once(const TensorView& input) {
    const std::string key = input.shape.to_string();
    if (runners_.size() >= kMaxRunners && !runners_.contains(key)) runners_.clear();
    std::unique_ptr<GraphRunner>& runner = runners_[key];
    if (!runner) {
        runner = std::make_unique<GraphRunner>(
            *backend_, *weights_, graph_.build(input.shape), GraphRunner::Options{});
    }
    runner->set(graph_.input, input);
    runner->run();
    std::vector<Tensor> results;
    for (const std::string& name : graph_.outputs) results.push_back(runner->get(name));
    return results;
}

std::vector<Tensor> PictureNetwork::run_by(const Way& way, const TensorView& input) {
    const int64_t batch = input.shape[0];
    const auto group = [&](const TensorView& some) {
        if (way.layout == nullptr) return run_at_once(some);
        return run_in_tiles(
            some, *way.layout, [this](const Tensor& tile) { return run_at_once(tile.view()); });
    };
    if (way.batch >= batch) return group(input);
    std::vector<std::vector<Tensor>> groups;
    for (int64_t i = 0; i < batch; i += way.batch) {
        groups.push_back(group(pictures(input, i, std::min(way.batch, batch - i))));
    }
    std::vector<Tensor> results;
    for (size_t i = 0; i < graph_.outputs.size(); ++i) results.push_back(stacked(groups, i, batch));
    return results;
}

std::vector<Tensor> PictureNetwork::run(const TensorView& input) {
    while (true) {
        const Way way = way_for(input.shape);
        std::vector<Tensor> results;
        const auto wrong = attempt([&] { results = run_by(way, input); });
        if (!wrong) {
            if (way.layout != nullptr && !has_told_tiles_) {
                log::warning(
                    "pictures of this size go through the VAE in tiles; colours may differ between "
                    "them");
                has_told_tiles_ = true;
            }
            return results;
        }
        if (wrong->code() != ErrorCode::kOutOfMemory || way.arena_bytes <= 1) throw *wrong;
        // The device is fuller than planned: the next smaller way, from now on.
        max_arena_bytes_ = way.arena_bytes - 1;
        ways_.clear();
        runners_.clear();
        if (attempt([&] { (void)way_for(input.shape); })) throw *wrong;
        log::info("no room for {} MiB in the VAE: its pictures are split", way.arena_bytes >> 20U);
    }
}

}  // namespace lora::train

#include "backend/cuda/internal/tuner.h"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "base/attempt.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"

namespace lora::cuda {
namespace {

constexpr int kRounds = 3;
constexpr int kRunsARound = 3;

std::string shape_key(const ProductShape& s) {
    return fmt::format("{} {} {}x{}x{}+{} {} {} {} {}{}",
                       static_cast<int>(s.kind),
                       dtype_name(s.dtype),
                       s.m,
                       s.n,
                       s.k,
                       s.k2,
                       s.channels,
                       s.width,
                       s.stride,
                       s.vector ? 'v' : '-',
                       s.wide ? 'w' : '-');
}

uint64_t build_hash() {
    std::string all;
    for (const EmbeddedKernels& kernels : embedded_kernels()) {
        all += fmt::format("{} {:x};",
                           kernels.file,
                           fnv1a64({static_cast<const char*>(kernels.image), kernels.size_bytes}));
    }
    return fnv1a64(all);
}

}  // namespace

Tuner::Tuner(std::shared_ptr<Card> card, std::shared_ptr<Products> products, std::string cache_path)
    : card_(std::move(card)),
      products_(std::move(products)),
      cache_path_(std::move(cache_path)),
      key_(fmt::format(
          "{} {} {:016x}", card_->info().name, card_->info().driver_version, build_hash())) {
    if (!cache_path_.empty()) load();
}

void Tuner::load() {
    if (!path_exists(cache_path_)) return;
    const std::optional<Error> wrong = attempt([this] {
        const Json json = parse_json(read_text_file(cache_path_), cache_path_);
        const auto of_this = json.find(key_);
        if (!json.is_object() || of_this == json.end() || !of_this->is_object()) return;
        for (const auto& [shape, choice] : of_this->items()) {
            if (!choice.is_array() || choice.size() != 2 || !choice[0].is_string() ||
                !choice[1].is_number_integer()) {
                continue;
            }
            products_->remember(shape, {choice[0].get<std::string>(), choice[1].get<int>()});
        }
    });
    if (wrong) log::warning("{} is made anew: {}", cache_path_, wrong->message());
}

double Tuner::time_us(const std::function<void()>& run) {
    const Driver& driver = card_->driver();
    DriverHandle begin = nullptr;
    DriverHandle end = nullptr;
    driver.check(driver.create_event(&begin, 0), "making an event");
    driver.check(driver.create_event(&end, 0), "making an event");
    run();
    double best = std::numeric_limits<double>::infinity();
    for (int round = 0; round < kRounds; ++round) {
        driver.check(driver.record_event(begin, card_->stream()), "recording an event");
        for (int i = 0; i < kRunsARound; ++i) run();
        driver.check(driver.record_event(end, card_->stream()), "recording an event");
        card_->synchronize();
        float ms = 0;
        driver.check(driver.elapsed_ms(&ms, begin, end), "reading a time");
        best = std::min(best, 1e3 * static_cast<double>(ms) / kRunsARound);
    }
    driver.destroy_event(begin);
    driver.destroy_event(end);
    return best;
}

void Tuner::decide(const ProductShape& shape, const std::function<Launches()>& launches) {
    if (products_->lookup(shape)) return;
    const std::vector<ProductConfig> candidates = candidate_configs(card_->info(), shape);
    const std::string key = shape_key(shape);
    if (const auto known = products_->recall(key)) {
        const std::optional<int> tile = find_product_tile(known->tile, shape.kind);
        const ProductConfig config{tile.value_or(-1), known->splits};
        if (std::find(candidates.begin(), candidates.end(), config) != candidates.end()) {
            products_->set(shape, config);
            return;
        }
    }
    ProductConfig best = candidates.front();
    double best_us = std::numeric_limits<double>::infinity();
    for (const ProductConfig& candidate : candidates) {
        products_->set(shape, candidate);
        double us = 0;
        if (candidates.size() > 1) {
            const Launches made = launches();
            us = time_us([&] {
                for (const Launch& launch : made) card_->launch(launch);
            });
        }
        log::debug("{}: {} / {} takes {:.1f} us",
                   key,
                   product_tile_name(candidate.tile),
                   candidate.splits,
                   us);
        if (us >= best_us) continue;
        best = candidate;
        best_us = us;
    }
    products_->set(shape, best);
    products_->remember(key, {std::string(product_tile_name(best.tile)), best.splits});
    ++num_decided_;
    changed_ = true;
}

void Tuner::save() {
    if (!changed_ || cache_path_.empty()) return;
    changed_ = false;
    const std::optional<Error> wrong = attempt([this] {
        Json json = Json::object();
        if (path_exists(cache_path_)) {
            static_cast<void>(
                attempt([&] { json = parse_json(read_text_file(cache_path_), cache_path_); }));
        }
        if (!json.is_object()) json = Json::object();
        Json& of_this = json[key_];
        of_this = Json::object();
        for (const auto& [shape, choice] : products_->remembered()) {
            of_this[shape] = {choice.tile, choice.splits};
        }
        make_directories(parent_path(cache_path_));
        write_file_atomically(cache_path_, json.dump(1) + "\n");
    });
    if (wrong) log::debug("kernel choices are not kept: {}", wrong->message());
}

}  // namespace lora::cuda

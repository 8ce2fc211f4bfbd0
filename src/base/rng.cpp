#include "base/rng.h"

#include <cmath>
#include <numbers>

#include "base/check.h"

namespace lora {

std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
    constexpr uint64_t kMul0 = 0xD2511F53;
    constexpr uint64_t kMul1 = 0xCD9E8D57;
    constexpr uint32_t kWeyl0 = 0x9E3779B9;
    constexpr uint32_t kWeyl1 = 0xBB67AE85;
    for (int round = 0; round < 10; ++round) {
        const uint64_t p0 = kMul0 * counter[0];
        const uint64_t p1 = kMul1 * counter[2];
        counter = {static_cast<uint32_t>(p1 >> 32) ^ counter[1] ^ key[0],
                   static_cast<uint32_t>(p1),
                   static_cast<uint32_t>(p0 >> 32) ^ counter[3] ^ key[1],
                   static_cast<uint32_t>(p0)};
        key = {key[0] + kWeyl0, key[1] + kWeyl1};
    }
    return counter;
}

// Counter words: position, b, a low, a high mixed with the purpose. The purpose takes the upper
// 8 bits of the position's word partner so that no two streams of one seed share a counter.
Rng::Rng(uint64_t seed, RngStream purpose, uint64_t a, uint32_t b)
    : key_{static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)},
      counter_{0,
               b,
               static_cast<uint32_t>(a),
               static_cast<uint32_t>(a >> 32) ^ (static_cast<uint32_t>(purpose) << 24)} {}

uint32_t Rng::next_u32() {
    if (used_ == 4) {
        block_ = philox4x32(counter_, key_);
        ++counter_[0];
        used_ = 0;
    }
    return block_[static_cast<size_t>(used_++)];
}

uint64_t Rng::next_u64() {
    const uint64_t low = next_u32();
    return low | (static_cast<uint64_t>(next_u32()) << 32);
}

float Rng::uniform() { return static_cast<float>(next_u32() >> 8) * (1.0F / 16777216.0F); }

uint64_t Rng::below(uint64_t n) {
    LORA_CHECK(n > 0);
    const uint64_t limit = UINT64_MAX - UINT64_MAX % n;
    uint64_t value = next_u64();
    while (value >= limit) value = next_u64();
    return value % n;
}

float Rng::normal() {
    if (has_spare_) {
        has_spare_ = false;
        return spare_;
    }
    // (0, 1]: the logarithm never sees zero.
    const double u1 = (static_cast<double>(next_u32()) + 1.0) / 4294967296.0;
    const double u2 = static_cast<double>(next_u32()) / 4294967296.0;
    const double radius = std::sqrt(-2.0 * std::log(u1));
    const double angle = 2.0 * std::numbers::pi * u2;
    spare_ = static_cast<float>(radius * std::sin(angle));
    has_spare_ = true;
    return static_cast<float>(radius * std::cos(angle));
}

void Rng::fill_normal(std::span<float> dst) {
    for (float& value : dst) value = normal();
}

}  // namespace lora

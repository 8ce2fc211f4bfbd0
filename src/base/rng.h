// Counter-based random numbers (Philox 4x32-10): a pure function of key and counter, so results
// depend on (seed, stream) and never on threads or time.
// Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC11); same integers on
// every backend.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace lora {

// One Philox 4x32-10 block: four 32-bit words for a 128-bit counter and 64-bit key.
[[nodiscard]] std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter,
                                                 std::array<uint32_t, 2> key);

// What a stream is for; part of its key so that streams of one seed never meet.
enum class RngStream : uint32_t {
    kLoraInit = 1,
    kShuffle = 2,
    kCaption = 3,
    kFlip = 4,
    kCrop = 5,
    kTimestep = 6,
    kNoise = 7,
    kPosterior = 8,
    kSampler = 9,
    kSession = 10,
    kProbe = 11,
    kTest = 12,
    kDropout = 13,
};

// A sequence of numbers from the stream (seed, purpose, a, b). Copyable; not thread-safe.
// a and b name the place: step and sample, or epoch and picture.
class Rng {
public:
    explicit Rng(uint64_t seed,
                 RngStream purpose = RngStream::kTest,
                 uint64_t a = 0,
                 uint32_t b = 0);

    [[nodiscard]] uint32_t next_u32();
    [[nodiscard]] uint64_t next_u64();
    // Uniform in [0, 1), 24 bits.
    [[nodiscard]] float uniform();
    // Uniform integer in [0, n), n > 0, without bias.
    [[nodiscard]] uint64_t below(uint64_t n);
    // Standard normal (Box-Muller in double, two at a time).
    [[nodiscard]] float normal();
    void fill_normal(std::span<float> dst);

    // Fisher-Yates.
    template <typename T>
    void shuffle(std::vector<T>& items) {
        for (size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[below(i)]);
    }

private:
    std::array<uint32_t, 2> key_;
    std::array<uint32_t, 4> counter_;
    std::array<uint32_t, 4> block_{};
    int used_ = 4;
    bool has_spare_ = false;
    float spare_ = 0;
};

}  // namespace lora

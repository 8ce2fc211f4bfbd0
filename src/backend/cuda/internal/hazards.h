// Which launches must wait for which: from the byte ranges that each reads and writes. Launches
// that share no written byte run side by side in the CUDA graph. Threads  plain value.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "backend/cuda/internal/device.h"

namespace lora::cuda {

struct ByteRange {
    DevicePtr begin = 0;
    size_t size_bytes = 0;
};

class Hazards {
public:
    // Adds the next launch; returns the launches before it that it must wait for, without those
    // that others of them wait for already (transitive reduction), ascending.
    std::vector<int32_t> add(std::span<const ByteRange> reads, std::span<const ByteRange> writes);

private:
    // Bytes with one history: who wrote them last, and who has read them since.
    struct Segment {
        DevicePtr end = 0;
        int32_t writer = -1;
        std::vector<int32_t> readers;
    };
    using Segments = std::map<DevicePtr, Segment>;

    // Cuts segments so that the range is covered exactly; returns its first segment.
    Segments::iterator cover(const ByteRange& range);
    void split(DevicePtr at);
    [[nodiscard]] bool waits_for(int32_t launch, int32_t earlier) const;
    std::vector<int32_t> reduce(std::vector<int32_t> wanted);

    Segments segments_;
    std::vector<std::vector<uint64_t>> ancestors_;  // by launch: bit set of all it waits for
};

}  // namespace lora::cuda

#include "backend/cuda/internal/hazards.h"

#include <algorithm>

namespace lora::cuda {

void Hazards::split(DevicePtr at) {
    auto next = segments_.upper_bound(at);
    if (next == segments_.begin()) return;
    auto before = std::prev(next);
    if (before->first == at || before->second.end <= at) return;
    Segment tail = before->second;
    before->second.end = at;
    segments_.emplace_hint(next, at, std::move(tail));
}

Hazards::Segments::iterator Hazards::cover(const ByteRange& range) {
    const DevicePtr end = range.begin + range.size_bytes;
    split(range.begin);
    split(end);
    // Bytes that nobody has touched become segments of their own.
    DevicePtr at = range.begin;
    auto it = segments_.lower_bound(at);
    while (at < end) {
        if (it == segments_.end() || it->first > at) {
            const DevicePtr gap_end =
                it == segments_.end() ? end : std::min<DevicePtr>(end, it->first);
            it = segments_.emplace_hint(it, at, Segment{gap_end, -1, {}});
        }
        at = it->second.end;
        ++it;
    }
    return segments_.lower_bound(range.begin);
}

bool Hazards::waits_for(int32_t launch, int32_t earlier) const {
    const std::vector<uint64_t>& bits = ancestors_[static_cast<size_t>(launch)];
    const auto word = static_cast<size_t>(earlier) / 64;
    return word < bits.size() && (bits[word] >> (static_cast<size_t>(earlier) % 64) & 1U) != 0;
}

std::vector<int32_t> Hazards::reduce(std::vector<int32_t> wanted) {
    std::sort(wanted.begin(), wanted.end(), std::greater<>());
    wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());
    std::vector<int32_t> kept;
    for (const int32_t candidate : wanted) {
        const bool implied = std::any_of(
            kept.begin(), kept.end(), [&](int32_t k) { return waits_for(k, candidate); });
        if (!implied) kept.push_back(candidate);
    }
    std::reverse(kept.begin(), kept.end());
    return kept;
}

std::vector<int32_t> Hazards::add(std::span<const ByteRange> reads,
                                  std::span<const ByteRange> writes) {
    const auto self = static_cast<int32_t>(ancestors_.size());
    std::vector<int32_t> wanted;
    for (const ByteRange& range : reads) {
        const DevicePtr end = range.begin + range.size_bytes;
        for (auto it = cover(range); it != segments_.end() && it->first < end; ++it) {
            if (it->second.writer >= 0 && it->second.writer != self) {
                wanted.push_back(it->second.writer);
            }
            it->second.readers.push_back(self);
        }
    }
    for (const ByteRange& range : writes) {
        if (range.size_bytes == 0) continue;
        const DevicePtr end = range.begin + range.size_bytes;
        const auto first = cover(range);
        auto it = first;
        for (; it != segments_.end() && it->first < end; ++it) {
            if (it->second.writer >= 0) wanted.push_back(it->second.writer);
            wanted.insert(wanted.end(), it->second.readers.begin(), it->second.readers.end());
        }
        segments_.erase(first, it);
        segments_[range.begin] = Segment{end, self, {}};
    }
    std::erase(wanted, self);
    std::vector<int32_t> waits = reduce(std::move(wanted));
    std::vector<uint64_t> bits(static_cast<size_t>(self) / 64 + 1, 0);
    for (const int32_t earlier : waits) {
        const std::vector<uint64_t>& theirs = ancestors_[static_cast<size_t>(earlier)];
        for (size_t i = 0; i < theirs.size(); ++i) bits[i] |= theirs[i];
        bits[static_cast<size_t>(earlier) / 64] |= uint64_t{1} << (earlier % 64);
    }
    ancestors_.push_back(std::move(bits));
    return waits;
}

}  // namespace lora::cuda

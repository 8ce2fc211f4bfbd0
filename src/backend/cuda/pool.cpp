#include "backend/cuda/internal/pool.h"

#include <algorithm>

#include "base/check.h"

namespace lora::cuda {
namespace {

constexpr size_t kAlignment = 256;
constexpr size_t kPieceBytes = size_t{32} << 20;
constexpr size_t kDriverBytes = size_t{2} << 20;

size_t round_up_to(size_t bytes, size_t step) { return (bytes + step - 1) / step * step; }
size_t taken_bytes(size_t bytes) { return std::max(kAlignment, round_up_to(bytes, kAlignment)); }

}  // namespace

DevicePtr Pool::take(size_t size_bytes) {
    const size_t size = taken_bytes(size_bytes);
    auto best = gaps_.end();
    for (auto it = gaps_.begin(); it != gaps_.end(); ++it) {
        if (it->second >= size && (best == gaps_.end() || it->second < best->second)) best = it;
    }
    if (best == gaps_.end()) {
        const size_t bytes = std::max(kPieceBytes, round_up_to(size, kDriverBytes));
        auto piece = std::make_unique<DeviceMemory>(card_, bytes);
        const DevicePtr begin = piece->address();
        pieces_.emplace(begin, std::move(piece));
        best = gaps_.emplace(begin, bytes).first;
    }
    const DevicePtr address = best->first;
    const size_t left = best->second - size;
    gaps_.erase(best);
    if (left > 0) gaps_.emplace(address + size, left);
    return address;
}

void Pool::give_back(DevicePtr address, size_t size_bytes) {
    auto piece = pieces_.upper_bound(address);
    LORA_DCHECK(piece != pieces_.begin());
    --piece;
    const DevicePtr piece_end = piece->first + piece->second->size_bytes();
    auto gap = gaps_.emplace(address, taken_bytes(size_bytes)).first;
    const auto next = std::next(gap);
    if (next != gaps_.end() && next->first == gap->first + gap->second && next->first < piece_end) {
        gap->second += next->second;
        gaps_.erase(next);
    }
    if (gap != gaps_.begin() && gap->first != piece->first) {
        const auto before = std::prev(gap);
        if (before->first + before->second == gap->first) {
            before->second += gap->second;
            gaps_.erase(gap);
            gap = before;
        }
    }
    if (gap->second < piece->second->size_bytes()) return;
    gaps_.erase(gap);
    pieces_.erase(piece);
}

size_t Pool::held_bytes() const {
    size_t total = 0;
    for (const auto& [address, piece] : pieces_) total += piece->size_bytes();
    return total;
}

}  // namespace lora::cuda

#include "backend/cpu/internal/threads.h"

#include <algorithm>
#include <atomic>
#include <limits>

#include "backend/cpu/cpu_backend.h"
#include "base/process.h"
#include "base/thread_pool.h"
#ifdef _OPENMP
#include <omp.h>
#endif

namespace lora::cpu {
namespace {

// What the calling thread adopted; as many as the backend has where it adopted nothing.
int& adopted() {
    thread_local int count = std::numeric_limits<int>::max();
    return count;
}

}  // namespace

void let_idle_threads_sleep([[maybe_unused]] char** argv) {
#ifdef _OPENMP
    restart_with("OMP_WAIT_POLICY", "passive", argv);
#endif
}

struct Threads::Pool {
    explicit Pool(int count) : pool(count) {}
    ThreadPool pool;
};

Threads::Threads(int count) : count_(count > 0 ? count : num_hardware_threads()) {
#ifdef _OPENMP
    if (count <= 0) count_ = std::max(1, omp_get_max_threads());
#else
    pool_ = std::make_unique<Pool>(count_);
#endif
}

Threads::~Threads() = default;
Threads::Threads(Threads&&) noexcept = default;
Threads& Threads::operator=(Threads&&) noexcept = default;

void Threads::adopt(int team) const {
    adopted() = std::min(team, count_);
#ifdef _OPENMP
    omp_set_num_threads(adopted());
#endif
}

void Threads::run(int64_t num_pieces, const std::function<void(int64_t, int)>& body) const {
    const int team = static_cast<int>(std::min<int64_t>(std::min(count_, adopted()), num_pieces));
    if (team <= 1) {
        for (int64_t piece = 0; piece < num_pieces; ++piece) body(piece, 0);
        return;
    }
#ifdef _OPENMP
#pragma omp parallel num_threads(team)
    {
        const int slot = omp_get_thread_num();
#pragma omp for schedule(dynamic, 1)
        for (int64_t piece = 0; piece < num_pieces; ++piece) body(piece, slot);
    }
#else
    std::atomic<int64_t> next{0};
    pool_->pool.parallel_for(team, [&](int64_t slot) {
        for (int64_t piece = next++; piece < num_pieces; piece = next++) {
            body(piece, static_cast<int>(slot));
        }
    });
#endif
}

void Threads::split(int64_t size,
                    int64_t grain,
                    const std::function<void(int64_t, int64_t)>& body) const {
    if (size <= 0) return;
    // A few pieces a thread, so that a thread that was held up does not hold up the rest.
    const int64_t wanted = (size + 4 * count_ - 1) / (4 * count_);
    const int64_t step = std::max(grain, (wanted + grain - 1) / grain * grain);
    const int64_t num_pieces = (size + step - 1) / step;
    run(num_pieces,
        [&](int64_t piece, int) { body(piece * step, std::min(size, (piece + 1) * step)); });
}

}  // namespace lora::cpu

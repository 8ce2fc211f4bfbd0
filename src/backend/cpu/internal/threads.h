// Spreads pieces of an operator over the backend's threads: OpenMP's where the program has it (the
// same threads that oneDNN uses), else base/thread_pool.h.
// Results must not depend on which thread runs a piece; pieces are handed out as threads get free.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

namespace lora::cpu {

class Threads {
public:
    // 0: all the machine has.
    explicit Threads(int count);
    ~Threads();
    Threads(Threads&&) noexcept;
    Threads& operator=(Threads&&) noexcept;

    [[nodiscard]] int count() const { return count_; }
    // body(piece, slot) for every piece in [0, num_pieces); slot < count() belongs to one thread at
    // a time, for its own scratch memory. The body must not throw.
    void run(int64_t num_pieces, const std::function<void(int64_t, int)>& body) const;
    // body(begin, end) over [0, size) in pieces of `grain` or more, a multiple of it but for the
    // last.
    void split(int64_t size,
               int64_t grain,
               const std::function<void(int64_t, int64_t)>& body) const;
    // From now on the calling thread's loops, and its OpenMP (and so oneDNN), use `team` threads,
    // count() at most. Work too small to be worth waking others wants a team of 1.
    void adopt(int team) const;
    void adopt() const { adopt(count_); }

private:
    int count_;
    struct Pool;
    std::unique_ptr<Pool> pool_;
};

}  // namespace lora::cpu

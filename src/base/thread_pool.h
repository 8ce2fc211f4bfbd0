// A fixed pool of worker threads for host work (decoding, hashing, writing). The compute backends
// have their own. The calling thread works along, so a pool of one runs everything in the caller.
// Threads  parallel_for may be called from any thread, from a body too.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

namespace lora {

class ThreadPool {
public:
    // num_threads 0: as many as the machine has.
    explicit ThreadPool(int num_threads = 0);
    ~ThreadPool();
    ThreadPool(const ThreadPool&) = delete;
    ThreadPool& operator=(const ThreadPool&) = delete;

    [[nodiscard]] int num_threads() const;
    // Calls body(i) for every i in [0, count), spread over the workers; returns when all are done.
    // The first exception thrown by a body is rethrown here; indices not begun by then are skipped.
    void parallel_for(int64_t count, const std::function<void(int64_t)>& body);

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

// Logical processors of this machine, at least 1.
[[nodiscard]] int num_hardware_threads();

}  // namespace lora

#include "base/thread_pool.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "base/check.h"

namespace lora {
namespace {

// One parallel_for. All fields are guarded by the pool's mutex; body runs without it.
struct Job {
    const std::function<void(int64_t)>* body = nullptr;
    int64_t count = 0;
    int64_t next = 0;     // first index nobody has taken
    int64_t running = 0;  // indices being worked on
    std::exception_ptr failure = nullptr;

    [[nodiscard]] bool exhausted() const { return next >= count; }
    [[nodiscard]] bool finished() const { return exhausted() && running == 0; }
};

}  // namespace

struct ThreadPool::Impl {
    std::mutex mutex;
    std::condition_variable work_waiting;
    std::condition_variable job_finished;
    std::deque<Job*> jobs;  // only jobs with indices left
    bool stopping = false;
    int num_threads = 1;
    std::vector<std::jthread> workers;

    // Takes one index of the job and runs it; the lock is held on entry and on exit.
    void run_one(Job& job, std::unique_lock<std::mutex>& lock) {
        const int64_t index = job.next++;
        ++job.running;
        if (job.exhausted()) std::erase(jobs, &job);
        lock.unlock();
        std::exception_ptr failure;
        try {
            (*job.body)(index);
        } catch (...) {
            failure = std::current_exception();
        }
        lock.lock();
        --job.running;
        if (failure != nullptr) {
            if (job.failure == nullptr) job.failure = failure;
            job.next = job.count;
            std::erase(jobs, &job);
        }
        if (job.finished()) job_finished.notify_all();
    }

    void work() {
        std::unique_lock lock(mutex);
        while (true) {
            work_waiting.wait(lock, [this] { return stopping || !jobs.empty(); });
            if (stopping) return;
            run_one(*jobs.front(), lock);
        }
    }
};

ThreadPool::ThreadPool(int num_threads) : impl_(std::make_unique<Impl>()) {
    impl_->num_threads = num_threads > 0 ? num_threads : num_hardware_threads();
    // The caller of parallel_for works too.
    for (int i = 1; i < impl_->num_threads; ++i) {
        impl_->workers.emplace_back([impl = impl_.get()] { impl->work(); });
    }
}

ThreadPool::~ThreadPool() {
    {
        const std::lock_guard lock(impl_->mutex);
        impl_->stopping = true;
    }
    impl_->work_waiting.notify_all();
    impl_->workers.clear();
}

int ThreadPool::num_threads() const { return impl_->num_threads; }

void ThreadPool::parallel_for(int64_t count, const std::function<void(int64_t)>& body) {
    if (count <= 0) return;
    Job job{.body = &body, .count = count};
    std::unique_lock lock(impl_->mutex);
    impl_->jobs.push_back(&job);
    impl_->work_waiting.notify_all();
    while (!job.exhausted()) impl_->run_one(job, lock);
    impl_->job_finished.wait(lock, [&job] { return job.finished(); });
    lock.unlock();
    if (job.failure != nullptr) std::rethrow_exception(job.failure);
}

int num_hardware_threads() {
    return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace lora

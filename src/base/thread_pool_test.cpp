#include "base/thread_pool.h"

#include <atomic>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "base/bounded_queue.h"
#include "base/error.h"

namespace lora {
namespace {

TEST(ThreadPool, RunsEveryIndexOnce) {
    for (const int num_threads : {1, 2, 5}) {
        ThreadPool pool(num_threads);
        EXPECT_EQ(pool.num_threads(), num_threads);
        for (const int64_t count : {0, 1, 3, 1000}) {
            std::vector<std::atomic<int>> hits(static_cast<size_t>(count));
            pool.parallel_for(count, [&](int64_t i) { ++hits[static_cast<size_t>(i)]; });
            for (const auto& hit : hits) EXPECT_EQ(hit.load(), 1);
        }
    }
}

TEST(ThreadPool, RethrowsAndGoesOn) {
    ThreadPool pool(3);
    const auto fail_at_7 = [](int64_t i) {
        if (i == 7) throw Error(ErrorCode::kData, "seven");
    };
    try {
        pool.parallel_for(100, fail_at_7);
        FAIL() << "the error was lost";
    } catch (const Error& error) {
        EXPECT_EQ(error.message(), "seven");
    }
    std::atomic<int> count = 0;
    pool.parallel_for(50, [&](int64_t) { ++count; });
    EXPECT_EQ(count.load(), 50);
}

TEST(ThreadPool, ServesSeveralCallersAndNests) {
    ThreadPool pool(2);
    std::atomic<int> count = 0;
    {
        std::vector<std::jthread> callers;
        callers.reserve(4);
        for (int c = 0; c < 4; ++c) {
            callers.emplace_back([&] {
                pool.parallel_for(
                    20, [&](int64_t) { pool.parallel_for(5, [&](int64_t) { ++count; }); });
            });
        }
    }
    EXPECT_EQ(count.load(), 4 * 20 * 5);
}

TEST(BoundedQueue, HandsOverInOrderAndCloses) {
    BoundedQueue<int> queue(2);
    std::jthread producer([&] {
        for (int i = 0; i < 100; ++i) queue.push(i);
        queue.close();
    });
    for (int i = 0; i < 100; ++i) EXPECT_EQ(queue.pop(), i);
    EXPECT_EQ(queue.pop(), std::nullopt);
    EXPECT_FALSE(queue.push(1));
}

}  // namespace
}  // namespace lora

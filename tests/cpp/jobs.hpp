// parallel_for with callables, and ways for its tasks to wait for each other without hanging a
// failed test for good.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>
#include <type_traits>

#include "poolcore/threads.hpp"

namespace jobs {

struct NoPoll {};

// Runs `task(index, worker)`; `poll()`, if given, returns true to stop.
template <class Task, class Poll = NoPoll>
bool run(std::int64_t n_tasks, int threads, Task task, Poll poll = {}) {
    poolcore::ParallelJob job;
    job.function = [](void* context, std::int64_t index, int worker) {
        (*static_cast<Task*>(context))(index, worker);
    };
    job.context = &task;
    job.n_tasks = n_tasks;
    job.threads = threads;
    if constexpr (!std::is_same_v<Poll, NoPoll>) {
        job.poll = [](void* context) { return (*static_cast<Poll*>(context))(); };
        job.poll_context = &poll;
    }
    return poolcore::parallel_for(job);
}

// Waits until `done()`; false after ten seconds.
template <class Done>
bool await(Done done) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!done()) {
        if (std::chrono::steady_clock::now() > end) return false;
        std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
    return true;
}

// A point that `n` tasks must reach, each on a thread of its own, before one may go on.
class Meeting {
   public:
    explicit Meeting(int n) : n_(n) {}
    void wait() {
        ++arrived_;
        await([this] { return complete(); });
    }
    // As wait(), without sleeping: for measurements only.
    void arrive_and_spin() {
        ++arrived_;
        while (!complete()) {
        }
    }
    bool complete() const { return arrived_ >= n_; }

   private:
    int n_;
    std::atomic<int> arrived_{0};
};

}  // namespace jobs

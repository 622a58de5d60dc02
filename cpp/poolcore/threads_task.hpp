// What the task that a thread runs can ask. Part of threads.
#pragma once

#include <atomic>
#include <chrono>

#include "poolcore/scratch_thread.hpp"
#include "poolcore/threads.hpp"
#include "poolcore/wait.hpp"

namespace poolcore {

inline constexpr auto kPollInterval = std::chrono::milliseconds(5);

class Poller;

// What the task that this thread runs can ask; also tells a nested parallel_for to run inline.
struct CurrentTask {
    Poller* poller;                   // the caller's, null on workers
    const std::atomic<bool>* failed;  // null for jobs that run inline
};

inline const CurrentTask* current_task() {
    const ThreadState* state = thread_state_or_null();
    return state == nullptr ? nullptr : state->task;
}

class TaskScope {
   public:
    TaskScope(Poller* poller, const std::atomic<bool>* failed)
        : task_{poller, failed}, state_(thread_state()), outer_(state_.task) {
        state_.task = &task_;
    }
    ~TaskScope() { state_.task = outer_; }
    TaskScope(const TaskScope&) = delete;
    TaskScope& operator=(const TaskScope&) = delete;

   private:
    CurrentTask task_;
    ThreadState& state_;
    const CurrentTask* outer_;
};

// Asks the caller's `poll` no more often than the interval.
class Poller {
   public:
    explicit Poller(const ParallelJob& job) : job_(job) {
        if (job.poll != nullptr) last_ = Clock::now();
    }
    bool wants_stop() {
        if (job_.poll == nullptr || stopped_) return stopped_;
        const auto now = Clock::now();
        if (now - last_ < kPollInterval) return false;
        const TaskScope none(nullptr, nullptr);  // a signal handler's calls are no part of the task
        stopped_ = job_.poll(job_.poll_context);
        last_ = Clock::now();  // the poll itself may have waited for a lock
        return stopped_;
    }
    std::chrono::nanoseconds patience() const {
        const bool polls = job_.poll != nullptr && !stopped_;
        return polls ? kPollInterval : std::chrono::nanoseconds::zero();
    }
    bool stopped() const { return stopped_; }

   private:
    const ParallelJob& job_;
    Clock::time_point last_{};
    bool stopped_ = false;
};

}  // namespace poolcore

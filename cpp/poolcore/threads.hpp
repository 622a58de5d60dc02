// A small pool of worker threads, started lazily by the first call that needs one, never at
// import; shut down and restarted around fork; left alone at exit.
#pragma once

#include <cstdint>

namespace poolcore {

// Process-wide number of threads a call may use, the caller included. Starts as
// POOLCORE_NUM_THREADS or the number of CPUs this process may run on (affinity).
int get_num_threads();
// n >= 1, clamped to kMaxThreads.
void set_num_threads(int n);
inline constexpr int kMaxThreads = 256;

// One unit of work. `task` in [0, n_tasks); `worker` in [0, threads), 0 being the caller:
// no two tasks run at once with the same worker number, so scratch is indexed by it.
using TaskFunction = void (*)(void* context, std::int64_t task, int worker);

struct ParallelJob {
    TaskFunction function = nullptr;
    void* context = nullptr;
    std::int64_t n_tasks = 0;
    int threads = 1;  // at most so many at once, the caller included
    std::int64_t scratch = 0;  // what a task takes at most: see HeldScratch
    // Called between tasks on the caller, at most every few milliseconds; true stops the job.
    bool (*poll)(void*) = nullptr;
    void* poll_context = nullptr;
};

// Runs every task once, in no set order, and returns when none is running. Returns false when
// poll stopped it. An exception from a task stops the rest and is rethrown here. Throws
// PoolError(kMemory) before the first task when there is no scratch for the caller's thread; a worker
// that finds none for itself leaves the tasks to the others. Runs inline,
// with worker 0 only, when threads <= 1, when the pool serves another caller at the moment, or
// when no thread can be started. Safe to call from many threads at once. Called by a task it runs
// inline, and without a poll of its own stops when that task is to stop.
bool parallel_for(const ParallelJob& job);

// Inside a task that takes long: true when its job is to stop, because poll says so or another
// task failed. The task then returns early; what it leaves behind is nobody's result. On the
// caller's thread this is where poll is asked, no more often than between tasks.
bool stop_requested();

// Leaves a task that is no longer wanted, where its function catches it.
struct Stopped {};

// The same for loops over short pieces, once in so many elements: to look at the clock takes as long
// as a row. stopped() is what it said last.
class StopPoll {
   public:
    bool stops(std::int64_t elements) {
        left_ -= elements;
        if (left_ > 0 || stopped_) return stopped_;
        left_ = kElements;
        return stopped_ = stop_requested();
    }
    bool stopped() const { return stopped_; }

   private:
    static constexpr std::int64_t kElements = 1 << 16;
    std::int64_t left_ = kElements;
    bool stopped_ = false;
};

}  // namespace poolcore

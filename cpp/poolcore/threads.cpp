// The worker pool behind parallel_for.
//
// All state is one constant-initialised object of atomics without a destructor: nothing happens at
// import or at exit, and a forked child can start over whatever the parent's threads were doing.
// A worker must take a seat to touch a job, and the caller withdraws the seats that are left when
// the tasks have run out, so a job never waits for a worker that is still waking up.
// Includes cpu, error, placement, scratch, wait and the standard and system headers only.
#include "poolcore/threads.hpp"

#include <algorithm>
#include <atomic>
#include <cfenv>
#include <chrono>
#include <exception>
#include <new>
#include <stdexcept>
#include <thread>

#include "poolcore/cpu.hpp"
#include "poolcore/error.hpp"
#include "poolcore/placement.hpp"
#include "poolcore/threads_task.hpp"
#include "poolcore/scratch_thread.hpp"
#include "poolcore/wait.hpp"

#if defined(__unix__) || defined(__APPLE__)
#define POOLCORE_POSIX 1
#include <pthread.h>
#include <signal.h>
#endif

namespace poolcore {
namespace {

constexpr auto kStartRetry = std::chrono::seconds(1);
constexpr std::size_t kCacheLine = 64;

// Pool::state: how many workers are inside the job, how many more may enter, and whether the
// caller sleeps until the last one leaves.
constexpr std::uint32_t kInsideMask = 0xffff;
constexpr std::uint32_t kOneSeat = 0x10000;
constexpr std::uint32_t kSeatMask = 0x7fff0000;
constexpr std::uint32_t kCallerSleeps = 0x80000000;
static_assert(kMaxThreads < 0x7fff && kMaxThreads < static_cast<int>(kInsideMask));

// Lives on the caller's stack; a worker may touch it only between taking a seat and leaving.
struct Job {
    const ParallelJob& what;
    std::fenv_t float_environment{};
    int cpu = -1;                     // the caller's
    std::atomic<bool> failed{false};  // or stopped: what is still running need not finish
    std::exception_ptr error;
};

// `busy` is the lock: who holds it may write what is marked "under busy".
struct Pool {
    alignas(kCacheLine) std::atomic<bool> busy{false};
    std::atomic<std::uint32_t> forks{0};
    std::atomic<bool> fork_handled{false};
    int workers = 0;                  // under busy
    int cpus = 0;                     // under busy
    Clock::time_point start_again{};  // under busy: no attempt to start threads before

    alignas(kCacheLine) Word bell{0};  // rung once a job; idle workers wait for it to change
    Word sleepers{0};
    Word ready{0};                   // workers that have begun to wait for the bell
    std::atomic<bool> alone{false};  // a CPU for every thread of the job: spinning delays nobody

    alignas(kCacheLine) Word state{0};
    Job* job = nullptr;  // under busy, and published by `state`

    alignas(kCacheLine) std::atomic<std::uint64_t> next_task{0};
};

constinit Pool pool;

void drop_remaining_tasks(const Job& job) {
    pool.next_task.store(static_cast<std::uint64_t>(job.what.n_tasks), std::memory_order_relaxed);
}

void stop(Job& job) {
    job.failed.store(true, std::memory_order_relaxed);
    drop_remaining_tasks(job);
}

// Inside a catch block: keeps the first exception and stops the rest.
void record_failure(Job& job) noexcept {
    if (!job.failed.exchange(true, std::memory_order_relaxed))
        job.error = std::current_exception();
    drop_remaining_tasks(job);
}

// Takes tasks until none is left. Only the caller has a poller, and holds its scratch already.
void take_tasks(Job& job, int worker, Poller* poller) noexcept {
    const ParallelJob& what = job.what;
    const auto n_tasks = static_cast<std::uint64_t>(what.n_tasks);
    try {
        for (;;) {
            const auto task = pool.next_task.fetch_add(1, std::memory_order_relaxed);
            if (task >= n_tasks) return;
            what.function(what.context, static_cast<std::int64_t>(task), worker);
            if (poller != nullptr && poller->wants_stop()) return stop(job);
        }
    } catch (...) {
        record_failure(job);
    }
}

// ---- the workers ----

void work_on(Job& job, int worker) noexcept {
    try {
        const HeldScratch scratch(job.what.scratch);
        const TaskScope scope(nullptr, &job.failed);
        take_tasks(job, worker, nullptr);
    } catch (...) {
    }  // no memory: the caller has some
}

// Takes a seat if one is left, works, leaves. Returns whether the thread may spin afterwards.
bool join_job(Placement& placement) noexcept {
    auto state = pool.state.load(std::memory_order_relaxed);
    do {
        if ((state & kSeatMask) == 0) return pool.alone.load(std::memory_order_relaxed);
    } while (!pool.state.compare_exchange_weak(state, state - kOneSeat + 1,
                                               std::memory_order_acquire,
                                               std::memory_order_relaxed));
    Job& job = *pool.job;
    const bool alone = pool.alone.load(std::memory_order_relaxed);
    if (!alone) placement.release();
    const bool apart = alone && placement.keep_off(job.cpu);
    // The caller's rounding mode and treatment of subnormals: the same bits on every thread.
    std::fesetenv(&job.float_environment);
    work_on(job, static_cast<int>((state & kSeatMask) / kOneSeat));
    // The job may be gone right after this.
    const auto before = pool.state.fetch_sub(1, std::memory_order_acq_rel);
    if ((before & kCallerSleeps) != 0 && (before & kInsideMask) == 1) wake(pool.state, 1);
    return apart;
}

std::uint32_t wait_for_bell(std::uint32_t seen, bool may_spin) noexcept {
    const auto rung = [seen] { return pool.bell.load(std::memory_order_relaxed) != seen; };
    if (!may_spin || !spin_until(rung)) {
        // Counted first, looked at after: ring_bell does it the other way round, so either it
        // sees a sleeper to wake or the sleeper sees the bell.
        pool.sleepers.fetch_add(1, std::memory_order_seq_cst);
        while (pool.bell.load(std::memory_order_seq_cst) == seen) {
            sleep_on(pool.bell, seen, std::chrono::nanoseconds::zero());
        }
        pool.sleepers.fetch_sub(1, std::memory_order_relaxed);
    }
    return pool.bell.load(std::memory_order_acquire);
}

// A thread that has no state takes no part.
void* worker_main(void* state) noexcept {
#if defined(__linux__)
    pthread_setname_np(pthread_self(), "poolcore");
#endif
    const bool usable = adopt_thread_state(static_cast<ThreadState*>(state));
    Placement placement;
    auto seen = pool.bell.load(std::memory_order_acquire);
    pool.ready.fetch_add(1, std::memory_order_release);
    wake(pool.ready, 1);
    for (;;) {
        const bool may_spin = usable && join_job(placement);
        seen = wait_for_bell(seen, may_spin);
    }
}

#if defined(POOLCORE_POSIX)
// The child has one thread, the one that forked; what the others were doing is forgotten, not
// waited for: the forking thread may hold a lock (Python's) that a running job needs to end.
void start_over_in_child() noexcept {
    pool.forks.fetch_add(1, std::memory_order_relaxed);
    pool.workers = 0;
    pool.start_again = {};
    pool.bell.store(0, std::memory_order_relaxed);
    pool.sleepers.store(0, std::memory_order_relaxed);
    pool.ready.store(0, std::memory_order_relaxed);
    pool.state.store(0, std::memory_order_relaxed);
    pool.job = nullptr;
    pool.next_task.store(0, std::memory_order_relaxed);
    pool.busy.store(false, std::memory_order_release);
}

// Two threads may both register at first: starting over twice does no harm.
bool handle_forks() {
    if (pool.fork_handled.load(std::memory_order_relaxed)) return true;
    pool.fork_handled = pthread_atfork(nullptr, nullptr, &start_over_in_child) == 0;
    return pool.fork_handled;
}

// All but faults are left to the program's own threads, so that Ctrl-C reaches the main one.
void block_signals(sigset_t* before) {
    sigset_t set;
    sigfillset(&set);
    for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS})
        sigdelset(&set, fault);
    pthread_sigmask(SIG_SETMASK, &set, before);
}

// A worker inherits the mask that its starter has at that moment.
bool start_workers(int missing) {
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes) != 0) return false;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    // Scratch is on the heap. A refusal leaves the default size.
    pthread_attr_setstacksize(&attributes, std::size_t{1} << 20);
    sigset_t before;
    block_signals(&before);
    bool started = true;
    for (; missing > 0 && started; --missing) {
        pthread_t thread;
        ThreadState* const state = new (std::nothrow) ThreadState;
        started = state != nullptr &&
                  pthread_create(&thread, &attributes, &worker_main, state) == 0;
        if (started) ++pool.workers;
        else delete state;
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    pthread_attr_destroy(&attributes);
    return started;
}
#else

bool handle_forks() { return true; }

bool start_workers(int missing) {
    try {
        for (; missing > 0; --missing) {
            std::thread([] { worker_main(nullptr); }).detach();
            ++pool.workers;
        }
    } catch (const std::exception&) {
        return false;
    }
    return true;
}

#endif  // POOLCORE_POSIX

// ---- the caller ----

// Under busy. What a thread allocates as it begins is not left to a later call.
void wait_until_ready() {
    const auto workers = static_cast<std::uint32_t>(pool.workers);
    for (;;) {
        const auto ready = pool.ready.load(std::memory_order_acquire);
        if (ready >= workers) return;
        sleep_on(pool.ready, ready, std::chrono::nanoseconds::zero());
    }
}

// Under busy. How many of the `wanted` workers there are, after starting those that are missing.
int ensure_workers(int wanted) {
    if (pool.workers >= wanted) return wanted;
    if (Clock::now() < pool.start_again) return pool.workers;
    if (pool.cpus == 0) pool.cpus = available_cpus();
    if (!start_workers(wanted - pool.workers)) pool.start_again = Clock::now() + kStartRetry;
    wait_until_ready();
    return std::min(wanted, pool.workers);
}

void ring_bell(int helpers) {
    pool.bell.fetch_add(1, std::memory_order_seq_cst);
    const auto sleepers = static_cast<int>(pool.sleepers.load(std::memory_order_seq_cst));
    const int awake = pool.workers - sleepers;
    if (sleepers > 0 && helpers > awake) wake(pool.bell, helpers - awake);
}

void wait_for_workers(Job& job, Poller& poller) noexcept {
    const auto inside = [] {
        return (pool.state.load(std::memory_order_acquire) & kInsideMask) != 0;
    };
    pool.state.fetch_and(~kSeatMask, std::memory_order_relaxed);
    if (!inside()) return;
    const bool may_spin = pool.alone.load(std::memory_order_relaxed);
    if (may_spin && spin_until([&] { return !inside(); })) return;
    pool.state.fetch_or(kCallerSleeps, std::memory_order_relaxed);
    for (;;) {
        const auto state = pool.state.load(std::memory_order_acquire);
        if ((state & kInsideMask) == 0) return;
        sleep_on(pool.state, state, poller.patience());
        try {
            if (poller.wants_stop()) stop(job);
        } catch (...) {
            record_failure(job);
        }
    }
}

// Under busy.
bool run_with_workers(const ParallelJob& what, int helpers) {
    const auto forks = pool.forks.load(std::memory_order_relaxed);
    Job job{what, {}, current_cpu(), {}, {}};
    Poller poller(what);
    std::fegetenv(&job.float_environment);
    pool.job = &job;
    pool.alone.store(helpers < pool.cpus, std::memory_order_relaxed);
    pool.next_task.store(0, std::memory_order_relaxed);
    pool.state.store(static_cast<std::uint32_t>(helpers) * kOneSeat, std::memory_order_release);
    ring_bell(helpers);
    {
        const TaskScope scope(&poller, &job.failed);
        take_tasks(job, 0, &poller);
        wait_for_workers(job, poller);
    }
    if (pool.forks.load(std::memory_order_relaxed) != forks) {
        // `poll` forked and this is the child: tasks that workers had taken are lost.
        throw std::runtime_error("poolcore: the process was forked in the middle of this call");
    }
    pool.job = nullptr;
    pool.busy.store(false, std::memory_order_release);
    if (job.error) std::rethrow_exception(job.error);
    return !poller.stopped();
}

// Within a task, without a poll of its own: that task's job says when to stop.
bool run_within(const ParallelJob& job) {
    for (std::int64_t task = 0; task < job.n_tasks; ++task) {
        job.function(job.context, task, 0);
        if (stop_requested()) return false;
    }
    return true;
}

bool run_inline(const ParallelJob& job) {
    if (current_task() != nullptr && job.poll == nullptr) return run_within(job);
    Poller poller(job);
    const TaskScope scope(&poller, nullptr);
    for (std::int64_t task = 0; task < job.n_tasks; ++task) {
        job.function(job.context, task, 0);
        if (poller.wants_stop()) return false;
    }
    return true;
}

}  // namespace

bool parallel_for(const ParallelJob& job) {
    const HeldScratch scratch(job.scratch);
    const auto threads = std::min<std::int64_t>({job.threads, job.n_tasks, kMaxThreads});
    if (threads <= 1 || current_task() != nullptr) return run_inline(job);
    // In this order: a child that finds the pool busy must have started over.
    if (!handle_forks() || pool.busy.exchange(true, std::memory_order_acquire)) {
        return run_inline(job);
    }
    const int helpers = ensure_workers(static_cast<int>(threads) - 1);
    if (helpers > 0) return run_with_workers(job, helpers);
    pool.busy.store(false, std::memory_order_release);
    return run_inline(job);
}

bool stop_requested() {
    const CurrentTask* task = current_task();
    if (task == nullptr) return false;
    if (task->failed != nullptr && task->failed->load(std::memory_order_relaxed)) return true;
    return task->poller != nullptr && task->poller->wants_stop();
}

}  // namespace poolcore

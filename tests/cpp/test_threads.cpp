// The contract of threads.hpp: every task once, exceptions, nesting, concurrent callers, polling,
// signals, floating-point environment. Processes (fork, start-up failure, environment, exit) are
// in test_processes.cpp.
#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <cfenv>
#include <chrono>
#include <functional>
#include <memory>
#include <new>
#include <stdexcept>
#include <thread>
#include <vector>

#include "check.hpp"
#include "jobs.hpp"
#include "poolcore/error.hpp"
#include "poolcore/threads.hpp"

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

namespace {

struct OnceRecord {
    std::vector<std::atomic<int>> runs;
    std::vector<std::atomic<int>> busy;
    std::atomic<int> active{0};
    std::atomic<int> clashes{0};
    OnceRecord(std::size_t tasks, std::size_t threads) : runs(tasks), busy(threads) {}
};

void expect_each_task_once(std::int64_t n_tasks, int threads) {
    const auto slots = static_cast<std::size_t>(std::max(threads, 1));
    OnceRecord record(static_cast<std::size_t>(n_tasks), slots);
    const bool done = jobs::run(n_tasks, threads, [&](std::int64_t task, int worker) {
        ++record.active;
        const auto w = static_cast<std::size_t>(worker);
        if (w >= slots || record.busy[w].exchange(1) != 0) ++record.clashes;
        ++record.runs[static_cast<std::size_t>(task)];
        if (w < slots) record.busy[w] = 0;
        --record.active;
    });
    CHECK(done);
    CHECK_EQ(record.active.load(), 0);
    CHECK_EQ(record.clashes.load(), 0);
    std::size_t wrong = 0;
    for (const auto& runs : record.runs) wrong += runs != 1;
    CHECK_EQ(wrong, 0U);
}

}  // namespace

TEST(every_task_runs_once) {
    for (const int threads : {1, 2, 3, 7, 33}) {
        for (const std::int64_t n : {0, 1, 2, 3, 7, 100, 10007}) expect_each_task_once(n, threads);
    }
}

TEST(many_short_jobs) {
    for (long i = 0; i < check::rounds(3000); ++i) expect_each_task_once(1 + i % 5, 1 + int(i % 4));
}

TEST(jobs_after_the_workers_fell_asleep) {
    for (long i = 0; i < check::rounds(100); ++i) {
        std::this_thread::sleep_for(std::chrono::microseconds(20 + i * 7 % 1000));
        expect_each_task_once(8, 3);
    }
}

TEST(one_thread_or_one_task_stays_on_the_caller) {
    for (const auto& [n, threads] : {std::pair{5, 1}, {5, 0}, {5, -3}, {1, 4}}) {
        jobs::run(n, threads, [](std::int64_t, int worker) { CHECK_EQ(worker, 0); });
        const auto self = std::this_thread::get_id();
        jobs::run(n, threads, [self](std::int64_t, int) {
            CHECK(std::this_thread::get_id() == self);
        });
    }
}

TEST(negative_task_count_does_nothing) {
    CHECK(jobs::run(-1, 4, [](std::int64_t, int) { CHECK(false); }));
}

TEST(two_threads_really_work_at_once) {
    jobs::Meeting meeting(2);
    jobs::run(2, 2, [&](std::int64_t, int) { meeting.wait(); });
    CHECK(meeting.complete());
}

TEST(worker_exception_arrives_on_the_caller) {
    jobs::Meeting meeting(2);
    std::atomic<int> after{0};
    CHECK_THROWS(jobs::run(100000, 2,
                           [&](std::int64_t, int worker) {
                               meeting.wait();
                               if (worker != 0) throw std::out_of_range("from a worker");
                               ++after;
                               std::this_thread::sleep_for(10us);
                           }),
                 std::out_of_range, "from a worker");
    CHECK(after < 50000);  // the rest was dropped
    expect_each_task_once(100, 2);
}

TEST(caller_exception_waits_for_the_workers) {
    jobs::Meeting meeting(2);
    std::atomic<bool> worker_left{false};
    CHECK_THROWS(jobs::run(2, 2,
                           [&](std::int64_t, int worker) {
                               meeting.wait();
                               if (worker == 0) throw std::bad_alloc();
                               std::this_thread::sleep_for(30ms);
                               worker_left = true;
                           }),
                 std::bad_alloc, "");
    CHECK(worker_left);
    expect_each_task_once(100, 2);
}

TEST(every_task_throws) {
    for (long i = 0; i < check::rounds(300); ++i) {
        CHECK_THROWS(
            jobs::run(50, 4, [](std::int64_t, int) { throw std::runtime_error("each"); }),
            std::runtime_error, "each");
    }
    expect_each_task_once(100, 4);
}

TEST(inline_exception) {
    CHECK_THROWS(jobs::run(3, 1, [](std::int64_t, int) { throw std::runtime_error("alone"); }),
                 std::runtime_error, "alone");
    jobs::Meeting meeting(2);  // and the thread does not count as inside a task ever after
    jobs::run(2, 2, [&](std::int64_t, int) { meeting.wait(); });
    CHECK(meeting.complete());
}

TEST(nested_jobs_run_inline) {
    std::atomic<int> inner{0};
    jobs::run(20, 3, [&](std::int64_t, int) {
        const auto self = std::this_thread::get_id();
        jobs::run(10, 3, [&](std::int64_t, int worker) {
            CHECK_EQ(worker, 0);
            CHECK(std::this_thread::get_id() == self);
            ++inner;
        });
    });
    CHECK_EQ(inner.load(), 200);
}

TEST(nested_in_an_inline_job_runs_inline) {
    jobs::run(2, 1, [&](std::int64_t, int) {
        jobs::run(10, 3, [&](std::int64_t, int worker) { CHECK_EQ(worker, 0); });
    });
}

TEST(concurrent_callers) {
    std::atomic<std::int64_t> total{0};
    std::vector<std::thread> callers;
    const long n_jobs = check::rounds(400);
    for (int c = 0; c < 8; ++c) {
        callers.emplace_back([&, c] {
            for (long i = 0; i < n_jobs; ++i) {
                std::int64_t sums[8] = {};
                jobs::run(20, 1 + c % 4, [&](std::int64_t task, int worker) {
                    sums[worker] += task;
                });
                for (const auto sum : sums) total += sum;
                poolcore::set_num_threads(1 + int(i % 5));
                const int n = poolcore::get_num_threads();
                CHECK(n >= 1 && n <= 5);
            }
        });
    }
    for (auto& caller : callers) caller.join();
    CHECK_EQ(total.load(), 8 * n_jobs * 190);
}

TEST(second_caller_does_not_wait_for_the_first) {
    std::atomic<bool> release{false};
    std::atomic<bool> started{false};
    std::thread first([&] {
        jobs::run(2, 2, [&](std::int64_t, int) {
            started = true;
            jobs::await([&] { return release.load(); });
        });
    });
    CHECK(jobs::await([&] { return started.load(); }));
    const auto self = std::this_thread::get_id();
    jobs::run(10, 4, [&](std::int64_t, int) { CHECK(std::this_thread::get_id() == self); });
    release = true;
    first.join();
}

TEST(thread_count_setting) {
    CHECK(poolcore::get_num_threads() >= 1);
    poolcore::set_num_threads(3);
    CHECK_EQ(poolcore::get_num_threads(), 3);
    poolcore::set_num_threads(1 << 30);
    CHECK_EQ(poolcore::get_num_threads(), poolcore::kMaxThreads);
    CHECK_THROWS(poolcore::set_num_threads(0), poolcore::PoolError, "n=0");
    CHECK_THROWS(poolcore::set_num_threads(-5), poolcore::PoolError, "n=-5");
    CHECK_EQ(poolcore::get_num_threads(), poolcore::kMaxThreads);
}

TEST(poll_is_called_on_the_caller_and_not_too_often) {
    for (const int threads : {1, 2}) {
        const auto self = std::this_thread::get_id();
        int polls = 0;
        const auto start = Clock::now();
        const bool done = jobs::run(
            200, threads, [](std::int64_t, int) { std::this_thread::sleep_for(1ms); },
            [&] {
                CHECK(std::this_thread::get_id() == self);
                ++polls;
                return false;
            });
        const auto spent = Clock::now() - start;
        CHECK(done);
        CHECK(polls >= 1);
        CHECK(polls <= spent / 5ms);
    }
}

TEST(poll_cancels_between_tasks) {
    for (const int threads : {1, 2, 5}) {
        std::atomic<int> ran{0};
        const auto start = Clock::now();
        const bool done = jobs::run(
            10000, threads,
            [&](std::int64_t, int) {
                ++ran;
                std::this_thread::sleep_for(1ms);
            },
            [] { return true; });
        CHECK(!done);
        CHECK(ran < 5000);
        CHECK(Clock::now() - start < 1s);
        expect_each_task_once(100, threads);
    }
}

TEST(poll_while_a_worker_is_in_a_long_task) {
    jobs::Meeting meeting(2);
    std::atomic<bool> polled{false};
    const bool done = jobs::run(
        2, 2,
        [&](std::int64_t, int worker) {
            meeting.wait();
            if (worker != 0) jobs::await([&] { return polled.load(); });
        },
        [&] {
            polled = true;
            return true;
        });
    CHECK(polled);
    CHECK(!done);
}

TEST(poll_exceptions_arrive) {
    for (const int threads : {1, 2}) {
        CHECK_THROWS(jobs::run(
                         1000, threads,
                         [](std::int64_t, int) { std::this_thread::sleep_for(1ms); },
                         []() -> bool { throw std::runtime_error("in poll"); }),
                     std::runtime_error, "in poll");
    }
    std::atomic<bool> polled{false};  // while waiting for a worker
    jobs::Meeting meeting(2);
    CHECK_THROWS(jobs::run(
                     2, 2,
                     [&](std::int64_t, int worker) {
                         meeting.wait();
                         if (worker != 0) jobs::await([&] { return polled.load(); });
                     },
                     [&]() -> bool {
                         polled = true;
                         throw std::runtime_error("in poll");
                     }),
                 std::runtime_error, "in poll");
    expect_each_task_once(100, 2);
}

TEST(poll_may_run_a_job) {
    int inner = 0;
    jobs::run(
        40, 2, [](std::int64_t, int) { std::this_thread::sleep_for(1ms); },
        [&] {
            jobs::run(10, 2, [&](std::int64_t, int worker) {
                CHECK_EQ(worker, 0);
                ++inner;
            });
            return false;
        });
    CHECK(inner >= 10);
}

TEST(workers_leave_signals_to_others_but_not_faults) {
    jobs::Meeting meeting(2);
    sigset_t caller_mask;
    pthread_sigmask(SIG_BLOCK, nullptr, &caller_mask);
    CHECK_EQ(sigismember(&caller_mask, SIGINT), 0);
    jobs::run(2, 2, [&](std::int64_t, int worker) {
        meeting.wait();
        if (worker == 0) return;
        sigset_t mask;
        pthread_sigmask(SIG_BLOCK, nullptr, &mask);
        for (const int signal : {SIGINT, SIGTERM, SIGALRM, SIGCHLD, SIGUSR1, SIGPROF}) {
            CHECK_EQ(sigismember(&mask, signal), 1);
        }
        for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL}) {
            CHECK_EQ(sigismember(&mask, fault), 0);
        }
    });
    CHECK(meeting.complete());
}

#if defined(__linux__)
TEST(a_worker_keeps_off_the_callers_cpu_and_moves_nobody_else) {
    cpu_set_t before, after;
    CHECK_EQ(sched_getaffinity(0, sizeof before, &before), 0);
    if (CPU_COUNT(&before) < 2) return;
    jobs::Meeting warm(2);
    jobs::run(2, 2, [&](std::int64_t, int) { warm.wait(); });
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
        if (!CPU_ISSET(cpu, &before)) continue;
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        CHECK_EQ(sched_setaffinity(0, sizeof one, &one), 0);
        for (int i = 0; i < 20; ++i) {
            jobs::Meeting meeting(2);
            int cpus[2] = {-1, -1};
            jobs::run(2, 2, [&](std::int64_t, int worker) {
                cpus[worker] = sched_getcpu();
                meeting.wait();
            });
            CHECK_EQ(cpus[0], cpu);
            CHECK(cpus[1] >= 0 && cpus[1] != cpu);
        }
        CHECK_EQ(sched_getaffinity(0, sizeof after, &after), 0);
        CHECK(CPU_EQUAL(&after, &one) != 0);
    }
    CHECK_EQ(sched_setaffinity(0, sizeof before, &before), 0);
}

// More threads than CPUs: nobody is kept off anything, or all would crowd on what is left.
TEST(workers_may_run_anywhere_when_there_are_more_than_cpus) {
    cpu_set_t caller;
    CHECK_EQ(sched_getaffinity(0, sizeof caller, &caller), 0);
    const int threads = CPU_COUNT(&caller) + 2;
    if (threads > poolcore::kMaxThreads) return;
    std::atomic<int> limited{0};
    jobs::Meeting meeting(threads);
    jobs::run(threads, threads, [&](std::int64_t, int) {
        cpu_set_t mine;
        limited += sched_getaffinity(0, sizeof mine, &mine) != 0 || !CPU_EQUAL(&mine, &caller);
        meeting.wait();
    });
    CHECK_EQ(limited.load(), 0);
}
#endif

TEST(workers_take_the_callers_rounding_mode) {
    for (const int mode : {FE_UPWARD, FE_DOWNWARD, FE_TONEAREST}) {
        std::fesetround(mode);
        jobs::Meeting meeting(3);
        jobs::run(3, 3, [&](std::int64_t, int) {
            meeting.wait();
            CHECK_EQ(std::fegetround(), mode);
        });
        CHECK_EQ(std::fegetround(), mode);
        CHECK(meeting.complete());
    }
}

TEST_MAIN()

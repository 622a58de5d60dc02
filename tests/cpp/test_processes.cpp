// The thread pool and the life of the process: fork in every state, threads that cannot start, the
// environment variable, exit in the middle of a job. `--bench` prints dispatch latencies instead.
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "check.hpp"
#include "jobs.hpp"
#include "poolcore/cpu.hpp"
#include "poolcore/error.hpp"
#include "poolcore/threads.hpp"

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

// Thread sanitizer would end a child that starts threads; that is just what is tested here.
extern "C" const char* __tsan_default_options();
extern "C" const char* __tsan_default_options() { return "die_after_fork=0:atexit_sleep_ms=20"; }

namespace {
std::atomic<int> starts_allowed{1 << 30};
}

// Stands before the system's: fails like a system out of threads when the test says so.
extern "C" int pthread_create(pthread_t* thread, const pthread_attr_t* attributes,
                              void* (*start)(void*), void* argument) {
    using Create = int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
    static const auto next = reinterpret_cast<Create>(dlsym(RTLD_NEXT, "pthread_create"));
    if (starts_allowed.fetch_sub(1) <= 0) return EAGAIN;
    return next(thread, attributes, start, argument);
}

namespace {

// True when a job of tasks 0..99 gives the right sum, and `threads` threads were at work at once.
bool pool_works(int threads) {
    std::atomic<int> sum{0};
    jobs::run(100, threads, [&](std::int64_t task, int) { sum += static_cast<int>(task); });
    jobs::Meeting meeting(threads);
    jobs::run(threads, threads, [&](std::int64_t, int) { meeting.wait(); });
    return sum == 4950 && meeting.complete();
}

// Runs `child` in a fork and returns its exit status; 100 + signal when a signal ended it.
template <class Child>
int in_fork(Child child) {
    std::fflush(stdout);
    const pid_t pid = fork();
    if (pid == 0) {
        alarm(20);  // a hang is a failure with a signal
        _exit(child());
    }
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 100 + WTERMSIG(status);
}

// Runs this program again with an environment variable and one argument.
int in_new_process(const char* variable, const char* value, const char* argument) {
    return in_fork([&] {
        if (value == nullptr) {
            unsetenv(variable);
        } else {
            setenv(variable, value, 1);
        }
        execl(check::registry().program, "self", argument, static_cast<char*>(nullptr));
        return 99;
    });
}

int print_threads() {
    for (int i = 0; i < 2; ++i) {  // the second time says the same
        try {
            const int n = poolcore::get_num_threads();
            if (i == 1) return n > 90 ? 90 : n;
        } catch (const poolcore::PoolError& error) {
            const std::string text = error.what();
            const bool named = text.find("POOLCORE_NUM_THREADS") != std::string::npos &&
                               text.find(std::getenv("POOLCORE_NUM_THREADS")) != std::string::npos;
            if (!named || error.kind() != poolcore::ErrorKind::kValue) return 97;
            if (i == 1) return 98;
        }
    }
    return 96;
}

// The pool has not been used when this thread forks and another is about to use it.
int fork_beside_the_first_job() {
    std::atomic<bool> go{false};
    std::thread other([&] {
        while (!go) {
        }
        jobs::run(40, 3, [](std::int64_t, int) { std::this_thread::sleep_for(10us); });
    });
    go = true;
    const int status = in_fork([] { return pool_works(3) ? 0 : 1; });
    other.join();
    return status == 0 && pool_works(3) ? 0 : 1;
}

int exit_inside_a_job() {
    std::thread([] {
        jobs::run(1 << 20, 3, [](std::int64_t, int) { std::this_thread::sleep_for(1ms); });
    }).detach();
    std::this_thread::sleep_for(20ms);
    return 0;  // static destructors run while three threads work
}

template <class Between>
void print_latency(const char* label, int helpers_done, Between between) {
    std::vector<double> micros;
    for (int i = 0; i < 2000; ++i) {
        between();
        std::atomic<int> on_worker{0};
        const auto start = Clock::now();
        jobs::run(2, 2, [&](std::int64_t, int worker) { on_worker += worker != 0; });
        micros.push_back(std::chrono::duration<double, std::micro>(Clock::now() - start).count());
        helpers_done += on_worker;
    }
    std::sort(micros.begin(), micros.end());
    std::printf("%-34s median %6.2f us, 10%% %6.2f, 90%% %6.2f; tasks on the worker %d\n", label,
                micros[1000], micros[200], micros[1800], helpers_done);
}

// How long after the call a second thread runs its first task.
template <class Between>
void print_start_delay(const char* label, Between between) {
    std::vector<double> micros;
    for (int i = 0; i < 1000; ++i) {
        between();
        jobs::Meeting meeting(2);
        Clock::time_point arrived;
        const auto start = Clock::now();
        jobs::run(2, 2, [&](std::int64_t, int worker) {
            if (worker != 0) arrived = Clock::now();
            meeting.arrive_and_spin();
        });
        micros.push_back(std::chrono::duration<double, std::micro>(arrived - start).count());
    }
    std::sort(micros.begin(), micros.end());
    std::printf("%-34s median %6.2f us, 10%% %6.2f, 90%% %6.2f\n", label, micros[500], micros[100],
                micros[900]);
}

int bench() {
    const auto nothing = [] {};
    const auto sleep = [] { std::this_thread::sleep_for(500us); };
    print_latency("empty 2-task job, back to back", 0, nothing);
    print_latency("empty 2-task job, after sleep", 0, sleep);
    print_start_delay("worker starts, back to back", nothing);
    print_start_delay("worker starts, after sleep", sleep);
    return 0;
}

}  // namespace

TEST(fork_with_a_warm_pool) {
    CHECK(pool_works(3));
    for (long i = 0; i < check::rounds(100); ++i) {
        const auto start = Clock::now();
        CHECK_EQ(in_fork([] { return pool_works(3) ? 0 : 1; }), 0);
        CHECK(Clock::now() - start < 1s);
    }
    CHECK(pool_works(3));
}

TEST(fork_again_in_the_child) {
    CHECK(pool_works(2));
    for (int i = 0; i < 10; ++i) {
        CHECK_EQ(in_fork([] {
                     if (!pool_works(2)) return 1;
                     return in_fork([] { return pool_works(3) ? 0 : 2; });
                 }),
                 0);
    }
    CHECK(pool_works(2));
}

TEST(fork_beside_the_first_job) {
#if defined(__SANITIZE_ADDRESS__)
    // Its allocator's locks are not released in a child: a fork beside a thread that starts hangs.
    std::printf("not run: AddressSanitizer does not support it\n");
#else
    for (long i = 0; i < check::rounds(50); ++i) {
        CHECK_EQ(in_new_process("UNUSED", nullptr, "--fork-beside-the-first-job"), 0);
    }
#endif
}

TEST(fork_while_another_thread_is_inside_a_job) {
    std::atomic<bool> stop{false};
    std::atomic<long> wrong{0}, done{0};
    std::thread other([&] {
        while (!stop) {
            std::atomic<int> sum{0};
            jobs::run(40, 3, [&](std::int64_t task, int) {
                sum += static_cast<int>(task);
                std::this_thread::sleep_for(10us);
            });
            wrong += sum != 780;
            ++done;
        }
    });
    CHECK(jobs::await([&] { return done > 0; }));  // nothing is started or allocated any more
    for (long i = 0; i < check::rounds(100); ++i) {
        const auto start = Clock::now();
        CHECK_EQ(in_fork([] { return pool_works(3) ? 0 : 1; }), 0);
        CHECK(Clock::now() - start < 1s);
    }
    stop = true;
    other.join();
    CHECK_EQ(wrong.load(), 0);
    CHECK(pool_works(3));
}

// As when Python code in a signal handler forks: the child must not believe that it got a result.
TEST(fork_inside_poll) {
    pid_t child = -1;
    jobs::Meeting meeting(2);
    std::atomic<bool> polled{false};
    bool lost = false;
    try {
        jobs::run(
            2, 2,
            [&](std::int64_t, int worker) {
                meeting.wait();
                if (worker != 0) jobs::await([&] { return polled.load(); });
            },
            [&] {
                if (child < 0) child = fork();
                polled = true;
                return false;
            });
    } catch (const std::runtime_error& error) {
        lost = std::strstr(error.what(), "forked") != nullptr;
    }
    if (child == 0) _exit(lost && pool_works(2) ? 0 : 1);
    CHECK(!lost);
    int status = 0;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK(pool_works(2));
}

TEST(no_thread_can_start) {
    CHECK_EQ(in_fork([] {
                 starts_allowed = 0;
                 bool inline_only = true;
                 std::atomic<int> sum{0};
                 const auto self = std::this_thread::get_id();
                 jobs::run(100, 4, [&](std::int64_t task, int worker) {
                     inline_only &= worker == 0 && std::this_thread::get_id() == self;
                     sum += static_cast<int>(task);
                 });
                 if (sum != 4950 || !inline_only || starts_allowed == 0) return 1;
                 starts_allowed = 100;  // tried again, but not at once
                 std::this_thread::sleep_for(1100ms);
                 return pool_works(4) ? 0 : 2;
             }),
             0);
}

TEST(only_some_threads_can_start) {
    CHECK_EQ(in_fork([] {
                 starts_allowed = 1;
                 std::atomic<int> most{0};
                 jobs::run(1000, 5, [&](std::int64_t, int worker) {
                     if (worker > most) most = worker;
                 });
                 return most <= 1 && pool_works(2) ? 0 : 1;
             }),
             0);
}

TEST(environment_variable) {
    const char* name = "POOLCORE_NUM_THREADS";
    CHECK_EQ(in_new_process(name, "7", "--print-threads"), 7);
    CHECK_EQ(in_new_process(name, "1", "--print-threads"), 1);
    CHECK_EQ(in_new_process(name, "999999", "--print-threads"), 90);
    const int cpus = std::min(poolcore::available_cpus(), 90);
    CHECK_EQ(in_new_process(name, nullptr, "--print-threads"), cpus);
    CHECK_EQ(in_new_process(name, "", "--print-threads"), cpus);
    for (const char* nonsense : {"0", "-2", "two", "2.5", "3x", " 3", "99999999999999999999"}) {
        CHECK_EQ(in_new_process(name, nonsense, "--print-threads"), 98);
    }
}

TEST(exit_while_another_thread_is_inside_a_job) {
    for (int i = 0; i < 10; ++i) {
        CHECK_EQ(in_new_process("UNUSED", nullptr, "--exit-inside-a-job"), 0);
    }
}

int main(int argc, char** argv) {
    const std::string mode = argc > 1 ? argv[1] : "";
    if (mode == "--print-threads") return print_threads();
    if (mode == "--fork-beside-the-first-job") return fork_beside_the_first_job();
    if (mode == "--exit-inside-a-job") return exit_inside_a_job();
    if (mode == "--bench") return bench();
    return check::run(argc, argv);
}

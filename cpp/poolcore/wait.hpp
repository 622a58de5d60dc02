// How a thread waits for a word of memory to change: spin a little, then sleep. A futex where there
// is one, because C++20 has no wait with a time limit, and because a futex is plain memory that a
// forked child can simply overwrite. Only threads.cpp may include it.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>

// The 64-bit form only: 32-bit kernels take another timespec.
#if defined(__linux__) && defined(__LP64__)
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#define POOLCORE_FUTEX 1
#endif

namespace poolcore {

using Clock = std::chrono::steady_clock;
using Word = std::atomic<std::uint32_t>;
static_assert(sizeof(Word) == 4 && Word::is_always_lock_free);

// Long enough to bridge the gap between two calls in a loop, short enough to cost nobody else.
inline constexpr auto kSpin = std::chrono::microseconds(30);

// Tells the core that this is a spin loop. As text: the intrinsic's header is for kernels only.
inline void relax() {
#if defined(__x86_64__) || defined(__i386__)
    __asm__ volatile("pause");
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

// False when `done` did not come true within kSpin.
template <class Done>
bool spin_until(Done done) {
    const auto end = Clock::now() + kSpin;
    do {
        for (int i = 0; i < 16; ++i) {
            if (done()) return true;
            relax();
        }
    } while (Clock::now() < end);
    return false;
}

// Sleeps while `word` holds `seen`, until woken, or until `limit` has passed if it is not zero.
// May return early for no reason.
inline void sleep_on(Word& word, std::uint32_t seen, std::chrono::nanoseconds limit) {
#if defined(POOLCORE_FUTEX)
    const auto ns = limit.count();
    struct timespec wait = {};
    wait.tv_sec = static_cast<decltype(wait.tv_sec)>(ns / 1'000'000'000);
    wait.tv_nsec = static_cast<decltype(wait.tv_nsec)>(ns % 1'000'000'000);
    syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, seen, ns > 0 ? &wait : nullptr, nullptr, 0);
#else
    if (limit.count() == 0) {
        word.wait(seen, std::memory_order_acquire);
    } else {
        std::this_thread::sleep_for(std::min<std::chrono::nanoseconds>(
            limit, std::chrono::microseconds(200)));  // no timed wait in C++20
    }
#endif
}

// At least `sleepers` of those that sleep on `word`, or all of them.
inline void wake(Word& word, int sleepers) {
#if defined(POOLCORE_FUTEX)
    syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, sleepers, nullptr, nullptr, 0);
#else
    if (sleepers == 1) {
        word.notify_one();
    } else {
        word.notify_all();
    }
#endif
}

}  // namespace poolcore

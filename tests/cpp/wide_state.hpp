// Whether the upper halves of AVX registers hold something, as XGETBV tells where it can. A kernel
// that returns so makes all SSE code that follows slow on CPUs that keep two states. Instrumented
// kernels, which are compiled otherwise, are not asked.
#pragma once

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define POOLCORE_INSTRUMENTED
#elif defined(__has_feature)  // Clang
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define POOLCORE_INSTRUMENTED
#endif
#endif
#if defined(__x86_64__) && !defined(POOLCORE_INSTRUMENTED)
#define POOLCORE_ASKS_WIDE_STATE
#include <cpuid.h>
#endif

// Restores of all registers, as by the first call of a function of a shared library, look the same:
// whoever sees it once should look again.
inline bool wide_state_in_use() {
#if defined(POOLCORE_ASKS_WIDE_STATE)
    unsigned a = 0, b = 0, c = 0, d = 0;
    constexpr unsigned kOsxsave = 1u << 27, kTellsInUse = 1u << 2;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & kOsxsave)) return false;
    if (!__get_cpuid_count(0xd, 1, &a, &b, &c, &d) || !(a & kTellsInUse)) return false;
    __asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(1));
    constexpr unsigned kHalves = 1u << 2 | 1u << 6;  // of ymm0 to ymm15, and of zmm0 to zmm15
    return (a & kHalves) != 0;
#else
    return false;
#endif
}

// Whether `call`, made again where it seems so, leaves them in use.
template <class Call>
bool leaves_wide_state(const Call& call) {
    for (int i = 0; i < 3; ++i) {
#if defined(POOLCORE_ASKS_WIDE_STATE)
        if (wide_state_in_use()) __asm__ volatile("vzeroupper");
#endif
        call();
        if (!wide_state_in_use()) return false;
    }
    return true;
}

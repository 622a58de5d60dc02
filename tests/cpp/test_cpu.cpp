// What cpu.hpp promises, against a second opinion: the compiler's own CPU detection and the
// affinity mask set here.
#include <string>
#include <vector>

#if defined(__linux__)
#include <sched.h>
#endif

#include "check.hpp"
#include "poolcore/cpu.hpp"

using poolcore::Target;

TEST(names) {
    const char* const expected[poolcore::kNumTargets] = {"scalar", "x86-64-v2", "x86-64-v3",
                                                         "x86-64-v4", "neon"};
    for (int i = 0; i < poolcore::kNumTargets; ++i) {
        CHECK_EQ(std::string(poolcore::name(static_cast<Target>(i))), expected[i]);
    }
}

TEST(levels_include_the_lower_ones) {
    CHECK(poolcore::cpu_supports(Target::kScalar));
    if (poolcore::cpu_supports(Target::kV4)) CHECK(poolcore::cpu_supports(Target::kV3));
    if (poolcore::cpu_supports(Target::kV3)) CHECK(poolcore::cpu_supports(Target::kV2));
}

#if defined(__x86_64__)

TEST(levels_agree_with_the_compilers_detection) {
    __builtin_cpu_init();
    const auto v2 = __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt");
    const auto v3 = v2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
    const auto v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                    __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                    __builtin_cpu_supports("avx512vl");
    CHECK_EQ(poolcore::cpu_supports(Target::kV2), v2);
    CHECK_EQ(poolcore::cpu_supports(Target::kV3), v3);
    CHECK_EQ(poolcore::cpu_supports(Target::kV4), v4);
    CHECK(!poolcore::cpu_supports(Target::kNeon));
}

#elif defined(__aarch64__)

TEST(neon_is_always_there) {
    CHECK(poolcore::cpu_supports(Target::kNeon));
    CHECK(!poolcore::cpu_supports(Target::kV2));
}

#endif

TEST(there_is_a_cpu) { CHECK(poolcore::available_cpus() >= 1); }

#if defined(__linux__)

TEST(cpus_are_counted_by_affinity) {
    cpu_set_t before;
    if (sched_getaffinity(0, sizeof before, &before) != 0) return;  // more than 1024 CPUs
    CHECK(poolcore::available_cpus() <= CPU_COUNT(&before));
    cpu_set_t one;
    CPU_ZERO(&one);
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
        if (CPU_ISSET(cpu, &before)) {
            CPU_SET(cpu, &one);
            break;
        }
    }
    CHECK_EQ(sched_setaffinity(0, sizeof one, &one), 0);
    CHECK_EQ(poolcore::available_cpus(), 1);
    CHECK_EQ(sched_setaffinity(0, sizeof before, &before), 0);
}

#endif

TEST_MAIN()

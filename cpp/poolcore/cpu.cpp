// What this CPU can do: instruction-set levels through cpuid and xgetbv, and the number of CPUs
// this process may use. cpuid by hand, because compilers learnt the level names at different
// times. Anyone may include the header; nothing but the standard and system headers come in.
#include "poolcore/cpu.hpp"

#include <algorithm>
#include <cstdint>
#include <thread>

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__linux__)
#include <sched.h>

#include <exception>
#include <fstream>
#include <string>
#include <vector>
#endif

namespace poolcore {
namespace {

#if defined(__x86_64__)

struct CpuBits {
    std::uint32_t leaf1_ecx = 0;
    std::uint32_t leaf7_ebx = 0;
    std::uint32_t ext1_ecx = 0;
    std::uint64_t xcr0 = 0;  // register state that the operating system saves
};

constexpr std::uint32_t bit(int n) { return std::uint32_t{1} << n; }

// XGETBV as bytes of text: its intrinsic would need an instruction-set flag on this file.
std::uint64_t read_xcr0() {
    std::uint32_t lo = 0;
    std::uint32_t hi = 0;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (std::uint64_t{hi} << 32) | lo;
}

constexpr int kOsxsave = 27;

CpuBits read_cpu() {
    CpuBits bits;
    unsigned a = 0;
    unsigned b = 0;
    unsigned c = 0;
    unsigned d = 0;
    if (__get_cpuid(1, &a, &b, &c, &d) != 0) bits.leaf1_ecx = c;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d) != 0) bits.leaf7_ebx = b;
    if (__get_cpuid(0x80000001U, &a, &b, &c, &d) != 0) bits.ext1_ecx = c;
    if ((bits.leaf1_ecx & bit(kOsxsave)) != 0) bits.xcr0 = read_xcr0();
    return bits;
}

template <class T>
bool has_all(T value, T wanted) {
    return (value & wanted) == wanted;
}

bool supports_v2(const CpuBits& cpu) {
    // SSE3, SSSE3, CMPXCHG16B, SSE4.1, SSE4.2, POPCNT; LAHF.
    return has_all(cpu.leaf1_ecx, bit(0) | bit(9) | bit(13) | bit(19) | bit(20) | bit(23)) &&
           has_all(cpu.ext1_ecx, bit(0));
}

bool supports_v3(const CpuBits& cpu) {
    // FMA, MOVBE, OSXSAVE, AVX, F16C; BMI1, AVX2, BMI2; LZCNT; XMM and YMM state.
    return supports_v2(cpu) &&
           has_all(cpu.leaf1_ecx, bit(12) | bit(22) | bit(kOsxsave) | bit(28) | bit(29)) &&
           has_all(cpu.leaf7_ebx, bit(3) | bit(5) | bit(8)) && has_all(cpu.ext1_ecx, bit(5)) &&
           has_all(cpu.xcr0, std::uint64_t{0x6});
}

bool supports_v4(const CpuBits& cpu) {
    // AVX-512 F, DQ, CD, BW, VL; mask registers and both halves of the ZMM state.
    return supports_v3(cpu) &&
           has_all(cpu.leaf7_ebx, bit(16) | bit(17) | bit(28) | bit(30) | bit(31)) &&
           has_all(cpu.xcr0, std::uint64_t{0xe6});
}

bool x86_supports(Target target) {
    static const CpuBits cpu = read_cpu();
    if (target == Target::kV2) return supports_v2(cpu);
    if (target == Target::kV3) return supports_v3(cpu);
    return target == Target::kV4 && supports_v4(cpu);
}

#endif  // __x86_64__

#if defined(__linux__)

// 0 when the kernel will not say.
int cpus_by_affinity() {
    // The kernel refuses a mask shorter than its own, so grow until it fits.
    for (std::size_t words = 16; words <= 4096; words *= 2) {
        std::vector<cpu_set_t> sets(std::max<std::size_t>(1, words * 8 / sizeof(cpu_set_t)));
        const std::size_t bytes = sets.size() * sizeof(cpu_set_t);
        if (sched_getaffinity(0, bytes, sets.data()) == 0) return CPU_COUNT_S(bytes, sets.data());
    }
    return 0;
}

// The quota of one control group in whole CPUs, rounded up; 0 when it sets none.
int quota_of(const std::string& directory) {
    std::ifstream file(directory + "/cpu.max");
    std::string quota;
    std::int64_t period = 0;
    if (!(file >> quota >> period) || quota == "max" || period <= 0) return 0;
    const std::int64_t micros = std::stoll(quota);
    constexpr std::int64_t most = 1 << 20;
    return static_cast<int>(std::clamp((micros - 1) / period + 1, std::int64_t{1}, most));
}

// The tightest version 2 control group quota on the way from this process's group to the root.
int cpus_by_quota() {
    std::ifstream file("/proc/self/cgroup");
    std::string line;
    while (std::getline(file, line) && line.rfind("0::/", 0) != 0) {
    }
    if (line.rfind("0::/", 0) != 0) return 0;
    std::string path = line.substr(3);
    int best = 0;
    for (;;) {
        while (!path.empty() && path.back() == '/') path.pop_back();
        const int quota = quota_of("/sys/fs/cgroup" + path);
        if (quota > 0 && (best == 0 || quota < best)) best = quota;
        if (path.empty()) return best;
        path.erase(path.rfind('/'));
    }
}

int count_cpus() {
    try {
        const int affinity = cpus_by_affinity();
        const int quota = cpus_by_quota();
        if (quota > 0 && (affinity == 0 || quota < affinity)) return quota;
        return affinity;
    } catch (const std::exception&) {
        return 0;  // no memory, or a quota file nobody has seen: hardware_concurrency answers
    }
}

#else

int count_cpus() { return 0; }

#endif  // __linux__

}  // namespace

const char* name(Target target) {
    switch (target) {
        case Target::kScalar:
            return "scalar";
        case Target::kV2:
            return "x86-64-v2";
        case Target::kV3:
            return "x86-64-v3";
        case Target::kV4:
            return "x86-64-v4";
        case Target::kNeon:
            return "neon";
    }
    return "unknown";
}

bool cpu_supports(Target target) {
    if (target == Target::kScalar) return true;
#if defined(__x86_64__)
    return x86_supports(target);
#elif defined(__aarch64__)
    return target == Target::kNeon;
#else
    return false;
#endif
}

int available_cpus() {
    const int counted = count_cpus();
    if (counted > 0) return counted;
    return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace poolcore

// What this CPU can do. The only file that asks it.
#pragma once

namespace poolcore {

enum class Target { kScalar, kV2, kV3, kV4, kNeon };
inline constexpr int kNumTargets = 5;

const char* name(Target target);       // "scalar", "x86-64-v2", "x86-64-v3", "x86-64-v4", "neon"
bool cpu_supports(Target target);      // whole x86-64 level, operating system support included
int available_cpus();                  // by affinity, at least 1

}  // namespace poolcore

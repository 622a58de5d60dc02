#include "poolcore/dispatch.hpp"

#include <atomic>
#include <cstdlib>
#include <mutex>

#include "kernels/kernel_table.hpp"
#include "poolcore/error.hpp"

namespace poolcore {
namespace {

// From the narrowest to the widest; a table not built in is null.
constexpr Target kAllTargets[kNumTargets] = {Target::kScalar, Target::kV2, Target::kV3,
                                             Target::kV4, Target::kNeon};

const KernelTable* built_table(Target target) {
    switch (target) {
#if defined(POOLCORE_HAS_SCALAR)
        case Target::kScalar: return &kScalarTable;
#endif
#if defined(POOLCORE_HAS_V2)
        case Target::kV2: return &kV2Table;
#endif
#if defined(POOLCORE_HAS_V3)
        case Target::kV3: return &kV3Table;
#endif
#if defined(POOLCORE_HAS_V4)
        case Target::kV4: return &kV4Table;
#endif
#if defined(POOLCORE_HAS_NEON)
        case Target::kNeon: return &kNeonTable;
#endif
        default: return nullptr;
    }
}

struct Choice {
    Target target;
    const KernelTable* table;
};

std::atomic<int> chosen{-1};  // a Target, or -1 before the first use

Target best_target() {
    Target best = Target::kScalar;
    for (const Target t : kAllTargets)
        if (built_table(t) && cpu_supports(t)) best = t;
    return best;
}

[[noreturn]] void refuse(const char* source, const std::string& wanted, const char* why) {
    std::string names;
    for (const Target t : kAllTargets)
        if (built_table(t) && cpu_supports(t)) names += std::string(", ") + name(t);
    throw PoolError(ErrorKind::kValue, std::string(source) + "='" + wanted + "' " + why +
                                           "; usable here: auto" + names);
}

Target target_by_name(const char* source, const std::string& wanted) {
    if (wanted == "auto" || wanted.empty()) return best_target();
    for (const Target t : kAllTargets) {
        if (wanted != name(t)) continue;
        if (!built_table(t)) refuse(source, wanted, "is not part of this build");
        if (!cpu_supports(t)) refuse(source, wanted, "needs instructions this CPU lacks");
        return t;
    }
    refuse(source, wanted, "names no target");
}

}  // namespace

bool is_built(Target target) { return built_table(target) != nullptr; }

Target target_in_use() {
    int target = chosen.load(std::memory_order_acquire);
    if (target < 0) {
        const char* wanted = std::getenv("POOLCORE_TARGET");
        int expected = -1;
        const int first =
            static_cast<int>(target_by_name("POOLCORE_TARGET", wanted ? wanted : "auto"));
        chosen.compare_exchange_strong(expected, first, std::memory_order_acq_rel);
        target = chosen.load(std::memory_order_acquire);
    }
    return static_cast<Target>(target);
}

const KernelTable& kernels() { return *built_table(target_in_use()); }

void set_target(const std::string& target_name) {
    chosen.store(static_cast<int>(target_by_name("target", target_name)),
                 std::memory_order_release);
}

}  // namespace poolcore

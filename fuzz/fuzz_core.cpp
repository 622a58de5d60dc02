// A fuzz target: bytes choose a problem (type, operation, options, shapes, strides, values between
// guard pages); every instruction-set target must give the bits of tests/cpp/naive.hpp.
#include <cstdlib>

#include "check.hpp"
#include "random_case.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static cases::Bench bench(cases::kArena);
    static const auto targets = cases::usable_targets();
    cases::Random random(data, size);
    const auto dtype = static_cast<poolcore::DType>(random.below(poolcore::kNumDTypes));
    const auto op = static_cast<poolcore::Op>(random.below(4));  // kMax, kMin, kSum, kAvg
    const auto width = random.between(1, 70);
    cases::Case c;
    if (!cases::random_case(c, dtype, op, width, random)) return 0;
    bench.prepare(c, random, static_cast<int>(random.below(3)) * 6);
    for (const auto target : targets) {
        poolcore::set_target(poolcore::name(target));
        bench.run_and_compare(1);
    }
    poolcore::set_target("auto");
    if (check::registry().failures > 0) std::abort();
    return 0;
}

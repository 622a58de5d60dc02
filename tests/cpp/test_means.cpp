// The kernels that round, called by themselves on every target: every sum that small windows can
// have, by every divisor they can have, in every rounding; and conversions to 16-bit floats.
#include <cstring>
#include <vector>

#include "check.hpp"
#include "kernels/kernel_table.hpp"
#include "naive.hpp"
#include "poolcore/cpu.hpp"
#include "poolcore/dispatch.hpp"

using namespace poolcore;

namespace {

template <class Body>
void on_every_target(const Body& body) {
    for (const Target t : {Target::kScalar, Target::kV2, Target::kV3, Target::kV4, Target::kNeon}) {
        if (!is_built(t) || !cpu_supports(t)) continue;
        set_target(name(t));
        body(kernels(), name(t));
    }
    set_target("auto");
}

constexpr Rounding kRoundings[] = {Rounding::kHalfEven, Rounding::kHalfUp, Rounding::kFloor,
                                   Rounding::kTrunc};

constexpr std::int64_t bit(int n) { return std::int64_t(1) << n; }

std::int64_t floor_of(std::int64_t a, std::int64_t b) {
    return a / b - (a % b != 0 && (a < 0) != (b < 0) ? 1 : 0);
}

// By the words of docs/numerics.md; divisor > 0.
std::int64_t rounded(std::int64_t sum, std::int64_t divisor, Rounding rounding) {
    const std::int64_t up = floor_of(2 * sum + divisor, 2 * divisor);
    switch (rounding) {
        case Rounding::kFloor: return floor_of(sum, divisor);
        case Rounding::kTrunc: return sum / divisor;
        case Rounding::kHalfUp: return up;
        default: return up - (2 * sum + divisor == 2 * divisor * up && up % 2 != 0 ? 1 : 0);
    }
}

template <class Out>
Out clamped(std::int64_t x) {
    constexpr std::int64_t low = std::numeric_limits<Out>::min();
    constexpr std::int64_t high = std::numeric_limits<Out>::max();
    return static_cast<Out>(x < low ? low : x > high ? high : x);
}

template <class Out>
void check_means(const std::vector<Out>& got, std::int64_t first, std::int64_t divisor,
                 Rounding rounding, const char* target) {
    for (std::size_t i = 0; i < got.size(); ++i) {
        const std::int64_t sum = first + static_cast<std::int64_t>(i);
        const Out want = clamped<Out>(rounded(sum, divisor, rounding));
        if (got[i] == want) continue;
        check::fail(__FILE__, __LINE__, std::string(target) + ": " + std::to_string(sum) + " / " +
                             std::to_string(divisor) + " rounding " +
                             std::to_string(static_cast<int>(rounding)) + " gave " +
                             std::to_string(got[i]) + ", expected " + std::to_string(want));
        return;
    }
}

// Every sum of nine elements of E, as windows of three rows and three taps.
template <class E>
void check_narrow(DType type) {
    constexpr std::int64_t low = std::numeric_limits<E>::min();
    constexpr std::int64_t high = std::numeric_limits<E>::max();
    const std::int64_t n = 9 * (high - low) + 1;
    std::vector<E> x(static_cast<std::size_t>(9 * n));
    for (std::int64_t i = 0; i < n; ++i)
        for (std::int64_t tap = 0, rest = i; tap < 9; ++tap) {
            const std::int64_t part = std::min(rest, high - low);
            x[static_cast<std::size_t>(tap * n + i)] = static_cast<E>(low + part);
            rest -= part;
        }
    on_every_target([&](const KernelTable& table, const char* target) {
        std::vector<E> got(static_cast<std::size_t>(n));
        NarrowArgs a{};
        a.src = reinterpret_cast<const std::byte*>(x.data());
        a.dst = reinterpret_cast<std::byte*>(got.data());
        a.n0 = a.n1 = 1;
        a.n = n;
        a.tap_stride = n * static_cast<std::int64_t>(sizeof(E));
        a.row_stride = 3 * a.tap_stride;
        a.rows = a.taps = 3;
        for (const Rounding rounding : kRoundings)
            for (int divisor = 1; divisor <= 9; ++divisor) {
                a.rounding = rounding;
                a.divisor = divisor;
                table.narrow[static_cast<int>(Narrow::kResult)][static_cast<int>(type)](a);
                check_means(got, 9 * low, divisor, rounding, target);
            }
    });
}

// `sums` from `first` on through finish, by one divisor for all or by a table of it.
template <class A, class Out>
void check_finish(Work work, DType out, std::int64_t first, std::int64_t sums,
                  const std::vector<std::int64_t>& divisors) {
    std::vector<A> x(static_cast<std::size_t>(sums));
    for (std::size_t i = 0; i < x.size(); ++i)
        x[i] = static_cast<A>(first + static_cast<std::int64_t>(i));
    on_every_target([&](const KernelTable& table, const char* target) {
        std::vector<Out> got(x.size());
        FinishArgs a{};
        a.src = reinterpret_cast<const std::byte*>(x.data());
        a.dst = reinterpret_cast<std::byte*>(got.data());
        a.n = sums;
        a.dst_stride = sizeof(Out);
        a.sums_fit_double = true;
        std::vector<double> counts(x.size());
        for (const Rounding rounding : kRoundings)
            for (const std::int64_t divisor : divisors) {
                a.rounding = rounding;
                a.divisor = divisor;
                a.divisors = nullptr;
                const auto finish = table.finish[static_cast<int>(Finish::kMean)]
                                                [static_cast<int>(work)][static_cast<int>(out)];
                finish(a);
                check_means(got, first, divisor, rounding, target);
                if (divisor > 9) continue;
                std::fill(counts.begin(), counts.end(), static_cast<double>(divisor) / 2);
                a.divisors = counts.data();
                a.count_step = 1;
                a.scale = 2;
                a.divisor = 0;
                finish(a);
                check_means(got, first, divisor, rounding, target);
            }
    });
}

std::vector<std::int64_t> up_to(std::int64_t last) {
    std::vector<std::int64_t> all;
    for (std::int64_t d = 1; d <= last; ++d) all.push_back(d);
    return all;
}

}  // namespace

TEST(small_windows_of_bytes) {
    check_narrow<std::int8_t>(DType::kInt8);
    check_narrow<std::uint8_t>(DType::kUInt8);
}

TEST(small_windows_of_shorts) {
    check_narrow<std::int16_t>(DType::kInt16);
    check_narrow<std::uint16_t>(DType::kUInt16);
}

TEST(all_16_bit_sums) {
    std::vector<std::int64_t> divisors = up_to(256);
    if (!check::registry().long_form) {
        divisors = up_to(40);
        for (const std::int64_t d : {49, 63, 64, 65, 81, 100, 121, 127, 128, 225, 255, 256})
            divisors.push_back(d);
    }
    for (const std::int64_t d : {257, 1000, 32767, 32768, 65535, 65536, 65537, 1 << 24})
        divisors.push_back(d);
    check_finish<std::uint16_t, std::uint8_t>(Work::kU16, DType::kUInt8, 0, 65536, divisors);
    check_finish<std::int16_t, std::int8_t>(Work::kI16, DType::kInt8, -32768, 65536, divisors);
    check_finish<std::int16_t, std::int16_t>(Work::kI16, DType::kInt16, -32768, 65536, {1, 2, 9});
    check_finish<std::uint16_t, std::uint16_t>(Work::kU16, DType::kUInt16, 0, 65536, {1, 2, 9});
    check_finish<std::uint16_t, std::int64_t>(Work::kU16, DType::kInt64, 0, 65536, {1, 2, 9});
}

TEST(edges_of_wider_sums) {
    const std::vector<std::int64_t> divisors{1, 2, 3, 4, 5, 6, 7, 9, 49, 1 << 20, bit(31) + 1,
                                             bit(50) - 1, bit(50)};
    constexpr std::int64_t n = 3001;
    for (const std::int64_t first : {-bit(31), -(n / 2), bit(31) - n}) {
        check_finish<std::int32_t, std::int16_t>(Work::kI32, DType::kInt16, first, n, divisors);
        check_finish<std::int32_t, std::uint32_t>(Work::kI32, DType::kUInt32, first, n, divisors);
        check_finish<std::int32_t, std::int32_t>(Work::kI32, DType::kInt32, first, n, divisors);
    }
    for (const std::int64_t first : {-bit(50), -(n / 2), bit(50) - n}) {
        check_finish<std::int64_t, std::int32_t>(Work::kI64, DType::kInt32, first, n, divisors);
        check_finish<std::int64_t, std::uint8_t>(Work::kI64, DType::kUInt8, first, n, divisors);
        check_finish<std::int64_t, std::int64_t>(Work::kI64, DType::kInt64, first, n, divisors);
    }
}

TEST(halves_of_floats_and_doubles) {
    std::vector<double> values;
    for (std::uint32_t u = 0; u < 0xffff0000u; u += check::registry().long_form ? 0x101 : 0x1fff) {
        for (const std::uint32_t bits : {u, u & 0xffff8000u, (u & 0xffffe000u) + 0x1000u}) {
            float f;
            std::memcpy(&f, &bits, sizeof f);
            values.push_back(f);
        }
    }
    std::vector<double> doubles;
    for (std::size_t i = 0; i < values.size(); i += 7)
        for (const double nudge : {0.0, 0x1p-40, -0x1p-40})
            doubles.push_back(values[i] * (1 + nudge));
    const std::vector<float> floats(values.begin(), values.end());
    const auto check_sums = [](const auto& x, Work work, DType out, const KernelTable& table,
                               const char* target) {
        std::vector<std::uint16_t> got(x.size());
        FinishArgs a{};
        a.src = reinterpret_cast<const std::byte*>(x.data());
        a.dst = reinterpret_cast<std::byte*>(got.data());
        a.n = static_cast<std::int64_t>(x.size());
        a.dst_stride = 2;
        table.finish[static_cast<int>(Finish::kSum)][static_cast<int>(work)]
                    [static_cast<int>(out)](a);
        for (std::size_t i = 0; i < x.size(); ++i) {
            const double sum = static_cast<double>(x[i]) + 0.0;
            const auto want = naive::bits_of({sum, 0}, out);
            if (got[i] == want) continue;
            check::fail(__FILE__, __LINE__,
                        std::string(target) + ": " + std::to_string(sum) + " became " +
                            std::to_string(got[i]) + ", not " + std::to_string(want));
            return;
        }
    };
    on_every_target([&](const KernelTable& table, const char* target) {
        for (const DType out : {DType::kFloat16, DType::kBFloat16}) {
            check_sums(floats, Work::kF32, out, table, target);
            check_sums(doubles, Work::kF64, out, table, target);
        }
    });
}

TEST_MAIN()

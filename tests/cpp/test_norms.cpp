// Powers by themselves on every target, and norms on arrays without a byte to spare, against long
// double, windows whose powers leave the range of double among them. Meant for the sanitizers.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "check.hpp"
#include "kernels/kernel_table.hpp"
#include "poolcore/cpu.hpp"
#include "poolcore/dispatch.hpp"
#include "poolcore/run.hpp"

namespace {

using namespace poolcore;

constexpr double kExponents[] = {0.5, 1, 2, 3, 1.5, 2.7, 0.01, 100, 0x1p60};

// Finite and not, of every magnitude.
std::vector<double> magnitudes(std::size_t n) {
    std::mt19937_64 random(n);
    std::vector<double> x(n);
    for (double& v : x) {
        const std::uint64_t bits = random();
        std::memcpy(&v, &bits, sizeof v);
    }
    if (n > 3) {
        x[0] = 0;
        x[1] = -__builtin_inf();
        x[2] = -__builtin_nan("");
        x[3] = 1;
    }
    return x;
}

void check_powers(std::vector<double> x, double p, const char* target,
                  const std::vector<double>& expected) {
    raise_magnitudes(reinterpret_cast<std::byte*>(x.data()), static_cast<std::int64_t>(x.size()),
                     p);
    for (std::size_t i = 0; i < x.size(); ++i) {
        const bool same = std::isnan(x[i]) ? std::isnan(expected[i]) : x[i] == expected[i];
        if (same) continue;
        check::fail(__FILE__, __LINE__,
                    std::string(target) + ": element " + std::to_string(i) + " to the power of " +
                        std::to_string(p));
        return;
    }
}

TEST(powers_have_the_same_bits_on_every_target) {
    for (std::size_t n = 0; n < 40; ++n)
        for (const double p : kExponents) {
            const std::vector<double> x = magnitudes(n);
            std::vector<double> expected = x;
            set_target("scalar");
            raise_magnitudes(reinterpret_cast<std::byte*>(expected.data()),
                             static_cast<std::int64_t>(n), p);
            for (const Target t : {Target::kV2, Target::kV3, Target::kV4, Target::kNeon}) {
                if (!is_built(t) || !cpu_supports(t)) continue;
                set_target(name(t));
                check_powers(x, p, name(t), expected);
            }
            set_target("auto");
        }
}

TEST(powers_are_those_of_long_double) {
    std::vector<double> x = magnitudes(2000);
    for (const double p : kExponents) {
        std::vector<double> got = x;
        raise_magnitudes(reinterpret_cast<std::byte*>(got.data()),
                         static_cast<std::int64_t>(got.size()), p);
        for (std::size_t i = 0; i < x.size(); ++i) {
            if (std::isnan(x[i])) continue;
            const long double want = std::pow(std::fabs(static_cast<long double>(x[i])),
                                              static_cast<long double>(p));
            if (want > 0x1p1023L) continue;
            // The logarithm has 58 bits, of which p takes some.
            const long double most = std::max(want, 0x1p-1074L);
            const long double step = 0x1p-53L * (2 + std::fabs(std::log2(most)) / 32) * want;
            CHECK(std::fabs(static_cast<long double>(got[i]) - want) <= step + 0x1p-1074L);
        }
    }
}

struct Plane {
    std::int64_t h, w, kernel, stride, pad;
};

long double naive(const std::vector<double>& taps, double p) {
    long double largest = 0, sum = 0;
    for (const double v : taps) largest = std::max(largest, std::fabs(static_cast<long double>(v)));
    if (largest == 0) return 0;
    if (std::isinf(p)) return largest;
    for (const double v : taps)
        sum += std::pow(std::fabs(static_cast<long double>(v)) / largest,
                        static_cast<long double>(p));
    return largest * std::pow(sum, 1 / static_cast<long double>(p));
}

StridedView plane_view(const std::vector<double>& x, const Plane& p, bool turned) {
    StridedView in;
    in.data = reinterpret_cast<const std::byte*>(x.data());
    in.dtype = DType::kFloat64;
    in.rank = 2;
    in.shape[0] = p.h;
    in.shape[1] = p.w;
    in.strides[0] = turned ? 8 : p.w * 8;
    in.strides[1] = turned ? p.h * 8 : 8;
    return in;
}

// A plane whose lanes run along either axis, of numbers that differ by so many powers of two.
void check_plane(const Plane& p, double power, int spread, bool turned, int threads) {
    std::mt19937_64 random(static_cast<std::uint64_t>(p.h * 1000 + p.w));
    std::vector<double> x(static_cast<std::size_t>(p.h * p.w));
    for (double& v : x) {
        const int exponent = static_cast<int>(random() % (2 * static_cast<unsigned>(spread) + 1));
        v = std::ldexp(1 + 0x1p-53 * static_cast<double>(random() >> 11), exponent - spread);
        if (random() % 2) v = -v;
    }
    PoolSpec spec;
    spec.op = Op::kLp;
    spec.power = power;
    spec.n_axes = 2;
    spec.axes[1] = 1;
    for (int i = 0; i < 2; ++i) spec.params[i] = {p.kernel, p.stride, 1, p.pad, p.pad};
    const StridedView in = plane_view(x, p, turned);
    const PoolPlan plan = make_plan(spec, in);
    std::vector<double> y(static_cast<std::size_t>(plan.out_elements));
    MutableView out;
    out.data = reinterpret_cast<std::byte*>(y.data());
    out.dtype = DType::kFloat64;
    out.rank = 2;
    for (int i = 0; i < 2; ++i) out.shape[i] = plan.out_shape[i];
    out.strides[0] = plan.out_shape[1] * 8;
    out.strides[1] = 8;
    RunControl control;
    control.threads = threads;
    CHECK(run(plan, in, out, nullptr, control) == RunStatus::kDone);
    std::vector<double> taps;
    for (std::int64_t i = 0; i < out.shape[0]; ++i)
        for (std::int64_t j = 0; j < out.shape[1]; ++j) {
            taps.clear();
            for (std::int64_t a = i * p.stride - p.pad; a < i * p.stride - p.pad + p.kernel; ++a)
                for (std::int64_t b = j * p.stride - p.pad; b < j * p.stride - p.pad + p.kernel; ++b)
                    if (a >= 0 && a < p.h && b >= 0 && b < p.w)
                        taps.push_back(x[static_cast<std::size_t>(turned ? b * p.h + a
                                                                         : a * p.w + b)]);
            const long double want = naive(taps, power);
            const long double got = y[static_cast<std::size_t>(i * out.shape[1] + j)];
            CHECK(std::fabs(got - want) <= 8 * 0x1p-53L * want + 0x1p-1074L);
        }
}

TEST(norms) {
    for (const Plane& p : {Plane{1, 1, 1, 1, 0}, {6, 140, 2, 2, 0}, {9, 67, 3, 1, 1},
                           {17, 64, 5, 2, 2}, {20, 33, 11, 3, 5}, {7, 7, 7, 7, 0},
                           {201, 211, 199, 5, 0}})
        for (const double power : {1.0, 2.0, 3.0, 1.5, 9.0, __builtin_inf()})
            for (const int spread : {5, 1000})
                for (const bool turned : {false, true})
                    for (const int threads : {1, 3})
                        if (p.kernel < 100 || threads == 3)
                            check_plane(p, power, spread, turned, threads);
}

}  // namespace

TEST_MAIN()

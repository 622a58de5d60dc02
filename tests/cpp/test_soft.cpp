// SoftPool of windows side by side; the exponential of the core against values of 60 decimal digits,
// rounded once, and its laws.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "check.hpp"
#include "poolcore/exponential.hpp"
#include "poolcore/soft_lanes.hpp"

using namespace poolcore;

namespace {

struct Known {
    double x;
    double power;  // e**x, rounded to nearest
};

constexpr Known kKnown[] = {
    {-0x0.0p+0, 0x1.0000000000000p+0},
    {-0x0.0000000000001p-1022, 0x1.0000000000000p+0},
    {-0x1.0000000000000p-54, 0x1.0000000000000p+0},
    {-0x1.0000000000000p-53, 0x1.fffffffffffffp-1},
    {-0x1.0000000000000p-30, 0x1.fffffff800000p-1},
    {-0x1.0000000000000p-2, 0x1.8ebef9eac820bp-1},
    {-0x1.62e42fefa39efp-2, 0x1.6a09e667f3bcdp-1},
    {-0x1.62e42fefa39f1p-2, 0x1.6a09e667f3bccp-1},
    {-0x1.0000000000000p-1, 0x1.368b2fc6f960ap-1},
    {-0x1.0000000000000p+0, 0x1.78b56362cef38p-2},
    {-0x1.0000000000000p+1, 0x1.152aaa3bf81ccp-3},
    {-0x1.4000000000000p+3, 0x1.7cd79b5647c9bp-15},
    {-0x1.9000000000000p+6, 0x1.a8c1f14e2af5dp-145},
    {-0x1.6200000000000p+9, 0x1.7c8ab2288c9abp-1022},
    {-0x1.6240000000000p+9, 0x0.e6cf6d08897acp-1022},
    {-0x1.6820000000000p+9, 0x0.000077564144fp-1022},
    {-0x1.7400000000000p+9, 0x0.0000000000002p-1022},
    {-0x1.7480000000000p+9, 0x0.0000000000001p-1022},
    {-0x1.7490a3d70a3d7p+9, 0x0.0000000000001p-1022},
    {-0x1.749999999999ap+9, 0x0.0p+0},
    {-0x1.7500000000000p+9, 0x0.0p+0},
    {-0x1.7e43c8800759cp+996, 0x0.0p+0},
    {-INFINITY, 0x0.0p+0},
    {-0x1.8ea836b46f838p+4, 0x1.09b5f0e3d11afp-36},
    {-0x1.dabe615caeceap+4, 0x1.24aa179d9ed8ap-43},
    {-0x1.fcec83873c59fp+4, 0x1.147f98d52d7e0p-46},
    {-0x1.2d9586f9a9128p+5, 0x1.879b9dcc06972p-55},
    {-0x1.d988fb84299bep+4, 0x1.3ba0ae2506103p-43},
    {-0x1.2724dd1d339bap+5, 0x1.b5f581de3f449p-54},
    {-0x1.29037733a544cp+0, 0x1.40f1564bc3890p-2},
    {-0x1.29ff9d9e13a19p+4, 0x1.1820a91fa7fe8p-27},
    {-0x1.2ddfc841f64c9p+5, 0x1.79a9ddce18523p-55},
    {-0x1.9f57fda425f45p+4, 0x1.7692d4351d48dp-38},
    {-0x1.2049c4ae46285p+5, 0x1.01f632a2a2ea8p-52},
    {-0x1.21cea936f94f9p+2, 0x1.61e24c950a3bdp-7},
};

// Doubles between two that are not negative.
std::int64_t steps(double a, double b) {
    return std::abs(std::bit_cast<std::int64_t>(a) - std::bit_cast<std::int64_t>(b));
}

TEST(known_values) {
    for (const Known& known : kKnown) {
        const double got = exp_of_negative(known.x);
        CHECK(steps(got, known.power) <= 1);
    }
}

TEST(exact_values) {
    CHECK(exp_of_negative(0.0) == 1);
    CHECK(exp_of_negative(-0.0) == 1);
    CHECK(exp_of_negative(-INFINITY) == 0);
    CHECK(exp_of_negative(-746.0) == 0);
    CHECK(std::isnan(exp_of_negative(NAN)));
}

// The seams between the exponents do not show.
TEST(grows_up_to_one) {
    double before = 0;
    for (int i = -750 * 64; i <= 0; ++i) {
        const double got = exp_of_negative(i / 64.0);
        CHECK(got >= before && got <= 1);
        before = got;
    }
}

// Against the C library in its widest type, which is wider than double or as wide.
TEST(close_to_the_library) {
    std::uint64_t state = 1;
    const long rounds = check::rounds(200000);
    for (long i = 0; i < rounds; ++i) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        const double unit = static_cast<double>(state >> 11) * 0x1p-53;
        const double x = -(i % 2 ? 746 * unit : unit);
        const auto want = static_cast<double>(std::exp(static_cast<long double>(x)));
        CHECK(steps(exp_of_negative(x), want) <= 1);
    }
}

// The same taps in every one of `lanes` windows, `piece` taps at a time.
double soft(const std::vector<double>& taps, int lanes = 1, std::size_t piece = 4) {
    Scratch scratch;
    scratch.reserve(SoftBlock::footprint());
    SoftBlock block(scratch);
    SoftLanes windows(lanes);
    const auto each_piece = [&](const auto& each) {
        for (std::size_t from = 0; from < taps.size(); from += piece) {
            const std::size_t n = std::min(piece, taps.size() - from);
            for (std::size_t t = 0; t < n; ++t)
                std::fill_n(block.below + t * static_cast<std::size_t>(lanes), lanes,
                            taps[from + t]);
            block.taps = static_cast<std::int64_t>(n);
            each();
        }
    };
    each_piece([&] { windows.see(block); });
    windows.settle();
    each_piece([&] {
        windows.weigh(block);
        windows.add(block);
    });
    const double value = windows.value(0);
    for (int l = 1; l < lanes; ++l)
        CHECK(std::bit_cast<std::uint64_t>(windows.value(l)) ==
              std::bit_cast<std::uint64_t>(value));
    return value;
}

TEST(soft_pool_at_its_limits) {
    for (const double x : {0.1, -3.0, 0.0, 1e308, -1e308, 5e-324, HUGE_VAL, -HUGE_VAL})
        for (const std::size_t n : {1, 2, 3, 7}) CHECK(soft(std::vector<double>(n, x)) == x);
    CHECK(soft({-INFINITY, -INFINITY}) == -INFINITY);
    CHECK(std::isnan(soft({1, NAN, INFINITY})));
    CHECK(soft({1, INFINITY, -INFINITY}) == INFINITY);
    CHECK(soft({-INFINITY, 2, -INFINITY}) == 2);
    CHECK(soft({1e308, -1e308, 0}) == 1e308);
}

TEST(soft_pool_of_two) {
    // 1 / (1 + e**-1), to 17 digits.
    CHECK(std::abs(soft({0, 1}) - 0.73105857863000488) < 1e-15);
    CHECK(soft({3, 4}) - 3 == soft({4, 3}) - 3);
    CHECK(std::abs(soft({1000, 1001}) - 1000.73105857863000488) < 2e-13);
}

// The bits depend neither on the windows beside nor on the pieces.
TEST(lanes_and_pieces) {
    std::vector<double> taps;
    for (int i = 0; i < 60; ++i) taps.push_back(std::sin(i) * (i % 7) * 9);
    taps[31] = -INFINITY;
    const double want = soft(taps);
    for (const int lanes : {1, 2, 3, 7, 8, 63, 64})
        for (const std::size_t piece : {1, 5, 16, 60}) CHECK(soft(taps, lanes, piece) == want);
    taps[17] = NAN;
    for (const int lanes : {1, 5}) CHECK(std::isnan(soft(taps, lanes, 60)));
}

}  // namespace

TEST_MAIN()

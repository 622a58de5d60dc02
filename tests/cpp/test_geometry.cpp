// geometry.hpp against arithmetic that is obviously right: windows counted tap by tap where they
// are small, 128-bit integers where they are not. Nothing here may overflow or crash, whatever
// 64-bit numbers come in.
#include <algorithm>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "check.hpp"
#include "poolcore/error.hpp"
#include "poolcore/geometry.hpp"
#include "trimmed.hpp"

using poolcore::AxisGeometry;
using poolcore::AxisNames;
using poolcore::AxisParams;
using poolcore::PadMode;
using poolcore::TapRange;

namespace {

__extension__ typedef __int128 Wide;

constexpr std::int64_t kMost = INT64_MAX;
constexpr std::int64_t kLeast = INT64_MIN;
constexpr AxisNames kNames{"max_pool2d", 1, 3};

Wide floor_div(Wide a, Wide b) {
    Wide q = a / b;
    while (q * b > a) --q;
    return q;
}

Wide ceil_div(Wide a, Wide b) { return -floor_div(-a, b); }

// What the axis must be, in numbers that cannot overflow.
struct Expected {
    bool legal = false;
    Wide n, k, s, d, lo, hi, e, out;
};

Expected expect(std::int64_t in, const AxisParams& p, PadMode mode, bool ceil_mode) {
    Expected x;
    x.n = in, x.k = p.kernel, x.s = p.stride, x.d = p.dilation;
    if (x.n < 1 || x.k < 1 || x.s < 1 || x.d < 1) return x;
    x.e = x.d * (x.k - 1) + 1;
    if (x.e > kMost) return x;
    const bool same = mode == PadMode::kSame || mode == PadMode::kSameLower;
    x.lo = mode == PadMode::kExplicit ? p.pad_lo : 0;
    x.hi = mode == PadMode::kExplicit ? p.pad_hi : 0;
    if (same) {
        x.out = ceil_div(x.n, x.s);
        const Wide total = (x.out - 1) * x.s + x.e > x.n ? (x.out - 1) * x.s + x.e - x.n : 0;
        x.lo = mode == PadMode::kSame ? total / 2 : total - total / 2;
        x.hi = total - x.lo;
    }
    if (x.lo < 0 || x.hi < 0 || x.lo >= x.e || x.hi >= x.e) return x;
    const Wide span = x.n + x.lo + x.hi - x.e;
    if (span + x.e > kMost) return x;
    if (!same && !ceil_mode) x.out = floor_div(span, x.s) + 1;
    if (!same && ceil_mode) {
        x.out = ceil_div(span, x.s) + 1;
        if ((x.out - 1) * x.s >= x.n + x.lo) --x.out;
    }
    x.legal = x.out >= 1;
    return x;
}

// What was asked for, in words only where a check has failed.
struct Asked {
    std::int64_t in;
    AxisParams p;
    PadMode mode;
    bool ceil_mode;
};

std::string print(const Asked& a) {
    std::string text;
    for (const auto v : {a.in, a.p.kernel, a.p.stride, a.p.dilation, a.p.pad_lo, a.p.pad_hi}) {
        text += std::to_string(v) + " ";
    }
    return "in kernel stride dilation pads: " + text + "mode " +
           std::to_string(static_cast<int>(a.mode)) + (a.ceil_mode ? " ceil" : "");
}

#define CHECK_CASE(condition) \
    if (!(condition)) check::fail(__FILE__, __LINE__, #condition " for " + print(asked))

// Taps of window `o` inside [lo, hi), in closed form.
TapRange taps_in_closed_form(const Expected& x, Wide o, Wide lo, Wide hi) {
    const Wide start = o * x.s - x.lo;
    const Wide first = start >= lo ? 0 : ceil_div(lo - start, x.d);
    Wide last = start >= hi ? 0 : ceil_div(hi - start, x.d);
    if (last > x.k) last = x.k;
    if (last <= first) return {0, 0};
    return {static_cast<std::int64_t>(first), static_cast<std::int64_t>(last)};
}

bool same_taps(const TapRange& a, const TapRange& b) {
    if (b.count() == 0) return a.count() == 0;
    return a.first == b.first && a.last == b.last;
}

// The same, counted: for small cases, where it also vouches for the closed form.
TapRange taps_counted(const Expected& x, Wide o, Wide lo, Wide hi) {
    TapRange range{0, 0};
    for (std::int64_t j = 0; j < x.k; ++j) {
        const Wide at = o * x.s - x.lo + j * x.d;
        if (at < lo || at >= hi) continue;
        if (range.count() == 0) range.first = j;
        range.last = j + 1;
    }
    return range;
}

bool inside(const Expected& x, Wide o) {
    const Wide start = o * x.s - x.lo;
    return start >= 0 && start + x.e <= x.n;
}

void check_interior(const AxisGeometry& g, const Expected& x, const Asked& asked) {
    const TapRange whole = g.interior();
    if (whole.count() == 0) {
        // Nothing inside: then neither at the first window that starts in the input.
        const Wide o = ceil_div(x.lo, x.s);
        CHECK_CASE(o >= x.out || !inside(x, o));
        return;
    }
    CHECK_CASE(whole.first >= 0 && whole.last <= g.out);
    CHECK_CASE(inside(x, whole.first) && inside(x, whole.last - 1));
    CHECK_CASE(whole.first == 0 || !inside(x, Wide{whole.first} - 1));
    CHECK_CASE(whole.last == g.out || !inside(x, whole.last));
}

void check_windows(const AxisGeometry& g, const Expected& x, const Asked& asked) {
    for (const std::int64_t o : {std::int64_t{0}, g.out / 2, g.out - 1}) {
        CHECK_CASE(same_taps(g.taps(o), taps_in_closed_form(x, o, 0, x.n)));
        CHECK_CASE(same_taps(g.padded_taps(o), taps_in_closed_form(x, o, -x.lo, x.n + x.hi)));
    }
}

void check_all_windows(const AxisGeometry& g, const Expected& x, const Asked& asked) {
    for (std::int64_t o = 0; o < g.out; ++o) {
        CHECK_CASE(g.start(o) == o * x.s - x.lo);
        const TapRange real = taps_counted(x, o, 0, x.n);
        CHECK_CASE(same_taps(g.taps(o), real));
        CHECK_CASE(same_taps(taps_in_closed_form(x, o, 0, x.n), real));
        CHECK_CASE(same_taps(g.padded_taps(o), taps_counted(x, o, -x.lo, x.n + x.hi)));
    }
}

// True when the axis is legal.
bool check_axis(std::int64_t in, const AxisParams& p, PadMode mode, bool ceil_mode, bool small) {
    const Asked asked{in, p, mode, ceil_mode};
    const Expected x = expect(in, p, mode, ceil_mode);
    try {
        const AxisGeometry g = poolcore::make_axis_geometry(in, p, mode, ceil_mode, kNames);
        CHECK_CASE(x.legal);
        if (!x.legal) return false;
        CHECK_CASE(g.in == x.n && g.kernel == x.k && g.stride == x.s && g.dilation == x.d);
        CHECK_CASE(g.pad_lo == x.lo && g.pad_hi == x.hi);
        CHECK_CASE(g.out == x.out);
        CHECK_CASE(g.effective() == x.e);
        if (g.out != x.out) return true;
        check_interior(g, x, asked);
        check_windows(g, x, asked);
        CHECK_CASE(trimmed::is_right(g, poolcore::Trim::kAll));
        CHECK_CASE(trimmed::is_right(g, poolcore::Trim::kWholeBlocks));
        if (small) check_all_windows(g, x, asked);
    } catch (const poolcore::PoolError& error) {
        CHECK_CASE(!x.legal);
        CHECK_CASE(error.kind() == poolcore::ErrorKind::kValue);
        CHECK_CASE(std::string(error.what()).rfind("max_pool2d: ", 0) == 0);
    }
    return x.legal;
}

std::string message(std::int64_t in, const AxisParams& p, PadMode mode = PadMode::kExplicit,
                    AxisNames names = kNames) {
    try {
        poolcore::make_axis_geometry(in, p, mode, false, names);
    } catch (const poolcore::PoolError& error) {
        return error.what();
    }
    return "no error";
}

void check_message(const std::string& got, const std::string& wanted) {
    if (got.find(wanted) == std::string::npos) {
        check::fail(__FILE__, __LINE__, "'" + got + "' lacks '" + wanted + "'");
    }
}

}  // namespace

TEST(exhaustive_small_with_padding) {
    long legal = 0;
    const std::int64_t most_in = check::registry().long_form ? 24 : 12;
    for (std::int64_t in = 0; in <= most_in; ++in)
        for (std::int64_t kernel = 0; kernel <= 5; ++kernel)
            for (std::int64_t stride = 0; stride <= 4; ++stride)
                for (std::int64_t dilation = 0; dilation <= 5; ++dilation) {
                    const std::int64_t e = dilation * (kernel - 1) + 1;
                    const std::int64_t most_pad = std::min<std::int64_t>(e, 9);
                    for (std::int64_t lo = -1; lo <= most_pad; ++lo)
                        for (std::int64_t hi = -1; hi <= most_pad; ++hi)
                            for (const bool ceil_mode : {false, true})
                                legal += check_axis(in, {kernel, stride, dilation, lo, hi},
                                                    PadMode::kExplicit, ceil_mode, true);
                }
    CHECK(legal >= 50000);
}

TEST(exhaustive_small_same_and_valid) {
    long legal = 0;
    for (std::int64_t in = 0; in <= 20; ++in)
        for (std::int64_t kernel = 0; kernel <= 6; ++kernel)
            for (std::int64_t stride = 0; stride <= 8; ++stride)
                for (std::int64_t dilation = 0; dilation <= 5; ++dilation)
                    for (const auto mode :
                         {PadMode::kSame, PadMode::kSameLower, PadMode::kValid})
                        for (const bool ceil_mode : {false, true})
                            legal += check_axis(in, {kernel, stride, dilation, 0, 0}, mode,
                                                ceil_mode, true);
    CHECK(legal >= 10000);
}

TEST(extreme_numbers) {
    std::vector<std::int64_t> numbers = {kLeast, kLeast + 1, -1, 0, 1, 2, 3, 5, 7, 100};
    for (const int power : {15, 16, 31, 32, 61, 62}) {
        for (int step = -2; step <= 2; ++step) numbers.push_back((std::int64_t{1} << power) + step);
    }
    for (int step = 0; step < 4; ++step) numbers.push_back(kMost - step);
    for (const std::int64_t root : {3037000498, 3037000499, 3037000500}) numbers.push_back(root);
    std::mt19937_64 random(1);
    const auto pick = [&] { return numbers[random() % numbers.size()]; };
    const auto any = [&] {
        // Uniform in the number of bits, else random numbers would all be huge.
        const auto bits = static_cast<std::int64_t>(random() >> (1 + random() % 62));
        return random() % 3 == 0 ? bits : pick();
    };
    long legal = 0;
    for (long i = 0; i < check::rounds(400000); ++i) {
        const auto mode = static_cast<PadMode>(random() % 4);
        AxisParams p{any(), any(), any(), any(), any()};
        if (random() % 2 == 0) p.dilation = 1 + static_cast<std::int64_t>(random() % 3);
        if (random() % 2 == 0) p.pad_lo = p.kernel / 2;
        if (random() % 2 == 0 && p.kernel > 0) p.pad_hi = p.kernel - 1;
        legal += check_axis(any(), p, mode, random() % 2 == 0, false);
    }
    CHECK(legal > check::rounds(20000));
}

// Mostly legal axes, of as many small lengths as large ones; 100 million in the long form.
TEST(random_axes) {
    std::mt19937_64 random(2);
    const auto any = [&] { return static_cast<std::int64_t>(random() >> (1 + random() % 63)); };
    const auto below = [&](std::int64_t n) {
        return std::min(any(), n - 1);  // n > 0
    };
    long legal = 0;
    const long rounds = check::rounds(2000000);
    for (long i = 0; i < rounds; ++i) {
        const std::uint64_t choice = random();
        const std::int64_t in = 1 + below(kMost);
        const std::int64_t reach = choice % 8 == 0 ? any() : below(in);
        AxisParams p{1, 1 + below(kMost), choice / 8 % 2 == 0 ? 1 : 1 + below(kMost), 0, 0};
        p.kernel = 1 + reach / p.dilation;
        if (choice / 16 % 2 == 0) p.pad_lo = below(p.dilation * (p.kernel - 1) + 1);
        if (choice / 32 % 2 == 0) p.pad_hi = below(p.dilation * (p.kernel - 1) + 1);
        const auto mode = static_cast<PadMode>(choice / 64 % 8 < 4 ? 0 : choice / 64 % 4);
        legal += check_axis(in, p, mode, choice / 512 % 2 == 0, false);
    }
    CHECK(legal > rounds / 2);
    std::printf("     %ld axes, %ld of them legal\n", rounds, legal);
}

TEST(the_largest_legal_axes) {
    CHECK(check_axis(kMost, {1, 1, 1, 0, 0}, PadMode::kExplicit, false, false));
    CHECK(check_axis(kMost, {kMost, kMost, 1, 0, 0}, PadMode::kExplicit, true, false));
    CHECK(check_axis(1, {kMost, 1, 1, kMost - 1, 0}, PadMode::kExplicit, false, false));
    CHECK(check_axis(1, {2, kMost, kMost - 1, kMost - 1, 0}, PadMode::kExplicit, true, false));
    CHECK(check_axis(1, {kMost, 1, 1, 0, 0}, PadMode::kSame, false, false));
    CHECK(!check_axis(2, {kMost, 1, 1, kMost - 1, 0}, PadMode::kExplicit, false, false));
    CHECK(!check_axis(2, {kMost, 1, 1, 0, 0}, PadMode::kSame, false, false));
    CHECK(!check_axis(5, {3, 1, kMost / 2 + 1, 0, 0}, PadMode::kExplicit, false, false));
}

// The windows of an adaptive axis, in numbers that cannot overflow.
void check_adaptive(std::int64_t in, std::int64_t size, std::int64_t o) {
    const AxisGeometry g = poolcore::make_adaptive_geometry(in, size, kNames);
    const Wide first = Wide(o) * in / size;
    const Wide last = (Wide(o + 1) * in + size - 1) / size;
    CHECK(g.in == in && g.out == size);
    CHECK(g.start(o) == first);
    CHECK(g.length(o) == last - first && g.length(o) <= g.kernel && g.length(o) >= 1);
    CHECK(g.taps(o).first == 0 && g.taps(o).last == g.length(o));
    CHECK(g.padded_taps(o).count() == g.length(o));
    if (g.period < size - o) {  // size - o windows are left, this one included
        CHECK(g.start(o + g.period) == g.start(o) + g.stride);
        CHECK(g.length(o + g.period) == g.length(o));
    }
}

TEST(small_adaptive_axes) {
    const std::int64_t most = check::registry().long_form ? 600 : 40;
    for (std::int64_t in = 1; in <= most; ++in)
        for (std::int64_t size = 1; size <= most; ++size) {
            std::int64_t longest = 0;
            for (std::int64_t o = 0; o < size; ++o) {
                check_adaptive(in, size, o);
                const AxisGeometry g = poolcore::make_adaptive_geometry(in, size, kNames);
                longest = std::max(longest, g.length(o));
                CHECK((g.period == 1) == (in % size == 0));
                if (g.period == 1) CHECK(g.kernel == g.stride && g.interior().last == g.out);
            }
            CHECK(poolcore::make_adaptive_geometry(in, size, kNames).kernel == longest);
        }
}

TEST(huge_adaptive_axes) {
    std::mt19937_64 random(5);
    const auto any = [&] {
        const auto number = static_cast<std::int64_t>(random() >> 1 >> random() % 63);
        return std::max<std::int64_t>(number, 1);
    };
    for (std::int64_t i = 0; i < check::rounds(20000); ++i) {
        const std::int64_t in = any(), size = any();
        check_adaptive(in, size, any() % size);
        check_adaptive(in, size, size - 1);
    }
    check_adaptive(kMost, kMost, kMost - 1);
    check_adaptive(kMost, kMost - 1, kMost - 2);
    check_adaptive(kMost - 1, kMost, kMost - 1);
    check_adaptive(1, kMost, kMost - 1);
    check_adaptive(kMost, 1, 0);
}

// One after the other as each by itself.
void check_walk(std::int64_t in, std::int64_t size, std::int64_t first, std::int64_t n) {
    const AxisGeometry g = poolcore::make_adaptive_geometry(in, size, kNames);
    poolcore::AdaptiveWindows windows(g, first);
    for (std::int64_t o = first; o < first + n; ++o, windows.next()) {
        CHECK(windows.start() == g.start(o));
        CHECK(windows.length() == g.length(o));
    }
}

TEST(adaptive_windows_in_turn) {
    for (std::int64_t in = 1; in <= 24; ++in)
        for (std::int64_t size = 1; size <= 40; ++size) check_walk(in, size, size / 3, size - size / 3);
    for (const std::int64_t in : {kMost, kMost - 1, std::int64_t(1), kMost / 3})
        for (const std::int64_t size : {kMost, kMost - 1, kMost / 2 + 1}) {
            check_walk(in, size, 0, 9);
            check_walk(in, size, size - 9, 9);
        }
}

TEST(sizes_that_are_no_windows) {
    CHECK(poolcore::make_adaptive_geometry(7, 0, kNames).out == 0);
    CHECK(poolcore::make_adaptive_geometry(7, poolcore::kKeepSize, kNames).out == 7);
    for (const std::int64_t size : {std::int64_t(-1), kLeast + 1}) {
        bool refused = false;
        try {
            poolcore::make_adaptive_geometry(7, size, kNames);
        } catch (const poolcore::PoolError&) {
            refused = true;
        }
        CHECK(refused);
    }
}

TEST(messages_name_argument_place_and_value) {
    check_message(message(9, {0, 1, 1, 0, 0}), "max_pool2d: kernel_size[1]=0 must be");
    check_message(message(9, {3, -7, 1, 0, 0}), "max_pool2d: stride[1]=-7 must be");
    check_message(message(9, {3, 1, kLeast, 0, 0}), "dilation[1]=-9223372036854775808 must be");
    check_message(message(9, {3, 1, 1, -1, 0}), "padding[1]=-1 must not be negative");
    check_message(message(9, {3, 1, 1, 0, 4}),
                  "padding[1]=4 must be smaller than the effective kernel 3");
    check_message(message(9, {3, 1, 1, 4, 0}, PadMode::kExplicit, {"avg_pool1d", -1, 2}),
                  "avg_pool1d: padding=4 must be smaller than the effective kernel 3");
    check_message(message(9, {3, 1, 5, 0, 0}), "kernel_size[1]=3");
    check_message(message(0, {3, 1, 1, 0, 0}), "axis 3");
    check_message(message(9, {3, 1, 1, 1, 1}), "no error");
}

TEST_MAIN()

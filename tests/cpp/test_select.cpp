// Majorities and medians on arrays without a byte to spare, against one window at a time: networks,
// sorted rows, single windows, counted digits, several threads. Meant for the sanitizers.
#include <algorithm>
#include <cstdint>
#include <map>
#include <random>
#include <type_traits>
#include <vector>

#include "check.hpp"
#include "guard.hpp"
#include "poolcore/cpu.hpp"
#include "poolcore/dispatch.hpp"
#include "poolcore/error.hpp"
#include "poolcore/run.hpp"

namespace {

using namespace poolcore;

template <class T>
constexpr DType dtype_of() {
    if (std::is_same_v<T, double>) return DType::kFloat64;
    if (sizeof(T) == 1) return DType::kUInt8;
    if (sizeof(T) == 2) return DType::kInt16;
    return sizeof(T) == 4 ? DType::kUInt32 : DType::kInt64;
}

template <class T>
T naive(std::vector<T> taps, Op op) {
    std::sort(taps.begin(), taps.end());
    if (op == Op::kMedian) {
        const T low = taps[(taps.size() - 1) / 2];
        const T high = taps[taps.size() / 2];
        if constexpr (std::is_same_v<T, double>) return low / 2 + high / 2;
        else return static_cast<T>((static_cast<__int128>(low) + high) >> 1);
    }
    std::map<T, int> counts;
    for (const T v : taps) ++counts[v];
    return std::max_element(counts.begin(), counts.end(),
                            [](const auto& a, const auto& b) { return a.second < b.second; })
        ->first;
}

struct Plane {
    std::int64_t h, w, kernel, stride, pad;
    std::int64_t dilation = 1;
};

// A plane whose lanes run along either axis.
template <class T>
void check_plane(const Plane& p, Op op, int labels, bool turned, int threads,
                 guard::Flush flush = guard::Flush::kBack) {
    std::mt19937_64 random(static_cast<std::uint64_t>(p.h * 1000 + p.w + labels));
    const auto n = static_cast<std::size_t>(p.h * p.w);
    guard::Arena memory(n * sizeof(T) + 8);
    T* x = reinterpret_cast<T*>(memory.place(n * sizeof(T), flush, 0));
    for (T* v = x; v < x + n; ++v) *v = static_cast<T>(random() % static_cast<std::uint64_t>(labels));
    StridedView in;
    in.data = reinterpret_cast<const std::byte*>(x);
    in.dtype = dtype_of<T>();
    in.rank = 2;
    constexpr auto item = static_cast<std::int64_t>(sizeof(T));
    in.shape[0] = p.h;
    in.shape[1] = p.w;
    in.strides[0] = turned ? item : p.w * item;
    in.strides[1] = turned ? p.h * item : item;
    PoolSpec spec;
    spec.op = op;
    spec.n_axes = 2;
    spec.axes[1] = 1;
    for (int i = 0; i < 2; ++i) spec.params[i] = {p.kernel, p.stride, p.dilation, p.pad, p.pad};
    spec.has_dtype = op == Op::kMedian;
    spec.dtype = in.dtype;
    spec.rounding = Rounding::kFloor;
    const PoolPlan plan = make_plan(spec, in);
    const auto results = static_cast<std::size_t>(plan.out_elements) * sizeof(T);
    guard::Arena result_memory(results + 8);
    MutableView out;
    out.data = result_memory.place(results, flush, 0);
    const T* y = reinterpret_cast<const T*>(out.data);
    out.dtype = in.dtype;
    out.rank = 2;
    for (int i = 0; i < 2; ++i) out.shape[i] = plan.out_shape[i];
    out.strides[0] = plan.out_shape[1] * item;
    out.strides[1] = item;
    RunControl control;
    control.threads = threads;
    CHECK(run(plan, in, out, nullptr, control) == RunStatus::kDone);
    for (std::int64_t i = 0; i < out.shape[0]; ++i)
        for (std::int64_t j = 0; j < out.shape[1]; ++j) {
            std::vector<T> taps;
            for (std::int64_t t = 0; t < p.kernel; ++t)
                for (std::int64_t u = 0; u < p.kernel; ++u) {
                    const std::int64_t a = i * p.stride - p.pad + t * p.dilation;
                    const std::int64_t b = j * p.stride - p.pad + u * p.dilation;
                    if (a >= 0 && a < p.h && b >= 0 && b < p.w)
                        taps.push_back(x[static_cast<std::size_t>(turned ? b * p.h + a
                                                                         : a * p.w + b)]);
                }
            CHECK_EQ(y[i * out.shape[1] + j], naive(taps, op));
        }
}

template <class T>
void check_planes(Op op) {
    for (const Plane& p : {Plane{1, 1, 1, 1, 0}, {6, 140, 2, 2, 0}, {9, 67, 3, 1, 1},
                           {17, 64, 5, 2, 2}, {20, 33, 11, 3, 5}, {40, 41, 20, 7, 0},
                           {201, 211, 199, 5, 0}})
        for (const int labels : {2, 5, 1 << 20})
            for (const bool turned : {false, true})
                for (const int threads : {1, 3})
                    if (p.kernel < 100 || threads == 3)
                        check_plane<T>(p, op, labels, turned, threads);
}

TEST(modes) {
    check_planes<std::uint8_t>(Op::kMode);
    check_planes<std::int16_t>(Op::kMode);
    check_planes<std::uint32_t>(Op::kMode);
    check_planes<std::int64_t>(Op::kMode);
}

TEST(medians) {
    check_planes<std::uint8_t>(Op::kMedian);
    check_planes<std::int16_t>(Op::kMedian);
    check_planes<std::uint32_t>(Op::kMedian);
    check_planes<std::int64_t>(Op::kMedian);
    check_planes<double>(Op::kMedian);
}

// Windows of few taps, full and partial, in vectors of every target; widths around whole vectors.
template <class T>
void check_networks() {
    for (const Target target : {Target::kScalar, Target::kV2, Target::kV3, Target::kV4,
                                Target::kNeon}) {
        if (!is_built(target) || !cpu_supports(target)) continue;
        set_target(name(target));
        for (const Plane& p : {Plane{12, 63, 2, 1, 0}, {24, 64, 3, 1, 1}, {23, 131, 3, 2, 1},
                               {33, 67, 5, 1, 2}, {17, 95, 4, 3, 2}, {29, 64, 3, 1, 2, 2},
                               {40, 130, 7, 1, 3}, {70, 33, 3, 5, 1, 3}, {12, 1025, 3, 1, 1}})
            for (const bool turned : {false, true})
                for (const auto flush : {guard::Flush::kFront, guard::Flush::kBack})
                    check_plane<T>(p, Op::kMedian, 1 << 20, turned, 2, flush);
    }
    set_target("auto");
}

TEST(networks_of_bytes) { check_networks<std::uint8_t>(); }
TEST(networks_of_16_bits) { check_networks<std::int16_t>(); }
TEST(networks_of_32_bits) { check_networks<std::uint32_t>(); }
TEST(networks_of_64_bits) {
    check_networks<std::int64_t>();
    check_networks<double>();
}

TEST(majorities_of_floats_are_refused) {
    StridedView in;
    in.rank = 1;
    in.shape[0] = 4;
    PoolSpec spec;
    spec.op = Op::kMode;
    spec.n_axes = 1;
    CHECK_THROWS(make_plan(spec, in), PoolError, "x has dtype float32");
}

}  // namespace

TEST_MAIN()

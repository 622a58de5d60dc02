// Majorities and medians on arrays without a byte to spare, against one window at a time: sorted
// rows, single windows, counted digits, several threads. Meant for the sanitizers.
#include <algorithm>
#include <cstdint>
#include <map>
#include <random>
#include <type_traits>
#include <vector>

#include "check.hpp"
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
    if (op == Op::kMedian) return taps[(taps.size() - 1) / 2];
    std::map<T, int> counts;
    for (const T v : taps) ++counts[v];
    return std::max_element(counts.begin(), counts.end(),
                            [](const auto& a, const auto& b) { return a.second < b.second; })
        ->first;
}

struct Plane {
    std::int64_t h, w, kernel, stride, pad;
};

// A plane whose lanes run along either axis.
template <class T>
void check_plane(const Plane& p, Op op, int labels, bool turned, int threads) {
    std::mt19937_64 random(static_cast<std::uint64_t>(p.h * 1000 + p.w + labels));
    std::vector<T> x(static_cast<std::size_t>(p.h * p.w));
    for (T& v : x) v = static_cast<T>(random() % static_cast<std::uint64_t>(labels));
    StridedView in;
    in.data = reinterpret_cast<const std::byte*>(x.data());
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
    for (int i = 0; i < 2; ++i) spec.params[i] = {p.kernel, p.stride, 1, p.pad, p.pad};
    spec.has_dtype = op == Op::kMedian;
    spec.dtype = in.dtype;
    spec.rounding = Rounding::kFloor;
    const PoolPlan plan = make_plan(spec, in);
    std::vector<T> y(static_cast<std::size_t>(plan.out_elements));
    MutableView out;
    out.data = reinterpret_cast<std::byte*>(y.data());
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
            for (std::int64_t a = i * p.stride - p.pad; a < i * p.stride - p.pad + p.kernel; ++a)
                for (std::int64_t b = j * p.stride - p.pad; b < j * p.stride - p.pad + p.kernel; ++b)
                    if (a >= 0 && a < p.h && b >= 0 && b < p.w)
                        taps.push_back(x[static_cast<std::size_t>(turned ? b * p.h + a
                                                                         : a * p.w + b)]);
            if (op == Op::kMedian && taps.size() % 2 == 0) continue;
            CHECK_EQ(y[static_cast<std::size_t>(i * out.shape[1] + j)], naive(taps, op));
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

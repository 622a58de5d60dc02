// Adaptive plans against plans for whole planes: every window is cut out of the input and pooled by
// itself, and must give the same bits; its index, moved into the plane, the same place. Arrays lie
// on the heap without a byte to spare, for the sanitizers.
#include <algorithm>
#include <cstring>
#include <memory>

#include "cases.hpp"
#include "poolcore/run.hpp"

using namespace cases;
using poolcore::MutableView;
using poolcore::PoolPlan;
using poolcore::PoolSpec;
using poolcore::StridedView;
using poolcore::WindowKind;

namespace {

// An array of four axes in memory of its own, channels outside or inside the plane.
struct Array {
    std::unique_ptr<std::byte[]> memory;
    MutableView view;
};

Array make_array(DType dtype, const std::int64_t* shape, bool channels_last) {
    Array a;
    a.view.dtype = dtype;
    a.view.rank = 4;
    auto step = static_cast<std::int64_t>(poolcore::item_size(dtype));
    const int near[] = {3, 2, 1, 0}, far[] = {1, 3, 2, 0};
    for (const int axis : channels_last ? far : near) {
        a.view.shape[axis] = shape[axis];
        a.view.strides[axis] = step;
        step *= shape[axis];
    }
    a.memory = std::make_unique<std::byte[]>(static_cast<std::size_t>(step));
    a.view.data = a.memory.get();
    return a;
}

StridedView as_input(const MutableView& v) {
    StridedView in;
    in.data = v.data;
    in.dtype = v.dtype;
    in.rank = v.rank;
    std::copy_n(v.shape, v.rank, in.shape);
    std::copy_n(v.strides, v.rank, in.strides);
    return in;
}

PoolSpec plane_spec(Op op, WindowKind windows) {
    PoolSpec spec;
    spec.op = op;
    spec.n_axes = 2;
    spec.axes[0] = 2;
    spec.axes[1] = 3;
    spec.windows = windows;
    spec.return_indices = op == Op::kMax || op == Op::kMin;
    return spec;
}

// Any finite bits: a float whose second bit is clear is below 2 in magnitude.
Array random_input(DType dtype, const std::int64_t* shape, Random& random) {
    Array a = make_array(dtype, shape, random.chance(40));
    const std::size_t item = poolcore::item_size(dtype);
    const auto n = static_cast<std::size_t>(shape[0] * shape[1] * shape[2] * shape[3]);
    for (std::size_t i = 0; i < n * item; ++i) {
        auto bits = static_cast<unsigned char>(random.bits() >> 32);
        if (dtype == DType::kBool) bits &= 1;
        if (poolcore::is_float(dtype) && i % item == item - 1) bits &= 0xbf;
        a.memory[i] = std::byte{bits};
    }
    return a;
}

struct Answer {
    Array values;
    Array indices;
};

Answer pool(const PoolSpec& spec, const StridedView& in, int threads) {
    const PoolPlan plan = poolcore::make_plan(spec, in);
    Answer answer{make_array(plan.out_dtype, plan.out_shape, false),
                  make_array(DType::kInt64, plan.out_shape, false)};
    poolcore::RunControl control;
    control.threads = threads;
    const MutableView* indices = spec.return_indices ? &answer.indices.view : nullptr;
    poolcore::run(plan, in, answer.values.view, indices, control);
    return answer;
}

// The window (oy, ox) of `all` against the same elements pooled by themselves.
void check_window(const PoolSpec& spec, const StridedView& in, const Answer& all,
                  const std::int64_t* size, std::int64_t oy, std::int64_t ox) {
    StridedView part = in;
    std::int64_t start[2];
    const std::int64_t o[2] = {oy, ox};
    for (int i = 0; i < 2; ++i) {
        const std::int64_t n = in.shape[2 + i];
        start[i] = o[i] * n / size[i];
        part.shape[2 + i] = ((o[i] + 1) * n + size[i] - 1) / size[i] - start[i];
        part.data += start[i] * in.strides[2 + i];
    }
    PoolSpec whole = plane_spec(spec.op, WindowKind::kWhole);
    const Answer one = pool(whole, part, 1);
    const auto item = poolcore::item_size(one.values.view.dtype);
    for (std::int64_t p = 0; p < in.shape[0] * in.shape[1]; ++p) {
        const auto at = static_cast<std::size_t>((p * size[0] + oy) * size[1] + ox);
        const auto from = static_cast<std::size_t>(p);
        const std::byte* got_value = all.values.memory.get() + at * item;
        CHECK(std::memcmp(got_value, one.values.memory.get() + from * item, item) == 0);
        if (!spec.return_indices) continue;
        std::int64_t got = 0, flat = 0;
        std::memcpy(&got, all.indices.memory.get() + at * 8, 8);
        std::memcpy(&flat, one.indices.memory.get() + from * 8, 8);
        CHECK(got == (start[0] + flat / part.shape[3]) * in.shape[3] + start[1] +
                         flat % part.shape[3]);
    }
}

void check_case(DType dtype, Op op, const std::int64_t* shape, const std::int64_t* size,
                Random& random) {
    const Array x = random_input(dtype, shape, random);
    const StridedView in = as_input(x.view);
    PoolSpec spec = plane_spec(op, WindowKind::kAdaptive);
    spec.params[0].kernel = size[0];
    spec.params[1].kernel = size[1];
    const Answer all = pool(spec, in, static_cast<int>(random.between(1, 3)));
    for (std::int64_t oy = 0; oy < size[0]; ++oy)
        for (std::int64_t ox = 0; ox < size[1]; ++ox)
            check_window(spec, in, all, size, oy, ox);
}

constexpr DType kTypes[] = {DType::kBool,    DType::kInt8,     DType::kUInt16,  DType::kInt32,
                            DType::kInt64,   DType::kUInt64,   DType::kFloat16, DType::kBFloat16,
                            DType::kFloat32, DType::kFloat64};
constexpr Op kOps[] = {Op::kMax, Op::kMin, Op::kSum, Op::kAvg};

TEST(small_planes) {
    Random random(11);
    for (long i = 0; i < check::rounds(1500); ++i) {
        const DType dtype = kTypes[random.below(10)];
        const std::int64_t shape[] = {random.between(1, 2), random.between(1, 20),
                                      random.between(1, 14), random.between(1, 14)};
        const std::int64_t size[] = {random.between(1, 16), random.between(1, 16)};
        check_case(dtype, kOps[random.below(4)], shape, size, random);
    }
}

TEST(long_lines_and_large_windows) {
    Random random(12);
    for (const DType dtype : {DType::kUInt8, DType::kFloat16, DType::kFloat32, DType::kInt64})
        for (const Op op : kOps) {
            const std::int64_t wide[] = {1, 3, 9, 400}, few[] = {4, 7};
            check_case(dtype, op, wide, few, random);
            const std::int64_t large[] = {1, 2, 140, 133}, two[] = {3, 2};
            check_case(dtype, op, large, two, random);
            const std::int64_t plane[] = {1, 1, 90, 70}, many[] = {61, 47};
            check_case(dtype, op, plane, many, random);
        }
}

}  // namespace

TEST_MAIN()

// A fuzz target: any 64-bit numbers as sizes, kernels, strides, dilations and paddings. A plan is
// made, with the lengths that integers of 128 bits say, or an error; nothing else.
#include <cstdlib>
#include <cstring>

#include "poolcore/error.hpp"
#include "poolcore/plan.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

__extension__ typedef __int128 Wide;

class Bytes {
   public:
    Bytes(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}
    std::uint8_t byte() {
        if (size_ == 0) return 0;
        --size_;
        return *data_++;
    }
    // A small number, one near a limit of the type, or any.
    std::int64_t number() {
        const std::uint8_t kind = byte();
        if (kind < 160) return kind % 40 - 2;
        if (kind < 208)
            return static_cast<std::int64_t>((std::uint64_t(1) << (kind % 64)) - 1 + byte() % 3);
        std::uint64_t bits = 0;
        for (int i = 0; i < 8; ++i) bits = bits << 8 | byte();
        return static_cast<std::int64_t>(bits);
    }

   private:
    const std::uint8_t* data_;
    std::size_t size_;
};

// How many windows there are, or -1 where the numbers are not allowed.
Wide windows(std::int64_t in, const poolcore::AxisParams& p, bool ceil) {
    if (in < 1 || p.kernel < 1 || p.stride < 1 || p.dilation < 1) return -1;
    const Wide e = Wide(p.dilation) * (p.kernel - 1) + 1;
    if (p.pad_lo < 0 || p.pad_hi < 0 || p.pad_lo >= e || p.pad_hi >= e) return -1;
    const Wide room = Wide(in) + p.pad_lo + p.pad_hi - e;
    const Wide steps = ceil ? room + p.stride - 1 : room;
    if (steps < 0) return -1;
    Wide n = steps / p.stride + 1;
    if ((n - 1) * p.stride >= Wide(in) + p.pad_lo) --n;
    return n;
}

void expect(bool condition) {
    if (!condition) std::abort();
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Bytes bytes(data, size);
    poolcore::PoolSpec spec;
    spec.function = "fuzz";
    spec.op = static_cast<poolcore::Op>(bytes.byte() % 4);
    spec.n_axes = 1 + bytes.byte() % 3;
    spec.ceil_mode = bytes.byte() % 2 == 1;
    poolcore::StridedView view;
    view.dtype = static_cast<poolcore::DType>(bytes.byte() % poolcore::kNumDTypes);
    view.rank = spec.n_axes + bytes.byte() % 3;
    Wide lengths[poolcore::kMaxRank] = {};
    bool legal = true;
    for (int i = 0; i < view.rank; ++i) {
        const std::int64_t n = bytes.number();
        view.shape[i] = n < 0 ? 0 : n;  // of an array, which has no negative lengths
        view.strides[i] = 0;
        lengths[i] = view.shape[i];
    }
    for (int a = 0; a < spec.n_axes; ++a) {
        const int axis = view.rank - spec.n_axes + a;
        spec.axes[a] = axis;
        poolcore::AxisParams& p = spec.params[a];
        p = {bytes.number(), bytes.number(), bytes.number(), bytes.number(), bytes.number()};
        lengths[axis] = windows(view.shape[axis], p, spec.ceil_mode);
        legal = legal && lengths[axis] >= 1;
    }
    try {
        const poolcore::PoolPlan plan = poolcore::make_plan(spec, view);
        expect(legal);
        for (int i = 0; i < view.rank; ++i) expect(plan.out_shape[i] == lengths[i]);
    } catch (const poolcore::PoolError& error) {
        // More elements than there can be, or windows that reach beyond 64 bits.
        expect(!legal || error.kind() == poolcore::ErrorKind::kMemory ||
               std::strstr(error.what(), "2**63") != nullptr);
    }
    return 0;
}

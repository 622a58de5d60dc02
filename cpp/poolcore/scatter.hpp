// Moves values to the places that indices name: unpooling, where the last of several values in
// row-major order stays, and the gradient of a max pooling, where they are added up in that order;
// and back from those places: the gradient of unpooling.
// Indices come from users: each is checked where it is used, and no plane is left.
#pragma once

#include "poolcore/run.hpp"
#include "poolcore/view.hpp"

namespace poolcore {

struct ScatterSpec {
    const char* function = "max_unpool2d";
    const char* holder = "the result";  // what has the planes that the indices are of
    int axes[kMaxPooledAxes] = {0, 0, 0};  // the pooled ones, ascending
    int n_axes = 0;
    bool squeezed = false;  // the caller's inputs lack the pooled axes, of length 1
    bool add = false;    // add up; index -1, of signed types, adds nothing
    bool fresh = false;  // nobody will see `out` if an index is refused

    // The place of an axis among the pooled ones, or -1.
    int pooled(int axis) const {
        for (int i = 0; i < n_axes; ++i)
            if (axes[i] == axis) return i;
        return -1;
    }
};

// Fills `out` with zeros but for the values. Preconditions: `indices`, of integers, has the shape
// of `values`; `out` has its dtype and, outside the pooled axes, its lengths; it overlaps neither
// input nor itself; with `add` the dtype is not bool. Any strides, any alignment.
// Throws PoolError: kIndex for an index outside its plane (before `out` is touched, unless it is
// fresh, or another thread changes the indices meanwhile), kMemory for scratch.
RunStatus scatter(const ScatterSpec& spec, const StridedView& values, const StridedView& indices,
                  const MutableView& out, const RunControl& control);

// Fills `out` with the elements of the planes of `from` that `indices` name, and with zeros where a
// later index of the plane in row-major order names the same: that value stayed. Preconditions and
// errors as for scatter, with `from` in the place of its `out`; `spec.add` is false.
RunStatus gather(const ScatterSpec& spec, const StridedView& from, const StridedView& indices,
                 const MutableView& out, const RunControl& control);

}  // namespace poolcore

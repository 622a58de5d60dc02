// Running without the interpreter's lock, Ctrl-C included. Included by the bindings only.
#pragma once

#include <utility>

#include "bindings/errors.hpp"
#include "poolcore/run.hpp"

namespace poolcore::bindings {

// Whether a call of `work` element operations is worth giving the lock away, and long enough to
// look for Ctrl-C in it.
bool worth_unlocking(double work);
// The control of a call: `threads`, and a poll where signals may have to be looked for.
RunControl control_of(double work, int threads);

// Without the interpreter's lock until the end of the scope.
class Unlocked {
   public:
    Unlocked() : state_(PyEval_SaveThread()) {}
    ~Unlocked() { PyEval_RestoreThread(state_); }
    Unlocked(const Unlocked&) = delete;
    Unlocked& operator=(const Unlocked&) = delete;

   private:
    PyThreadState* state_;
};

// Calls run(control), which gives a RunStatus, for so many element operations.
template <class Run>
void run_unlocked(double work, int threads, const Run& run) {
    const RunControl control = control_of(work, threads);
    if (!worth_unlocking(work)) {
        run(control);
        return;
    }
    RunStatus status;
    {
        const Unlocked unlocked;
        status = run(control);
    }
    if (status == RunStatus::kCancelled) throw PythonError{};
}

}  // namespace poolcore::bindings

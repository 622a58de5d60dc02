#include "bindings/unlocked.hpp"

namespace poolcore::bindings {
namespace {

// Element operations below which giving the lock away and taking it back costs more than it
// gains anyone. Taking it back may have to wait for another thread's turn to end.
constexpr double kKeepLockBelow = 1 << 14;
// Element operations below which a call is too short to look for Ctrl-C in it.
constexpr double kPollFrom = 1 << 20;

// Lets a signal handler run; true when it raised.
bool signal_raised(void*) {
    const PyGILState_STATE state = PyGILState_Ensure();
    const bool raised = PyErr_CheckSignals() != 0;
    PyGILState_Release(state);
    return raised;
}

// Signals are handled by the main thread only, so no other needs to take the lock to look.
bool on_main_thread() {
    const py::object threading = own(PyImport_ImportModule("threading"));
    const py::object main = own(PyObject_CallMethod(threading.ptr(), "main_thread", nullptr));
    const py::object ident = own(PyObject_GetAttrString(main.ptr(), "ident"));
    if (ident.is_none()) return false;
    const unsigned long number = PyLong_AsUnsignedLong(ident.ptr());
    if (PyErr_Occurred()) throw PythonError{};
    return number == PyThread_get_thread_ident();
}

}  // namespace

bool worth_unlocking(double work) { return work >= kKeepLockBelow; }

RunControl control_of(double work, int threads) {
    RunControl control;
    control.threads = threads;
    if (work >= kPollFrom && on_main_thread()) control.poll = signal_raised;
    return control;
}

}  // namespace poolcore::bindings

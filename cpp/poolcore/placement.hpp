// On which CPU a worker runs. Some schedulers wake a worker on the CPU of the thread that waits for
// it, where the two take turns and a spinning worker holds up its own caller; a worker that finds
// itself there leaves. Only workers' own threads are moved. Only threads.cpp may include it.
#pragma once

#if defined(__linux__)
#include <sched.h>
#endif

namespace poolcore {

// -1 where the system does not say.
inline int current_cpu() {
#if defined(__linux__)
    return sched_getcpu();
#else
    return -1;
#endif
}

// Where the thread that owns it may run; used by that thread alone.
class Placement {
   public:
    // True when the thread is on another CPU than `cpu`, after moving away if need be. It stays
    // away until another call names another CPU.
    bool keep_off(int cpu) {
        if (cpu < 0 || current_cpu() != cpu) return true;
#if defined(__linux__)
        // Beyond the 1024 CPUs of a cpu_set_t the system refuses, and the thread stays.
        cpu_set_t now;
        if (cpu >= CPU_SETSIZE || sched_getaffinity(0, sizeof now, &now) != 0) return false;
        if (!moved_ || CPU_EQUAL(&now, &left_) == 0) home_ = now;  // else: our own doing
        left_ = home_;
        CPU_CLR(cpu, &left_);
        if (CPU_COUNT(&left_) == 0) return false;
        moved_ = sched_setaffinity(0, sizeof left_, &left_) == 0;
        return moved_;
#else
        return false;
#endif
    }

    // Anywhere again.
    void release() {
#if defined(__linux__)
        if (moved_) sched_setaffinity(0, sizeof home_, &home_);
        moved_ = false;
#endif
    }

#if defined(__linux__)
   private:
    cpu_set_t home_{};  // as the system gave it
    cpu_set_t left_{};  // home without the CPU that was left
    bool moved_ = false;
#endif
};

}  // namespace poolcore

// What the core keeps for each thread. Not thread_local: glibc ends the process where there is no
// memory for a library's variables of a new thread.
#pragma once

#include "poolcore/scratch.hpp"

namespace poolcore {

struct CurrentTask;  // see threads.cpp

struct ThreadState {
    Scratch scratch;
    bool taken = false;  // a task works in the scratch
    bool held = false;   // a job counts on it
    const CurrentTask* task = nullptr;
};

// This thread's, made by its first call. Throws PoolError(kMemory).
ThreadState& thread_state();

// Null on threads that have none, and so run no task.
ThreadState* thread_state_or_null() noexcept;

// Gives a new thread the state that its starter made; false when there is no memory for that.
bool adopt_thread_state(ThreadState* state) noexcept;

}  // namespace poolcore

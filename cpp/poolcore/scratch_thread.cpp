#include "poolcore/scratch_thread.hpp"

#include <atomic>
#include <cstdint>
#include <memory>
#include <new>

#if defined(__unix__) || defined(__APPLE__)
#define POOLCORE_POSIX 1
#include <pthread.h>
#endif

namespace poolcore {

#if defined(POOLCORE_POSIX)

namespace {

// One more than the key; 0 until it is made.
constinit std::atomic<std::uintmax_t> made{0};

void end_of_thread(void* state) { delete static_cast<ThreadState*>(state); }

// Nobody waits for another thread, of which a forked child has none.
bool make_key() {
    pthread_key_t key{};
    if (pthread_key_create(&key, &end_of_thread) != 0) return false;
    std::uintmax_t none = 0;
    if (!made.compare_exchange_strong(none, std::uintmax_t{key} + 1)) pthread_key_delete(key);
    return true;
}

bool key_is_made() { return made.load(std::memory_order_relaxed) != 0 || make_key(); }

pthread_key_t key() { return static_cast<pthread_key_t>(made.load(std::memory_order_relaxed) - 1); }

}  // namespace

ThreadState* thread_state_or_null() noexcept {
    return key_is_made() ? static_cast<ThreadState*>(pthread_getspecific(key())) : nullptr;
}

bool adopt_thread_state(ThreadState* state) noexcept {
    if (key_is_made() && pthread_setspecific(key(), state) == 0) return true;
    delete state;
    return false;
}

ThreadState& thread_state() {
    if (ThreadState* state = thread_state_or_null()) return *state;
    ThreadState* const state = new (std::nothrow) ThreadState;
    if (state == nullptr || !adopt_thread_state(state))
        throw PoolError(ErrorKind::kMemory, "no memory for this thread's scratch");
    return *state;
}

#else

namespace {

thread_local ThreadState this_state;

}  // namespace

ThreadState* thread_state_or_null() noexcept { return &this_state; }

bool adopt_thread_state(ThreadState* state) noexcept {
    const std::unique_ptr<ThreadState> unused(state);
    return true;
}

ThreadState& thread_state() { return this_state; }

#endif

}  // namespace poolcore

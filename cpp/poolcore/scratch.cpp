// The scratch that every thread keeps.
#include "poolcore/scratch.hpp"

#include "poolcore/scratch_thread.hpp"

namespace poolcore {
namespace {

// The thread's scratch, now taken, or null if it is taken already.
Scratch* take_kept() {
    ThreadState& state = thread_state();
    if (state.taken) return nullptr;
    state.taken = true;
    return &state.scratch;
}

Scratch& either(Scratch* first, Scratch& second) { return first != nullptr ? *first : second; }

}  // namespace

TaskScratch::TaskScratch(std::int64_t bytes) : scratch_(either(take_kept(), own_)) {
    try {
        scratch_.reserve(bytes);
    } catch (...) {
        give_back();
        throw;
    }
}

TaskScratch::~TaskScratch() { give_back(); }

void TaskScratch::give_back() {
    if (&scratch_ != &own_) thread_state().taken = false;
}

HeldScratch::HeldScratch(std::int64_t bytes) : state_(thread_state()), outermost_(!state_.held) {
    if (!state_.taken) state_.scratch.reserve(bytes);
    state_.held = true;
}

HeldScratch::~HeldScratch() {
    if (!outermost_) return;
    state_.held = false;
    if (!state_.taken && state_.scratch.capacity() > kScratchMost) state_.scratch.drop();
}

}  // namespace poolcore

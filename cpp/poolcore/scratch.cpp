// The scratch that every thread keeps.
#include "poolcore/scratch.hpp"

namespace poolcore {
namespace {

struct Kept {
    Scratch scratch;
    bool taken = false;
};
thread_local Kept kept;

// The thread's scratch, now taken, or null if it is taken already.
Scratch* take_kept() {
    if (kept.taken) return nullptr;
    kept.taken = true;
    return &kept.scratch;
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
    if (&scratch_ == &kept.scratch) kept.taken = false;
}

void make_thread_scratch() { kept.taken = false; }

}  // namespace poolcore

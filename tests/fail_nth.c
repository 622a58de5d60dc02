/* Loaded before a process starts, fails its allocations or its threads: see test_process.py.
   Counts down to 0 and fails there; a negative count fails nothing. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

static _Thread_local int inside; /* dlsym allocates */
long fail_nth_allocation = -1;
int fail_threads = 0;

static int fails(void) {
    if (inside || fail_nth_allocation < 0) return 0;
    return __atomic_fetch_sub(&fail_nth_allocation, 1, __ATOMIC_RELAXED) == 0;
}

/* Declares `real`, the library's own function of that name. */
#define REAL(function)                                              \
    static __typeof__(&function) real;                              \
    if (!real) {                                                    \
        inside = 1;                                                 \
        real = (__typeof__(&function))dlsym(RTLD_NEXT, #function);  \
        inside = 0;                                                 \
    }

void *malloc(size_t size) {
    REAL(malloc)
    return fails() ? NULL : real(size);
}

#ifdef __GLIBC__ /* where dlsym itself asks calloc for memory */
void *__libc_calloc(size_t count, size_t size);

void *calloc(size_t count, size_t size) {
    return fails() ? NULL : __libc_calloc(count, size);
}
#endif

void *realloc(void *p, size_t size) {
    REAL(realloc)
    return fails() ? NULL : real(p, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    REAL(aligned_alloc)
    return fails() ? NULL : real(alignment, size);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *),
                   void *argument) {
    REAL(pthread_create)
    return fail_threads ? EAGAIN : real(thread, attributes, start, argument);
}

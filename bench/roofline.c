/* The limit: read one buffer and write another, with no arithmetic, on all threads.
 *
 * Threads wait as poolcore's do: they spin a little, then sleep; on Linux they keep off the caller's
 * CPU, where some schedulers wake them. Slices are taken one by one from
 * a counter, so that a slow core does not hold up the others. For every line of the output the
 * proportional number of lines of the input is read; what was read is OR-ed together only to keep
 * the loads.
 * One caller at a time. Both buffers start at a multiple of 64 bytes and are counted in lines.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <immintrin.h>
#define RELAX() _mm_pause()
#elif defined(__aarch64__)
#define RELAX() __asm__ volatile("yield")
#else
#define RELAX() ((void)0)
#endif

enum { kLine = 64, kMaxThreads = 256, kSpinMicroseconds = 30 };
typedef uint64_t Line __attribute__((vector_size(kLine), may_alias));

typedef struct {
    const Line* in;
    Line* out;
    int64_t in_lines, out_lines;
    int64_t slices;      /* taken one by one */
    int32_t threads;     /* the caller included */
    int32_t past_caches; /* write with stores that do not fetch the line first */
} Pass;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t bell = PTHREAD_COND_INITIALIZER;
static _Atomic uint32_t generation;
static _Atomic(const Pass*) current;
static _Atomic int64_t next_slice;
static _Atomic int32_t seats, inside, sleepers;
static _Atomic int caller_cpu;
static int workers;
Line roofline_sinks[kMaxThreads]; /* visible, or the compiler would drop the loads */

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static inline void store(Line* to, Line value, int past_caches) {
#if defined(__AVX512F__)
    if (past_caches) _mm512_stream_si512((__m512i*)to, (__m512i)value);
    else *to = value;
#elif defined(__x86_64__)
    const __m128i part = _mm_set1_epi64x((long long)value[0]);
    for (int i = 0; past_caches && i < 4; ++i) _mm_stream_si128((__m128i*)to + i, part);
    if (!past_caches) *to = value;
#else
    (void)past_caches;
    *to = value;
#endif
}

static inline Line read_lines(const Line* p, const Line* end) {
    Line a = {0}, b = a, c = a, d = a;
    for (; end - p >= 8; p += 8) {
        a |= p[0] | p[4];
        b |= p[1] | p[5];
        c |= p[2] | p[6];
        d |= p[3] | p[7];
    }
    for (; p < end; ++p) a |= *p;
    return a | b | c | d;
}

typedef struct {
    const Line *in, *in_end;
    Line *out, *out_end;
} Slice;

/* Reads `ratio` lines for every line it writes, so that loads and stores overlap; then what is
 * left of either. Two accumulators a step: no chain of dependent instructions is the limit. */
static inline __attribute__((always_inline)) Line pass_over(Slice s, int ratio, int past_caches) {
    const Line value = {1, 2, 3, 4, 5, 6, 7, 8};
    Line a = {0}, b = a;
    for (; s.in_end - s.in >= 2 * ratio && s.out_end - s.out >= 2; s.in += 2 * ratio, s.out += 2) {
        for (int i = 0; i < ratio; ++i) {
            a |= s.in[i];
            b |= s.in[ratio + i];
        }
        store(s.out, value, past_caches);
        store(s.out + 1, value, past_caches);
    }
    for (; s.out < s.out_end; ++s.out) store(s.out, value, past_caches);
    return a | b | read_lines(s.in, s.in_end);
}

static Line take_slice(const Pass* pass, int64_t slice) {
    const int64_t n = pass->slices;
    const Slice s = {
        pass->in + pass->in_lines * slice / n, pass->in + pass->in_lines * (slice + 1) / n,
        pass->out + pass->out_lines * slice / n, pass->out + pass->out_lines * (slice + 1) / n,
    };
    const int64_t ratio = pass->in_lines / pass->out_lines;
    if (pass->past_caches) {
        if (ratio >= 8) return pass_over(s, 8, 1);
        if (ratio >= 4) return pass_over(s, 4, 1);
        return ratio >= 2 ? pass_over(s, 2, 1) : pass_over(s, 1, 1);
    }
    if (ratio >= 8) return pass_over(s, 8, 0);
    if (ratio >= 4) return pass_over(s, 4, 0);
    return ratio >= 2 ? pass_over(s, 2, 0) : pass_over(s, 1, 0);
}

static void take_slices(const Pass* pass, int worker) {
    Line sink = {0};
    for (;;) {
        const int64_t slice = atomic_fetch_add(&next_slice, 1);
        if (slice >= pass->slices) break;
        sink |= take_slice(pass, slice);
    }
    roofline_sinks[worker] = sink;
#if defined(__x86_64__)
    if (pass->past_caches) _mm_sfence();
#endif
}

static void wait_for_bell(uint32_t seen) {
    const double end = now() + kSpinMicroseconds;
    do {
        for (int i = 0; i < 16; ++i) {
            if (atomic_load(&generation) != seen) return;
            RELAX();
        }
    } while (now() < end);
    pthread_mutex_lock(&lock);
    atomic_fetch_add(&sleepers, 1);
    while (atomic_load(&generation) == seen) pthread_cond_wait(&bell, &lock);
    atomic_fetch_sub(&sleepers, 1);
    pthread_mutex_unlock(&lock);
}

static void keep_off_callers_cpu(void) {
#if defined(__linux__)
    const int cpu = atomic_load(&caller_cpu);
    cpu_set_t others;
    if (cpu < 0 || cpu >= CPU_SETSIZE || sched_getcpu() != cpu) return;
    if (sched_getaffinity(getpid(), sizeof others, &others) != 0) return;
    CPU_CLR(cpu, &others);
    if (CPU_COUNT(&others) > 0) sched_setaffinity(0, sizeof others, &others);
#endif
}

/* A worker counts itself in before it looks for a seat, so the caller never leaves too early. */
static void* work(void* unused) {
    (void)unused;
    uint32_t seen = 0;
    for (;;) {
        wait_for_bell(seen);
        seen = atomic_load(&generation);
        atomic_fetch_add(&inside, 1);
        const int32_t seat = atomic_fetch_sub(&seats, 1);
        if (seat > 0) {
            keep_off_callers_cpu();
            take_slices(atomic_load(&current), seat);
        }
        atomic_fetch_sub(&inside, 1);
    }
    return 0;
}

int roofline_start(int threads) {
    if (threads > kMaxThreads) return 0;
    for (; workers < threads - 1; ++workers) {
        pthread_t thread;
        if (pthread_create(&thread, 0, work, 0) != 0) return 0;
        pthread_detach(thread);
    }
    return 1;
}

void roofline_pass(const Pass* pass) {
    atomic_store(&next_slice, 0);
    if (pass->threads > 1 && pass->slices > 1) {
        atomic_store(&current, pass);
#if defined(__linux__)
        atomic_store(&caller_cpu, sched_getcpu());
#endif
        atomic_store(&seats, pass->threads - 1);
        atomic_fetch_add(&generation, 1);
        if (atomic_load(&sleepers) > 0) {
            pthread_mutex_lock(&lock);
            pthread_cond_broadcast(&bell);
            pthread_mutex_unlock(&lock);
        }
    }
    take_slices(pass, 0);
    atomic_store(&seats, 0);
    while (atomic_load(&inside) > 0) RELAX();
}

/* NumPy's memory between pages that no one may touch, filled with 0xff (NaN, -1): a byte read or
   written beside an array ends the process, and one that is left unwritten shows. Three of four
   arrays end at a page, the fourth begins at one. Small mappings are kept and used again, since to
   map takes longer than most tests need for an array. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { kBuckets = 4096, kMostMapped = 12000, kFilled = 1 << 16, kClasses = 8, kMostKept = 256 };

struct Block {
    char *start;
    size_t size;
    char *inner; /* NULL: start is malloc's, where too many are mapped already */
    size_t pages;
    struct Block *next;
};

static struct Block *buckets[kBuckets];
static struct Block *kept[kClasses]; /* mappings of 1, 2, 4, ... pages that are free */
static int n_kept[kClasses];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long mapped; /* now */
long guarded_arrays; /* so far */

static struct Block **bucket(const void *start) {
    const uintptr_t address = (uintptr_t)start;
    return &buckets[(address >> 4 ^ address >> 12) % kBuckets];
}

/* Which mappings are as large as that; kClasses if none. */
static int class_of(size_t pages) {
    int class = 0;
    while (class < kClasses && (size_t)1 << class < pages) ++class;
    return class;
}

static char *map(size_t pages, size_t page) {
    char *all = mmap(NULL, (pages + 2) * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED) return NULL;
    if (mprotect(all + page, pages * page, PROT_READ | PROT_WRITE) == 0) {
        ++mapped;
        return all + page;
    }
    munmap(all, (pages + 2) * page);
    return NULL;
}

/* A guarded block, its memory 0 where that is asked for; NULL if there can be none. */
static struct Block *guard(size_t size, int zero) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (size > SIZE_MAX / 4) return NULL;
    size_t pages = (size + page - 1) / page;
    const int class = class_of(pages);
    struct Block *block = class < kClasses ? kept[class] : NULL;
    if (block) {
        kept[class] = block->next;
        --n_kept[class];
    } else {
        if (class < kClasses) pages = (size_t)1 << class;
        block = mapped < kMostMapped ? calloc(1, sizeof *block) : NULL;
        if (!block) return NULL;
        block->pages = pages;
        block->inner = map(pages, page);
        if (!block->inner) {
            free(block);
            return NULL;
        }
        zero = 0; /* it is already */
    }
    block->start = block->inner;
    if (guarded_arrays++ % 4 < 3) block->start += block->pages * page - size;
    if (zero) memset(block->start, 0, size);
    return block;
}

static struct Block *unguarded(size_t size, int zero) {
    struct Block *block = calloc(1, sizeof *block);
    if (!block) return NULL;
    block->start = zero ? calloc(size, 1) : malloc(size);
    if (block->start) return block;
    free(block);
    return NULL;
}

static void *allocate(size_t size, int zero) {
    const size_t some = size ? size : 1;
    pthread_mutex_lock(&lock);
    struct Block *block = guard(some, zero);
    if (!block) block = unguarded(some, zero);
    char *start = block ? block->start : NULL;
    if (block) {
        block->size = some;
        block->next = *bucket(start);
        *bucket(start) = block;
    }
    pthread_mutex_unlock(&lock);
    if (start && !zero && size <= kFilled) memset(start, 0xff, size);
    return start;
}

static void *get(void *context, size_t size) {
    (void)context;
    return allocate(size, 0);
}

static void *get_zeros(void *context, size_t count, size_t size) {
    (void)context;
    return size && count > SIZE_MAX / size ? NULL : allocate(count * size, 1);
}

/* Keeps the mapping, or gives it back. */
static void release(struct Block *block) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const int class = class_of(block->pages);
    if (block->inner && class < kClasses && n_kept[class] < kMostKept) {
        block->next = kept[class];
        kept[class] = block;
        ++n_kept[class];
        return;
    }
    if (block->inner) {
        munmap(block->inner - page, (block->pages + 2) * page);
        --mapped;
    } else {
        free(block->start);
    }
    free(block);
}

static void drop(void *context, void *start, size_t unused) {
    (void)context, (void)unused;
    if (!start) return;
    pthread_mutex_lock(&lock);
    struct Block **at = bucket(start);
    while (*at && (*at)->start != start) at = &(*at)->next;
    struct Block *block = *at;
    if (block) {
        *at = block->next;
        release(block);
    }
    pthread_mutex_unlock(&lock);
}

static size_t size_of(const void *start) {
    pthread_mutex_lock(&lock);
    const struct Block *block = *bucket(start);
    while (block && block->start != start) block = block->next;
    pthread_mutex_unlock(&lock);
    return block ? block->size : 0;
}

static void *resize(void *context, void *start, size_t size) {
    void *fresh = get(context, size);
    if (!fresh || !start) return fresh;
    const size_t old = size_of(start);
    memcpy(fresh, start, old < size ? old : size);
    drop(context, start, 0);
    return fresh;
}

/* PyDataMem_Handler, as NumPy declares it. */
struct {
    char name[127];
    uint8_t version;
    void *context;
    void *(*get)(void *, size_t);
    void *(*get_zeros)(void *, size_t, size_t);
    void *(*resize)(void *, void *, size_t);
    void (*drop)(void *, void *, size_t);
} guard_pages = {"between_guard_pages", 1, NULL, get, get_zeros, resize, drop};

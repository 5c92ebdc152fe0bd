/* base.h - what every layer of the library stands on: errors, memory, files, threads, random. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__BASE_H
#define GR__BASE_H

#include <gradus/base.h>
#include <stdarg.h>

/* --- errors --- */

/* Sets this thread's last error and returns the status, so that `return gr__fail(...)` works. */
gr_status gr__fail(gr_status status, const char *format, ...) GR_PRINTF(2, 3);
gr_status gr__fail_memory(size_t bytes);

/* "who: the what is NULL", and the error before it: a failed constructor may have given the NULL. */
gr_status gr__fail_null(const char *who, const char *what);
/* GR_OK, or that, for what has to be there. */
static inline gr_status gr__need(const char *who, const void *thing, const char *what)
{
    return thing ? GR_OK : gr__fail_null(who, what);
}
/* The same for an array, which may be NULL where it has no elements. */
static inline gr_status gr__need_array(const char *who, const void *array, int64_t n,
                                       const char *what)
{
    return n > 0 ? gr__need(who, array, what) : GR_OK;
}

/* --- memory: everything the library allocates comes from here --- */

void *gr__alloc(size_t bytes);  /* 64-byte aligned, NULL (and the error set) when memory is out */
void *gr__calloc(size_t bytes); /* the same, zeroed */
void gr__free(void *memory);    /* NULL is fine */
void *gr__grow(void *memory, size_t old_bytes,
               size_t bytes); /* moves; on NULL `memory` is untouched */
char *gr__strdup(const char *text);

/* --- files --- */

int gr__file_open(const char *path, int flags, unsigned mode);
int64_t gr__file_read(int fd, void *data, size_t bytes, int64_t offset);
int64_t gr__file_size(int fd);
int gr__file_close(int fd);
/* Calls visit for the name of everything in the folder, but "." and "..", in any order; 0, or -1. */
int gr__file_list(const char *folder, void (*visit)(void *ctx, const char *name), void *ctx);
/* Whole content; *data is to be freed with gr__free. Errors name the path. */
gr_status gr__file_load(const char *path, void **data, size_t *bytes);
/* Written to a temporary file beside it, synced, renamed: `path` is complete or untouched. */
gr_status gr__file_save(const char *path, const void *data, size_t bytes);
/* Written to the end of a file, which is made where there is none. */
gr_status gr__file_append(const char *path, const void *data, size_t bytes);

/* --- growing text --- */

/* Invariant: data is NULL or a string of len bytes and a terminating NUL; after a failed
 * allocation `failed` stays set and appends do nothing. */
typedef struct gr__text {
    char *data;
    size_t len, cap;
    bool failed;
} gr__text;

void gr__text_add(gr__text *t, const char *format, ...) GR_PRINTF(2, 3);
void gr__text_add_bytes(gr__text *t, const void *bytes, size_t n);
/* n more bytes and a NUL, for the caller to write; NULL when memory is out. */
char *gr__text_room(gr__text *t, size_t n);
/* As much as fits into text [size], and a NUL; gives the length of the whole, 0 when failed. */
size_t gr__text_copy(const gr__text *t, char *text, size_t size);
void gr__text_release(gr__text *t);

/* --- order --- */

/* Sorts n pointers so that order(items[i], items[i + 1]) <= 0; n log n at worst, in place. */
typedef int gr__order_fn(const void *a, const void *b);
void gr__sort(const void **items, size_t n, gr__order_fn *order);

/* --- arena: bump allocation, everything freed at once --- */

typedef struct gr__block gr__block;
typedef struct gr__arena {
    gr__block *first, *current;
    char *free; /* what is left of the current block, and how many bytes */
    size_t left;
} gr__arena;

void *gr__arena_refill(gr__arena *a, size_t bytes); /* from a block further on */

/* 16-byte aligned; NULL when memory is out. */
static inline void *gr__arena_alloc(gr__arena *a, size_t bytes)
{
    bytes = (bytes + 15) & ~(size_t)15;
    if (a->left <= bytes)
        return gr__arena_refill(a, bytes); /* an arena without blocks has 0 left */
    void *p = a->free;
    a->free += bytes;
    a->left -= bytes;
    return p;
}

void gr__arena_reset(gr__arena *a); /* O(1); keeps the blocks */
void gr__arena_release(gr__arena *a);
size_t
gr__arena_bytes(const gr__arena *a); /* handed out since the reset, with what was left over */

/* --- buffers: recycled storage of large values --- */

typedef struct gr__pool gr__pool;
typedef struct gr__buffer {
    void *data; /* 64-byte aligned */
    size_t bytes;
    int refs;
    int size_class;
    gr__pool *pool;
    struct gr__buffer *next;
} gr__buffer;

#define GR__SIZE_CLASSES 256
struct gr__pool {
    gr__buffer *idle[GR__SIZE_CLASSES];
    size_t bytes_live, bytes_peak; /* in use now, and at most since the pool began */
};

gr__buffer *gr__pool_get(gr__pool *pool, size_t bytes); /* refs 1; NULL when memory is out */
void gr__buffer_unref(gr__buffer *b);                   /* back to its pool at 0; NULL is fine */
void gr__pool_release(gr__pool *pool);                  /* frees idle buffers */

/* --- shapes --- */

/* Row-major, in elements. */
static inline void gr__shape_strides(const gr_shape *shape, int64_t *strides)
{
    int64_t step = 1;
    for (int i = shape->rank - 1; i >= 0; i--) {
        strides[i] = step;
        step *= shape->dim[i];
    }
}

/* Whether every size is >= 0 and the product fits in memory; rank within GR_MAX_RANK. Then *numel
 * is the number of elements. */
static inline bool gr__shape_fits(const gr_shape *shape, int64_t *numel)
{
    if (shape->rank < 0 || shape->rank > GR_MAX_RANK) return false;
    int64_t n = 1; /* of the non-zero sizes, so that strides fit as well */
    bool empty = false;
    for (int i = 0; i < shape->rank; i++) {
        if (shape->dim[i] < 0) return false;
        if (shape->dim[i] == 0) empty = true;
        else if (__builtin_mul_overflow(n, shape->dim[i], &n)) return false;
    }
    *numel = empty ? 0 : n;
    return n <= INT64_MAX / 64;
}

static inline bool gr__shape_alike(const gr_shape *a, const gr_shape *b)
{
    bool alike = a->rank == b->rank;
    for (int i = 0; alike && i < a->rank; i++) alike = a->dim[i] == b->dim[i];
    return alike;
}

bool gr__shape_broadcast(const gr_shape *a, const gr_shape *b, gr_shape *out);
bool gr__shape_valid(const gr_shape *shape);     /* gr__shape_fits */
extern const uint8_t gr__dtype_bytes[GR_DTYPES]; /* of an element */

/* --- random: Philox4x32-10 (Salmon et al. 2011), counter based --- */

void gr__philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);
/* Element `index` of stream `seed`, so that any part can be made in any order. */
uint32_t gr__random_u32(uint64_t seed, uint64_t index);
double gr__random_uniform(uint64_t seed, uint64_t index); /* (0, 1) with 52 bits */
double gr__random_normal(uint64_t seed, uint64_t index);  /* mean 0, variance 1 (Box-Muller) */
uint64_t gr__hash64(uint64_t x);                          /* splitmix64's finaliser */
uint64_t gr__hash_join(uint64_t h, uint64_t x);

/* --- threads --- */

/* Calls body(ctx, begin, end) over [0, n) in chunks of `grain`; the chunks do not depend on the
 * number of threads, the order does. One chunk runs on the caller. */
typedef void gr__range_fn(void *ctx, int64_t begin, int64_t end);
void gr__parallel_for(int64_t n, int64_t grain, gr__range_fn *body, void *ctx);

/* --- time --- */

int64_t gr__nanoseconds(void); /* of the monotonic clock */

/* --- places in the user's program --- */

/* "file.c:42" with debug information, else "symbol+0x1f" or "0x55..."; returns text. */
const char *gr__site_text(const void *address, char *text, size_t size);

#endif

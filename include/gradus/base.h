/* base.h - status, dtypes, shapes, and the hooks every other header builds on. */
/* SPDX-License-Identifier: MIT */
#ifndef GRADUS_BASE_H
#define GRADUS_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define GR_API __attribute__((visibility("default")))
#define GR_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define GR_API
#define GR_PRINTF(fmt, args)
#endif

/* --- status --- */

/* 0 is success, so that `if (gr_backward(loss) || gr_step(opt)) break;` reads as it should. */
typedef enum gr_status {
    GR_OK = 0,
    GR_ERR_ARGUMENT, /* a shape, dtype, option or index that cannot be used */
    GR_ERR_MEMORY,   /* an allocation failed */
    GR_ERR_FILE,     /* a file could not be opened, read or written */
    GR_ERR_FORMAT,   /* a file was read but its content is not what it claims */
    GR_ERR_STATE     /* the object is already in error, or the call comes at a wrong time */
} gr_status;

GR_API const char *gr_version(void);    /* "0.1.0" */
GR_API const char *gr_last_error(void); /* this thread's last failure; "" when there was none */
GR_API void gr_clear_error(void);       /* forgets this thread's last failure */

/* --- dtypes and shapes --- */

typedef enum gr_dtype { GR_F32, GR_F64, GR_I64, GR_U8, GR_BOOL, GR_DTYPES } gr_dtype;

GR_API size_t gr_dtype_size(gr_dtype dtype);      /* bytes of one element */
GR_API const char *gr_dtype_name(gr_dtype dtype); /* "float32" "float64" "int64" "uint8" "bool" */

#define GR_MAX_RANK 8

/* Sizes of the axes, outermost first; rank 0 is a scalar, a size may be 0. */
typedef struct gr_shape {
    int rank;
    int64_t dim[GR_MAX_RANK];
} gr_shape;

#ifndef __cplusplus
#define GR__COUNT(type, ...) ((int)(sizeof((type[]){__VA_ARGS__}) / sizeof(type)))
/* GR_SHAPE(32, 784) is a shape of rank 2; the shape of a scalar is GR_SCALAR. */
#define GR_SHAPE(...) ((gr_shape){GR__COUNT(int64_t, __VA_ARGS__), {__VA_ARGS__}})
#define GR_SCALAR ((gr_shape){0, {0}})
#endif

#define GR_SHAPE_TEXT 128 /* bytes that gr_shape_text needs at most */

GR_API int64_t gr_shape_numel(const gr_shape *shape); /* product of the sizes, 1 at rank 0 */
GR_API bool gr_shape_equal(const gr_shape *a, const gr_shape *b);
GR_API const char *gr_shape_text(const gr_shape *shape, char text[GR_SHAPE_TEXT]); /* "[2,3]" */

/* --- hooks: one replaceable place for memory, one for files --- */

/* Both functions get `user`; alloc returns 64-byte aligned memory or NULL. */
typedef struct gr_allocator {
    void *(*alloc)(void *user, size_t bytes);
    void (*free)(void *user, void *memory, size_t bytes);
    void *user;
} gr_allocator;

GR_API void gr_set_allocator(const gr_allocator *allocator); /* NULL: the default; before first use */

/* The calls of POSIX, as the library uses them; each returns -1 (or a short count) on failure. */
typedef struct gr_file_hooks {
    int (*open)(void *user, const char *path, int flags, unsigned mode);
    int64_t (*read)(void *user, int fd, void *data, size_t bytes, int64_t offset);
    int64_t (*write)(void *user, int fd, const void *data, size_t bytes);
    int64_t (*size)(void *user, int fd);
    int (*sync)(void *user, int fd);
    int (*close)(void *user, int fd);
    int (*rename)(void *user, const char *from, const char *to);
    int (*remove)(void *user, const char *path);
    int (*mode)(void *user, const char *path);       /* its permission bits; -1: no such file */
    int (*chmod)(void *user, int fd, unsigned mode); /* exactly so, whatever the umask */
    int (*list)(void *user, const char *folder, void (*visit)(void *ctx, const char *name), void *ctx);
    void *user;
} gr_file_hooks;

GR_API void gr_set_file_hooks(const gr_file_hooks *hooks); /* NULL: the default; before first use */

/* --- threads --- */

GR_API void gr_set_threads(int n); /* threads of the one pool (OpenMP's); 0: one per core */
GR_API int gr_threads(void);

#ifdef __cplusplus
}
#endif
#endif

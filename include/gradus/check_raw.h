/* check_raw.h - checking your own forward and backward C functions, with no graph. */
/* SPDX-License-Identifier: MIT */
#ifndef GRADUS_CHECK_RAW_H
#define GRADUS_CHECK_RAW_H

#include <gradus/check.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GR_RAW_INPUTS 8

typedef struct gr_raw_input {
    const char *name; /* NULL: "input 0", ... */
    int64_t n;        /* elements */
    const void *at;   /* its n values; NULL: drawn */
    double low, high; /* drawn from (low, high); both 0: (-1, 1) */
    bool constant;    /* no gradient: its dx is NULL */
} gr_raw_input;

/* y = f(x), a pair of functions over plain arrays: of double, or of float with float32. */
typedef struct gr_raw {
    const char *name;
    void (*forward)(const void *const *x, void *y, void *user);
    void (*backward)(const void *const *x, const void *y, const void *dy, void *const *dx,
                     void *user);   /* sets dx[i] to the sum over k of dy_k dy_k/dx_i */
    gr_raw_input in[GR_RAW_INPUTS]; /* up to the first without elements and name */
    int64_t out;                    /* elements of y */
    bool float32;                   /* the arrays are of float */
    bool adds;                      /* backward adds into dx instead of setting it */
    void *user;
} gr_raw;

GR_API gr_verdict gr_gradcheck_raw(const gr_raw *raw, gr_check_options o, gr_check_report *report);

#ifdef __cplusplus
}
#endif
#endif

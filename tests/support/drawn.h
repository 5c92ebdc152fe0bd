/* drawn.h - what tests of random ops share: values, moments, an op with a given seed. */
/* SPDX-License-Identifier: MIT */
#ifndef DRAWN_H
#define DRAWN_H

#include <check.h>
#include <gradus/gradus.h>
#include <math.h>
#include <string.h>

static inline const void *drawn_data(gr_tensor *t)
{
    const void *data = gr_data(t);
    ck_assert_msg(data != NULL, "%s", gr_graph_error(gr_graph_of(t)));
    return data;
}

/* As float64, whatever the dtype. */
static inline const double *drawn_values(gr_tensor *t)
{
    return drawn_data(gr_cast(t, GR_F64));
}

/* The attributes of a random op: its seed, and a dtype and shape where it has these. */
static inline const void *drawn_attrs(const gr_op *op, gr_dtype dtype, gr_shape shape,
                                      uint64_t seed)
{
    static _Alignas(16) char attrs[256];
    ck_assert_uint_le(op->attrs_size, sizeof attrs);
    memset(attrs, 0, sizeof attrs);
    for (const gr_field *f = op->fields; f->name; f++) {
        if (strcmp(f->name, "dtype") == 0) memcpy(attrs + f->offset, &dtype, sizeof dtype);
        if (strcmp(f->name, "shape") == 0) memcpy(attrs + f->offset, &shape, sizeof shape);
        if (strcmp(f->name, "seed") == 0) memcpy(attrs + f->offset, &seed, sizeof seed);
    }
    return attrs;
}

typedef struct drawn_moments {
    double mean, variance, low, high, neighbours; /* correlation of each with the next */
} drawn_moments;

static inline drawn_moments drawn_measure(const double *x, int64_t n)
{
    drawn_moments m = {0, 0, INFINITY, -INFINITY, 0};
    for (int64_t i = 0; i < n; i++) {
        m.mean += x[i] / (double)n;
        m.low = fmin(m.low, x[i]);
        m.high = fmax(m.high, x[i]);
    }
    for (int64_t i = 0; i < n; i++) m.variance += (x[i] - m.mean) * (x[i] - m.mean) / (double)n;
    for (int64_t i = 1; i < n; i++)
        m.neighbours += (x[i] - m.mean) * (x[i - 1] - m.mean) / ((double)n * m.variance);
    return m;
}

#endif

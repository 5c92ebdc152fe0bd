/* counting.h - tensors of 0, 1, 2, ...: where each element of a rearrangement came from. */
/* SPDX-License-Identifier: MIT */
#ifndef COUNTING_H
#define COUNTING_H

#include <check.h>
#include <gradus/gradus.h>
#include <string.h>

enum { COUNTING_MOST = 64 };

/* float64 0, 1, 2, ... in row-major order. */
static inline gr_tensor *counting(gr_graph *g, gr_shape shape)
{
    double x[COUNTING_MOST];
    for (int i = 0; i < COUNTING_MOST; i++) x[i] = i;
    ck_assert_int_le(gr_shape_numel(&shape), COUNTING_MOST);
    return gr_from_data(g, GR_F64, shape, x);
}

/* What a rearrangement must give, from its first element on. */
typedef struct counting_case {
    const char *name;
    gr_tensor *y;
    gr_shape shape;
    double want[COUNTING_MOST];
} counting_case;

static inline void counting_verify(gr_graph *g, const counting_case *c)
{
    char got[GR_SHAPE_TEXT], want[GR_SHAPE_TEXT];
    gr_tensor *wide = gr_cast(c->y, GR_F64);
    const double *y = gr_data(wide);
    ck_assert_msg(y != NULL, "%s: %s", c->name, gr_graph_error(g));
    ck_assert_msg(gr_shape_equal(gr_shape_of(c->y), &c->shape), "%s: %s, expected %s", c->name,
                  gr_shape_text(gr_shape_of(c->y), got), gr_shape_text(&c->shape, want));
    for (int64_t i = 0; i < gr_numel(c->y); i++)
        ck_assert_msg(y[i] == c->want[i], "%s: element %d is %g, expected %g", c->name, (int)i,
                      y[i], c->want[i]);
}

#define COUNTING_VERIFY(g, cases) \
    for (size_t i_ = 0; i_ < sizeof(cases) / sizeof *(cases); i_++) counting_verify(g, &(cases)[i_])

/* The graph's error holds `part`; the graph is reset. */
static inline void counting_error(gr_graph *g, const char *part)
{
    const char *error = gr_graph_error(g);
    ck_assert_msg(error && strstr(error, part), "expected '%s' in '%s'", part,
                  error ? error : "no error");
    gr_graph_reset(g);
}

#endif

/* fixture.h - one graph, made before and freed after each test. */
/* SPDX-License-Identifier: MIT */
#ifndef FIXTURE_H
#define FIXTURE_H

#include <check.h>
#include <gradus/gradus.h>

static gr_graph *g;

static inline void setup(void)
{
    g = gr_graph_new();
}

/* The same, where large values wait whatever GRADUS_EAGER says. */
static inline void setup_deferred(void)
{
    setup();
    gr_graph_set_eager(g, false);
}

static inline void teardown(void)
{
    gr_graph_free(g);
}

/* A leaf with these elements, rounded to dtype. */
static inline gr_tensor *make(gr_dtype dtype, const double *x, gr_shape shape)
{
    return gr_cast(gr_from_data(g, GR_F64, shape, x), dtype);
}

/* The elements of t, of whatever dtype. */
static inline const double *values(gr_tensor *t)
{
    const double *data = gr_data(gr_cast(t, GR_F64));
    ck_assert_msg(data != NULL, "%s", gr_graph_error(g));
    return data;
}

#endif

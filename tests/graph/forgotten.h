/* forgotten.h - what the tests of scratches expect of their graph. */
/* SPDX-License-Identifier: MIT */
#ifndef FORGOTTEN_H
#define FORGOTTEN_H

#include "fixture.h"

#include <math.h>
#include <string.h>

enum { SMALL = 8, LARGE = 3000 };

static inline gr_tensor *counting(int64_t n)
{
    double x[LARGE];
    for (int i = 0; i < LARGE; i++) x[i] = i + 1;
    return gr_from_data(g, GR_F64, GR_SHAPE(n), x);
}

static inline void assert_fine(void)
{
    ck_assert_msg(gr_graph_error(g) == NULL, "%s", gr_graph_error(g));
}

static inline void assert_error(const char *part)
{
    const char *error = gr_graph_error(g);
    ck_assert_msg(error && strstr(error, part), "expected '%s' in '%s'", part,
                  error ? error : "no error");
}

static inline void assert_value(gr_tensor *t, int64_t i, double want)
{
    const double *data = gr_data(t);
    ck_assert_msg(data != NULL, "%s", gr_graph_error(g));
    ck_assert_msg(data[i] == want, "element %d is %.17g, expected %.17g", (int)i, data[i], want);
}

#endif

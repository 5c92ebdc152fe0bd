/* infer.c - what shape rules say, and the one of ops that have none. */
/* SPDX-License-Identifier: MIT */
#include "tape.h"

#include <stdio.h>

bool gr_infer_fail(gr_infer *c, const char *format, ...)
{
    if (gr__need("gr_infer_fail", c, "rule's argument")) return false;
    va_list args;
    va_start(args, format);
    vsnprintf(c->message, 400, format, args);
    va_end(args);
    return false;
}

const char *gr_infer_shape(gr_infer *c, int input)
{
    static _Thread_local char text[8][GR_SHAPE_TEXT];
    static _Thread_local unsigned next;
    if (!c || input < 0 || input >= c->n_in) return "[?]";
    return gr_shape_text(c->in[input]->shape, text[next++ % 8]);
}

/* For shape rules: whether inputs i and j are of one dtype; else false, with both in the error. */
bool gr_infer_same_dtype(gr_infer *c, int i, int j)
{
    if (gr__need("gr_infer_same_dtype", c, "rule's argument")) return false;
    if (i < 0 || i >= c->n_in || j < 0 || j >= c->n_in)
        return gr_infer_fail(c, "has no inputs %d and %d", i, j);
    if (c->in[i]->dtype == c->in[j]->dtype) return true;
    return gr_infer_fail(c, "cannot mix %s and %s; use gr_cast",
                         gr_dtype_name((gr_dtype)c->in[i]->dtype),
                         gr_dtype_name((gr_dtype)c->in[j]->dtype));
}

bool gr__infer_same(gr_infer *c)
{
    for (int i = 1; i < c->n_in; i++) {
        if (!gr__same_dtype(c, 0, i)) return false;
        if (!gr_shape_equal(c->in[i]->shape, c->in[0]->shape))
            return gr_infer_fail(c, "expected inputs of one shape, got %s and %s",
                                 gr_infer_shape(c, 0), gr_infer_shape(c, i));
    }
    return true;
}

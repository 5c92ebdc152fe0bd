/* trial.c - drawing numbers, shapes and inputs. */
/* SPDX-License-Identifier: MIT */
#include "trial.h"
#include "base.h"

#include <stdlib.h>

double trial_uniform(trial *t)
{
    return gr__random_uniform(gr__hash_join(t->seed, 77), t->drawn++);
}

int64_t trial_pick(trial *t, int64_t low, int64_t high)
{
    return low + (int64_t)(trial_uniform(t) * (double)(high - low + 1));
}

void trial_floats(trial *t, gr_shape shape, double low, double high)
{
    int64_t n = gr_shape_numel(&shape);
    double *x = malloc((size_t)n * sizeof *x + 1);
    for (int64_t i = 0; x && i < n; i++) x[i] = low + (high - low) * trial_uniform(t);
    t->data[t->n] = x;
    t->in[t->n++] = (gr_check_input){.dtype = GR_F64, .shape = shape, .data = x};
}

void trial_indices(trial *t, gr_shape shape, int64_t end)
{
    int64_t n = gr_shape_numel(&shape), *x = malloc((size_t)n * sizeof *x + 1);
    for (int64_t i = 0; x && i < n; i++) x[i] = trial_pick(t, 0, end - 1);
    t->data[t->n] = x;
    t->in[t->n++] = (gr_check_input){.dtype = GR_I64, .shape = shape, .data = x};
}

void trial_check(trial *t, gr_check_fn *f)
{
    gr_gradcheck(f, t, t->in, t->n, t->options, &t->report);
}

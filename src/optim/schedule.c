/* schedule.c - learning rates as functions of the step. */
/* SPDX-License-Identifier: MIT */
#include <gradus/optim.h>

#include <math.h>

/* From `from` to `to` along half a cosine; part 0 .. 1. */
static double cosine(double from, double to, double part)
{
    const double pi = 3.14159265358979323846;
    return to + (from - to) / 2 * (1 + cos(pi * part));
}

static double one_cycle(const gr_schedule *self, double base_lr, int64_t step)
{
    double first = base_lr / self->div_factor, last = first / self->final_div_factor;
    double end = (double)self->total_steps - 1, at = (double)step < end ? (double)step : end;
    double peak = self->warmup_fraction * (double)self->total_steps - 1; /* the step of base_lr */
    if (at <= peak) return cosine(first, base_lr, peak > 0 ? at / peak : 1);
    return cosine(base_lr, last, end > peak ? (at - peak) / (end - peak) : 1);
}

/* The one-cycle schedule with the defaults of PyTorch's OneCycleLR: over 30% of the steps the rate
 * rises from base_lr / 25 to base_lr, then it falls to base_lr / 25 / 10^4, both by half a cosine;
 * after the last step it stays there. Momentum is left alone. The numbers may be changed in the
 * result.
 *
 * Smith, Topin: Super-convergence, 2018. */
gr_schedule gr_one_cycle(int64_t total_steps)
{
    return (gr_schedule){.lr = one_cycle,
                         .total_steps = total_steps,
                         .warmup_fraction = 0.3,
                         .div_factor = 25,
                         .final_div_factor = 1e4};
}

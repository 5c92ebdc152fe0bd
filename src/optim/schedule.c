/* schedule.c - learning rates as functions of the step.
 *
 * Each is PyTorch's of a similar name, in closed form; t is the step, 0 the first, T total_steps.
 */
/* SPDX-License-Identifier: MIT */
#include "optimizer.h"

#include <math.h>
#include <stdio.h>

static const double pi = 3.14159265358979323846;

/* --- errors: a schedule with a problem keeps the base rate, and is refused by an optimizer --- */

static double unchanged(const gr_schedule *self, double base, int64_t t)
{
    (void)self, (void)t;
    return base;
}

GR_PRINTF(1, 2) static gr_schedule refused(const char *format, ...)
{
    gr_schedule s = {.lr = unchanged};
    va_list args;
    va_start(args, format);
    vsnprintf(s.problem, sizeof s.problem, format, args);
    va_end(args);
    return s;
}

static bool is_rate(double x)
{
    return isfinite(x) && x >= 0;
}

/* --- falling by factors --- */

static double step_lr(const gr_schedule *self, double base, int64_t t)
{
    return base * pow(self->factor, (double)(t / self->total_steps));
}

/* The rate is multiplied by factor every so many steps: StepLR. */
gr_schedule gr_step_schedule(int64_t every, double factor)
{
    if (every < 1 || !is_rate(factor))
        return refused("gr_step_schedule: expected every >= 1 and factor >= 0, got %lld and %g",
                       (long long)every, factor);
    return (gr_schedule){.lr = step_lr, .total_steps = every, .factor = factor};
}

static double multi_step_lr(const gr_schedule *self, double base, int64_t t)
{
    int passed = 0;
    while (passed < self->n && self->at[passed] <= t) passed++;
    return base * pow(self->factor, passed);
}

/* The rate is multiplied by factor at each of the n steps, which ascend: MultiStepLR. n is at most
 * GR_MILESTONES; the steps are copied. */
gr_schedule gr_multi_step_schedule(const int64_t *at, int n, double factor)
{
    gr_schedule s = {.lr = multi_step_lr, .factor = factor, .n = n};
    if (!at || n < 1 || n > GR_MILESTONES || !is_rate(factor))
        return refused(
            "gr_multi_step_schedule: expected 1 to %d steps and factor >= 0, got %d and %g",
            GR_MILESTONES, n, factor);
    for (int i = 0; i < n; i++) {
        if (at[i] < (i ? at[i - 1] : 0))
            return refused("gr_multi_step_schedule: expected ascending steps, got %lld at place %d",
                           (long long)at[i], i);
        s.at[i] = at[i];
    }
    return s;
}

static double exponential_lr(const gr_schedule *self, double base, int64_t t)
{
    return base * pow(self->factor, (double)t);
}

/* The rate is multiplied by factor at every step: ExponentialLR. */
gr_schedule gr_exponential_schedule(double factor)
{
    if (!is_rate(factor))
        return refused("gr_exponential_schedule: expected factor >= 0, got %g", factor);
    return (gr_schedule){.lr = exponential_lr, .factor = factor};
}

static double inverse_time_lr(const gr_schedule *self, double base, int64_t t)
{
    return base / (1 + self->factor * (double)t);
}

/* base / (1 + rate t): half after 1/rate steps. */
gr_schedule gr_inverse_time_schedule(double rate)
{
    if (!is_rate(rate))
        return refused("gr_inverse_time_schedule: expected rate >= 0, got %g", rate);
    return (gr_schedule){.lr = inverse_time_lr, .factor = rate};
}

/* --- from here to there --- */

/* t / T, at most 1. */
static double part_of(const gr_schedule *self, int64_t t)
{
    return t < self->total_steps ? (double)t / (double)self->total_steps : 1;
}

static double polynomial_lr(const gr_schedule *self, double base, int64_t t)
{
    return base * pow(1 - part_of(self, t), self->power);
}

/* base (1 - t/T)^power, 0 from T on: PolynomialLR. */
gr_schedule gr_polynomial_schedule(int64_t total_steps, double power)
{
    if (total_steps < 1 || !(isfinite(power) && power > 0))
        return refused("gr_polynomial_schedule: expected total_steps >= 1 and power > 0, "
                       "got %lld and %g",
                       (long long)total_steps, power);
    return (gr_schedule){.lr = polynomial_lr, .total_steps = total_steps, .power = power};
}

static double linear_lr(const gr_schedule *self, double base, int64_t t)
{
    return base * (self->from + (self->to - self->from) * part_of(self, t));
}

/* From base `from` to base `to` along a line of total_steps, then it stays: LinearLR. */
gr_schedule gr_linear_schedule(int64_t total_steps, double from, double to)
{
    if (total_steps < 1 || !is_rate(from) || !is_rate(to))
        return refused("gr_linear_schedule: expected total_steps >= 1 and factors >= 0, "
                       "got %lld, %g and %g",
                       (long long)total_steps, from, to);
    return (gr_schedule){.lr = linear_lr, .total_steps = total_steps, .from = from, .to = to};
}

/* From base `from` up to base within total_steps. */
gr_schedule gr_warmup(int64_t total_steps, double from)
{
    return gr_linear_schedule(total_steps, from, 1);
}

static double cosine_lr(const gr_schedule *self, double base, int64_t t)
{
    double part = (double)t / (double)self->total_steps;
    return self->least + (base - self->least) * (1 + cos(pi * part)) / 2;
}

/* From base to least along half a cosine of total_steps; what comes after is the way back:
 * CosineAnnealingLR. Loshchilov, Hutter: SGDR, ICLR 2017. */
gr_schedule gr_cosine_schedule(int64_t total_steps, double least)
{
    if (total_steps < 1 || !is_rate(least))
        return refused("gr_cosine_schedule: expected total_steps >= 1 and least >= 0, "
                       "got %lld and %g",
                       (long long)total_steps, least);
    return (gr_schedule){.lr = cosine_lr, .total_steps = total_steps, .least = least};
}

static double restarts_lr(const gr_schedule *self, double base, int64_t t)
{
    int64_t period = self->total_steps, longer = self->n;
    if (longer == 1) t %= period;
    while (t >= period) {
        t -= period;
        period = period > INT64_MAX / longer ? INT64_MAX : period * longer;
    }
    double part = (double)t / (double)period;
    return self->least + (base - self->least) * (1 + cos(pi * part)) / 2;
}

/* From base to least along half a cosine of `first` steps, then again from base, each time `longer`
 * times as many steps: CosineAnnealingWarmRestarts. */
gr_schedule gr_cosine_restarts(int64_t first, int64_t longer, double least)
{
    if (first < 1 || longer < 1 || longer > INT32_MAX || !is_rate(least))
        return refused("gr_cosine_restarts: expected first >= 1, longer >= 1 and least >= 0, "
                       "got %lld, %lld and %g",
                       (long long)first, (long long)longer, least);
    return (gr_schedule){.lr = restarts_lr, .total_steps = first, .n = (int)longer, .least = least};
}

/* --- one cycle --- */

/* From `from` to `to`; part 0 .. 1. */
static double anneal(const gr_schedule *self, double from, double to, double part)
{
    return self->linear ? from + (to - from) * part : to + (from - to) / 2 * (1 + cos(pi * part));
}

/* levels: at the start, at the peak, and where the last two phases end. */
static double cycle(const gr_schedule *self, const double levels[4], int64_t step)
{
    double total = (double)self->total_steps, end = total - 1;
    double peak = self->warmup_fraction * total - 1; /* the step of the peak */
    double ends[3] = {peak, self->three_phase ? 2 * peak : peak, end};
    double at = (double)step < end ? (double)step : end, begin = 0;
    int phase = 0;
    while (phase < 2 && at > ends[phase]) begin = ends[phase++];
    double length = ends[phase] - begin;
    return anneal(self, levels[phase], levels[phase + 1], length > 0 ? (at - begin) / length : 1);
}

static double one_cycle_lr(const gr_schedule *self, double base, int64_t t)
{
    double first = base / self->div_factor, last = first / self->final_div_factor;
    return cycle(self, (double[]){first, base, self->three_phase ? first : base, last}, t);
}

static double one_cycle_momentum(const gr_schedule *self, double base, int64_t t)
{
    double low = self->base_momentum, high = self->max_momentum;
    (void)base;
    return cycle(self, (double[]){high, low, self->three_phase ? high : low, high}, t);
}

/* The one-cycle schedule: over warmup_fraction of the steps the rate rises from base / div_factor to
 * base, then it falls to base / div_factor / final_div_factor, by half cosines or lines; after the
 * last step it stays there. Momentum goes the other way. As PyTorch's OneCycleLR.
 *
 * o.total_steps                  1 or more
 * o.warmup_fraction              0 < fraction < 1, with three_phase at most 1/2; 0 counts as 0.3
 * o.div_factor, final_div_factor  above 0; 0 counts as 25 and 10^4
 * o.base_momentum, max_momentum  0 <= momentum < 1; both 0: momentum is left alone
 *
 * Smith, Topin: Super-convergence, 2018. */
gr_schedule gr_one_cycle_with(gr_one_cycle_options o)
{
    gr_schedule s = {.lr = one_cycle_lr,
                     .momentum = o.max_momentum > 0 ? one_cycle_momentum : NULL,
                     .total_steps = o.total_steps,
                     .warmup_fraction = gr__or(o.warmup_fraction, 0.3),
                     .div_factor = gr__or(o.div_factor, 25),
                     .final_div_factor = gr__or(o.final_div_factor, 1e4),
                     .linear = o.linear,
                     .three_phase = o.three_phase,
                     .base_momentum = o.base_momentum,
                     .max_momentum = o.max_momentum};
    if (o.total_steps < 1)
        return refused("gr_one_cycle: expected total_steps >= 1, got %lld",
                       (long long)o.total_steps);
    if (!(s.warmup_fraction > 0 && s.warmup_fraction < (o.three_phase ? 0.5000001 : 1)))
        return refused("gr_one_cycle: expected a warmup_fraction between 0 and %s, got %g",
                       o.three_phase ? "1/2" : "1", s.warmup_fraction);
    if (!(s.div_factor > 0 && s.final_div_factor > 0))
        return refused("gr_one_cycle: expected div_factor, final_div_factor > 0, got %g and %g",
                       s.div_factor, s.final_div_factor);
    if (!(o.base_momentum >= 0 && o.max_momentum < 1 && o.base_momentum <= o.max_momentum))
        return refused(
            "gr_one_cycle: expected 0 <= base_momentum <= max_momentum < 1, got %g and %g",
            o.base_momentum, o.max_momentum);
    return s;
}

/* gr_one_cycle_with the defaults. */
gr_schedule gr_one_cycle(int64_t total_steps)
{
    return gr_one_cycle_with((gr_one_cycle_options){.total_steps = total_steps});
}

/* --- one after the other --- */

/* The part that runs at *t, and leaves in *t its own step. */
static const gr_schedule *part_at(const gr_schedule *self, int64_t *t)
{
    int i = 0;
    while (i < self->n - 1 && *t >= self->at[i]) i++;
    if (i > 0) *t -= self->at[i - 1];
    return &self->parts[i];
}

static double sequence_lr(const gr_schedule *self, double base, int64_t t)
{
    const gr_schedule *part = part_at(self, &t);
    return part->lr ? part->lr(part, base, t) : base;
}

static double sequence_momentum(const gr_schedule *self, double base, int64_t t)
{
    const gr_schedule *part = part_at(self, &t);
    return part->momentum ? part->momentum(part, base, t) : base;
}

/* Part i for lengths[i] steps, then the next; each counts from 0 and gets the same base rate. The
 * last one goes on, whatever its length. As PyTorch's SequentialLR with milestones after each part.
 * n is at most GR_MILESTONES; no part is a sequence. parts must stay until gr_optimizer_schedule has
 * copied them; lengths are copied here. */
gr_schedule gr_sequence(const gr_schedule *parts, const int64_t *lengths, int n)
{
    gr_schedule s = {.lr = sequence_lr, .n = n, .parts = parts};
    if (!parts || !lengths || n < 1 || n > GR_MILESTONES)
        return refused("gr_sequence: expected 1 to %d parts with their lengths, got %d",
                       GR_MILESTONES, n);
    for (int i = 0; i < n; i++) {
        if (*parts[i].problem) return parts[i];
        if (parts[i].parts) return refused("gr_sequence: part %d is a sequence; list its parts", i);
        if (lengths[i] < 1 && i < n - 1)
            return refused("gr_sequence: expected a length >= 1 of part %d, got %lld", i,
                           (long long)lengths[i]);
        s.at[i] = (i ? s.at[i - 1] : 0) + lengths[i];
        if (parts[i].momentum) s.momentum = sequence_momentum;
    }
    return s;
}

/* bad.c - functions that are wrong, crash, end the process or never end; the last one is right. */
/* SPDX-License-Identifier: MIT */
#include <gradus/plugin.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum { SIZE = 5 };

/* --- an op that crashes in its kernel, and one in its shape rule --- */

static void fatal(void)
{
    volatile int *volatile nowhere = (volatile int *)16; /* UBSan leaves it to the system */
    *nowhere = 1;
}

static void crash_f64(const gr_tile *t)
{
    (void)t;
    fatal();
}

static bool crash_infer(gr_infer *c)
{
    (void)c;
    fatal();
    return true;
}

#define SAMPLES                                          \
    (const gr_sample[])                                  \
    {                                                    \
        {"vector", {{.shape = {1, {SIZE}}}}, .n_in = 1}, \
        {                                                \
            0                                            \
        }                                                \
    }

static const gr_op crash_in_tile = {.name = "op_tile",
                                    .n_in = 1,
                                    .tile = {[GR_F64] = crash_f64},
                                    .samples = SAMPLES};
static const gr_op crash_in_rule = {.name = "op_rule",
                                    .n_in = 1,
                                    .infer = crash_infer,
                                    .tile = {[GR_F64] = crash_f64},
                                    .samples = SAMPLES};

/* --- y = x^2 --- */

static void forward(const void *const *in, void *out, void *user)
{
    const double *x = in[0];
    double *y = out;
    (void)user;
    for (int i = 0; i < SIZE; i++) y[i] = x[i] * x[i];
}

static void backward(const void *const *in, const void *out, const void *cotangent,
                     void *const *gradients, void *user)
{
    const double *x = in[0], *dy = cotangent, factor = user ? *(const double *)user : 2;
    double *dx = gradients[0];
    (void)out;
    for (int i = 0; i < SIZE; i++) dx[i] = factor * x[i] * dy[i];
}

static void forward_crashes(const void *const *in, void *out, void *user)
{
    forward(in, out, user);
    fatal();
}

static void backward_aborts(const void *const *in, const void *out, const void *cotangent,
                            void *const *gradients, void *user)
{
    (void)in, (void)out, (void)cotangent, (void)gradients, (void)user;
    abort();
}

static void backward_loops(const void *const *in, const void *out, const void *cotangent,
                           void *const *gradients, void *user)
{
    volatile int forever = 1;
    (void)in, (void)out, (void)cotangent, (void)gradients, (void)user;
    while (forever) continue;
}

static void forward_exits(const void *const *in, void *out, void *user)
{
    puts("this is no part of the report");
    forward(in, out, user);
    exit(3);
}

static double wrong = -2;

static const gr_raw crashes = {"crashes",
                               forward_crashes,
                               backward,
                               {{"x", .n = SIZE}},
                               .out = SIZE},
                    aborts = {"aborts", forward, backward_aborts, {{"x", .n = SIZE}}, .out = SIZE},
                    loops = {"loops", forward, backward_loops, {{"x", .n = SIZE}}, .out = SIZE},
                    exits = {"exits", forward_exits, backward, {{"x", .n = SIZE}}, .out = SIZE},
                    negated = {"negated",          forward,     backward,
                               {{"x", .n = SIZE}}, .out = SIZE, .user = &wrong},
                    right = {"right", forward, backward, {{"x", .n = SIZE}}, .out = SIZE};

const gr_abi gradus_abi = GR_ABI;
const gr_op *const gradus_ops[] = {&crash_in_tile, &crash_in_rule, NULL};
const gr_raw *const gradus_raws[] = {&crashes, &aborts, &loops, &exits, &negated, &right, NULL};

/* loss_ctc.h - what connectionist temporal classification by kernels and by recorded ops share. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__LOSS_CTC_H
#define GR__LOSS_CTC_H

#include "along.h"
#include "loss.h"

/* --- one batch --- */

typedef struct gr__ctc {
    int64_t steps, batch, classes, width; /* T, N, C, and S, the columns of the targets */
    int64_t blank;
    bool zero_infinity;
    const double *x;                                /* [T,N,C] */
    const int64_t *target, *n_steps, *target_size;  /* [N,S], [N], [N] */
    double *alpha;                                  /* scratch */
    const double *dy;                               /* [N] */
    double *y;                                      /* [N], or dx [T,N,C] */
} gr__ctc;

static inline int64_t gr__ctc_states(const gr__ctc *c, int64_t n)
{
    return 2 * c->target_size[n] + 1;
}

/* l_s */
static inline int64_t gr__ctc_label(const gr__ctc *c, int64_t n, int64_t s)
{
    return s % 2 ? c->target[n * c->width + s / 2] : c->blank;
}

/* Whether state s may follow s - 2: not if that would merge two equal labels. */
static inline bool gr__ctc_may_skip(const gr__ctc *c, int64_t n, int64_t s)
{
    return s % 2 && s > 1 && gr__ctc_label(c, n, s) != gr__ctc_label(c, n, s - 2);
}

/* --- in[first..]: targets [N,S], input_lengths [N] and target_lengths [N], int64 --- */

/* For a shape rule. */
bool gr__ctc_targets_fit(gr_infer *c, int first, int64_t batch);
/* For a kernel; what lies beyond a target's length is padding. */
gr_status gr__ctc_check_targets(gr_exec *e, int first, int64_t steps, int64_t classes);

/* The loss [N] but for a constant, from ops that can be differentiated any number of times; the
 * targets are the three inputs above. */
gr_tensor *gr__ctc_recorded_loss(gr_tensor *x, gr_tensor *const *targets, int64_t blank);

/* --- samples: two targets of two labels --- */

#define INDEX(...) .integer = true, .values = (const int64_t[]){__VA_ARGS__}
#define TARGETS {.shape = {2, {2, 2}}, INDEX(1, 2, 3, 3)}
#define PAIR(a, b) {.shape = {1, {2}}, INDEX(a, b)}
#define STEPS PAIR(4, 3)
#define SIZES PAIR(2, 2)
#define ONES PAIR(1, 0)
#define SHORT PAIR(3, 2) /* for the second: 3, blank, 3 takes three steps */
#define LONG PAIR(4, 5)

#endif

/* check.h - numerical gradient checking with a verdict that can be believed. */
/* SPDX-License-Identifier: MIT */
#ifndef GRADUS_CHECK_H
#define GRADUS_CHECK_H

#include <gradus/nn.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum gr_verdict { GR_PASS, GR_FAIL, GR_INCONCLUSIVE } gr_verdict;

/* Records y = f(x) on g; x are float64 (or integer constants), y any floating tensor. Called
 * several times, it must record the same ops each time. */
typedef gr_tensor *gr_check_fn(gr_graph *g, gr_tensor *const *x, int n, void *user);

/* An input of the function: floats are perturbed, other dtypes are constants. */
typedef struct gr_check_input {
    const char *name;
    gr_dtype dtype;
    gr_shape shape;
    const void *data;
} gr_check_input;

/* Stages that can be chosen. */
enum {
    GR_CHECK_STRUCTURE = 1,   /* S0 */
    GR_CHECK_GRADIENT = 2,    /* S1, and S3 at order 2 */
    GR_CHECK_FORWARD = 4,     /* S2: forward mode against differences */
    GR_CHECK_FLOAT32 = 8,     /* S4: the gradient in float32 against float64 */
    GR_CHECK_THREADS = 16,    /* S5: bitwise the same with 1, 2 and all threads */
    GR_CHECK_EXHAUSTIVE = 32, /* S6: every element of the Jacobian, if there are at most 4096 */
    GR_CHECK_ALL = 63
};

typedef struct gr_check_options {
    uint64_t seed;
    int rounds;    /* 0: 4 */
    int order;     /* 0 or 1: first derivatives; 2: second ones as well */
    bool separate; /* each input in rounds of its own at once, not only after a joint round failed */
    /* to replay a part of a check, counted from 1; 0: all */
    int round, sample, layout;
    unsigned stages; /* GR_CHECK_...; 0: as each function says */
} gr_check_options;

enum { GR_CHECK_ELEMENTS = 4, /* wrong elements that a report names */
       GR_CHECK_ROWS = 5 };

/* One element of a gradient. */
typedef struct gr_check_element {
    int64_t index;  /* in row-major order */
    char where[48]; /* "[3,17]" */
    double analytic, numeric;
} gr_check_element;

typedef struct gr_check_report {
    gr_verdict verdict;
    char stage[8];       /* of the verdict: "S0a" ... "S1", "S3" */
    char message[640];   /* what was found, with the numbers; for a PASS the worst round */
    char input[64];      /* the input it concerns, "" for all together */
    int order;
    bool kink; /* x lies on kinks: a value between the one-sided derivatives was accepted, or the
                  gradient was checked at a point beside x */
    double worst;        /* largest |analytic - numeric| / scale over the rounds that count */
    double analytic, numeric, bound, scale, noise, error, h; /* of the deciding round */
    int64_t evaluations; /* forward evaluations spent */

    /* what is wrong: a word for programs ("sign", "factor", "element", "" for nothing known) and a
     * sentence, which also ends the message */
    char diagnosis[24], explanation[256];
    gr_shape shape;                              /* of the input */
    gr_check_element element[GR_CHECK_ELEMENTS]; /* the first wrong elements of its gradient */
    int elements;                                /* how many of them are filled in */
    int64_t wrong;                               /* how many there are, -1: unknown */
    bool estimated;                              /* from a sample of them */
    int64_t search;                              /* evaluations spent on finding them */

    /* where: the op that takes the input, its node and the line that recorded it, if known */
    char op[32], site[96];
    int64_t node; /* -1: unknown, or several */
    char kink_owner[128]; /* the op whose kink is nearest along the direction */

    uint64_t seed;
    int round, sample, layout; /* counted from 1; 0: not of one */
    int rows;                  /* of the Ridders table: */
    double step[GR_CHECK_ROWS], table[GR_CHECK_ROWS][GR_CHECK_ROWS];
    double taylor[2]; /* slopes of |phi(h) - phi(0)| and |phi(h) - phi(0) - h a|; right: 1 and 2 */
} gr_check_report;

GR_API const char *gr_verdict_name(gr_verdict v); /* "PASS" "FAIL" "INCONCLUSIVE" */
/* All of a report, for people and as one JSON object. As snprintf: at most size bytes with the
 * terminating NUL, and the length of the whole text is returned; 0 when memory is out. */
GR_API size_t gr_check_report_text(const gr_check_report *report, char *buffer, size_t size);
GR_API size_t gr_check_report_json(const gr_check_report *report, char *buffer, size_t size);

GR_API gr_verdict gr_gradcheck(gr_check_fn *f, void *user, const gr_check_input *inputs, int n,
                               gr_check_options o, gr_check_report *report);
/* Every sample of an op, over every layout (contiguous, transposed, sliced, expanded inputs). */
GR_API gr_verdict gr_gradcheck_op(const gr_op *op, gr_check_options o, gr_check_report *report);
/* Every parameter and the input of net, in float64, of the loss that `loss` records from the
 * output of net and `user`; loss NULL: the output itself. */
GR_API gr_verdict gr_gradcheck_module(gr_module *net, const gr_check_input *x,
                                      gr_tensor *(*loss)(gr_tensor *y, void *user), void *user,
                                      gr_check_options o, gr_check_report *report);

/* A picture (SVG): the errors of forward, central and Ridders differences over the step, and the
 * Taylor residuals, whose slopes are 1 and 2 where the gradient is right. */
GR_API gr_status gr_gradcheck_plot(gr_check_fn *f, void *user, const gr_check_input *inputs, int n,
                                   const char *title, uint64_t seed, const char *path);
GR_API gr_status gr_gradcheck_plot_op(const gr_op *op, uint64_t seed, const char *path);

#ifdef __cplusplus
}
#endif
#endif

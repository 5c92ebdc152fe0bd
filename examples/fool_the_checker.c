/* fool_the_checker.c - where simpler gradient checks err, and what this one says. */
/* SPDX-License-Identifier: MIT */
#include <gradus/gradus.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST = 1024, CLASSES = 10, BATCH = 32 };

static double numbers[MOST]; /* in (-1, 1), without a pattern */
static int64_t labels[BATCH];

/* One op at one point, seen by a simple rule as f(x) = sum of all outputs. */
typedef struct subject {
    const gr_op *op;
    const void *attrs;
    gr_shape shape; /* of x */
    const double *x;
    const int64_t *labels; /* [shape.dim[0]], NULL: none */
    bool single;           /* the simple rule computes in float32 */
    double h, tolerance;   /* of the simple rule */
} subject;

/* --- what all the simple rules use --- */

static gr_tensor *leaf(gr_graph *g, const subject *s, const double *x)
{
    float narrow[MOST];
    if (!s->single) return gr_from_data(g, GR_F64, s->shape, x);
    for (int64_t i = 0; i < gr_shape_numel(&s->shape); i++) narrow[i] = (float)x[i];
    return gr_from_data(g, GR_F32, s->shape, narrow);
}

static gr_tensor *record(gr_graph *g, gr_tensor *const *x, int n, void *user)
{
    const subject *s = user;
    return gr_apply(g, s->op, x, n, s->attrs);
}

/* f(x), and its gradient by the op's backward unless dx is NULL. */
static double evaluate(const subject *s, const double *x, double *dx)
{
    gr_graph *g = gr_graph_new();
    gr_tensor *in[2] = {leaf(g, s, x)}, *gradient;
    if (s->labels) in[1] = gr_from_data(g, GR_I64, (gr_shape){1, {s->shape.dim[0]}}, s->labels);
    gr_tensor *y = gr_sum_all(record(g, in, s->labels ? 2 : 1, (void *)s));
    double value = gr_item(y);
    if (dx && gr_grad(y, in, 1, &gradient) == GR_OK) {
        const void *data = gr_data(gr_cast(gradient, GR_F64));
        if (data) memcpy(dx, data, (size_t)gr_numel(gradient) * sizeof *dx);
    }
    gr_graph_free(g);
    return value;
}

/* (f(x + h u) - f(x - h u)) / 2h */
static double difference(const subject *s, const double *u)
{
    double ahead[MOST], behind[MOST];
    for (int64_t i = 0; i < gr_shape_numel(&s->shape); i++) {
        ahead[i] = s->x[i] + s->h * u[i];
        behind[i] = s->x[i] - s->h * u[i];
    }
    return (evaluate(s, ahead, NULL) - evaluate(s, behind, NULL)) / (2 * s->h);
}

/* --- the simple rules --- */

/* [absolute] */
/* Compares how large the elements are. */
static bool absolute_values(const subject *s)
{
    double dx[MOST] = {0}, u[MOST] = {0};
    evaluate(s, s->x, dx);
    for (int64_t i = 0; i < gr_shape_numel(&s->shape); i++) {
        u[i] = 1;
        if (!(fabs(fabs(dx[i]) - fabs(difference(s, u))) <= s->tolerance)) return false;
        u[i] = 0;
    }
    return true;
}
/* [end] */

/* [elements] */
/* Element by element, of the sum of all outputs: the cotangent is all ones. */
static bool elements(const subject *s)
{
    double dx[MOST] = {0}, u[MOST] = {0};
    evaluate(s, s->x, dx);
    for (int64_t i = 0; i < gr_shape_numel(&s->shape); i++) {
        u[i] = 1;
        if (!(fabs(dx[i] - difference(s, u)) <= s->tolerance)) return false;
        u[i] = 0;
    }
    return true;
}
/* [end] */

/* [projection] */
/* One difference, along a direction of positive numbers and of length 1. */
static bool positive_projection(const subject *s)
{
    double dx[MOST] = {0}, u[MOST], analytic = 0, length = 0;
    int64_t n = gr_shape_numel(&s->shape);
    for (int64_t i = 0; i < n; i++) {
        u[i] = 1 + 0.5 * sin((double)(i * i));
        length += u[i] * u[i];
    }
    for (int64_t i = 0; i < n; i++) u[i] /= sqrt(length);
    evaluate(s, s->x, dx);
    for (int64_t i = 0; i < n; i++) analytic += dx[i] * u[i];
    return fabs(analytic - difference(s, u)) <= s->tolerance;
}
/* [end] */

/* --- wrong backward rules: a descriptor copied, its vjp wrapped --- */

/* [wrong] */
static void negated(gr_pullback *p)
{
    gr_op_find("tanh")->vjp(p);
    p->dx[0] = gr_neg(p->dx[0]);
}

/* Takes the cotangent for ones, whatever it is. */
static void deaf(gr_pullback *p)
{
    gr_tensor *ones = gr_ones(p->graph, gr_dtype_of(p->dy[0]), *gr_shape_of(p->dy[0]));
    gr_pullback q = *p;
    q.dy = &ones;
    gr_op_find("softmax")->vjp(&q);
}

static void zero(gr_pullback *p)
{
    p->dx[0] = gr_zeros(p->graph, gr_dtype_of(p->x[0]), *gr_shape_of(p->x[0]));
}

static void one_percent_more(gr_pullback *p)
{
    gr_op_find("square")->vjp(p);
    p->dx[0] = gr_scale(p->dx[0], 1.01);
}

static gr_op with(const char *name, void (*vjp)(gr_pullback *p))
{
    gr_op op = *gr_op_find(name);
    if (vjp) op.vjp = vjp;
    return op;
}
/* [end] */

/* --- the table --- */

typedef struct row {
    const char *name, *op;
    void (*vjp)(gr_pullback *p); /* NULL: the library's */
    bool right;                  /* the backward rule is right */
    const char *rule;
    bool (*simple)(const subject *s); /* whether the simple rule accepts */
    subject at;
} row;

/* [check] */
static gr_verdict check(const subject *s, gr_check_report *report)
{
    const gr_check_input inputs[] = {
        {.name = "x", .dtype = GR_F64, .shape = s->shape, .data = s->x},
        {.name = "labels", .dtype = GR_I64, .shape = {1, {s->shape.dim[0]}}, .data = s->labels}};
    return gr_gradcheck(record, (void *)s, inputs, s->labels ? 2 : 1, (gr_check_options){.seed = 1},
                        report);
}
/* [end] */

/* Prints one row; true if the simple rule was fooled and the gradient check was not. */
static bool play(const row *r)
{
    gr_check_report report;
    gr_op op = with(r->op, r->vjp);
    subject s = r->at;
    s.op = &op;
    bool accepted = r->simple(&s);
    gr_verdict verdict = check(&s, &report);
    char ours[32];
    snprintf(ours, sizeof ours, "%s%s%s", gr_verdict_name(verdict),
             verdict == GR_PASS ? "" : " at ", verdict == GR_PASS ? "" : report.stage);
    printf("%-36s %-7s %-30s %-10s %s\n", r->name, r->right ? "right" : "wrong", r->rule,
           accepted ? "accepted" : "rejected", ours);
    return accepted != r->right && verdict == (r->right ? GR_PASS : GR_FAIL);
}

static const double near_zero[4] = {0.5, -0.8, 3e-6, 0.2};
static const int last_axis = 1; /* softmax's one attribute */
static const gr_cross_entropy_options mean_loss = {0};

static const row table[] = {
    {.name = "tanh, negated",
     .op = "tanh",
     .vjp = negated,
     .rule = "|analytic| against |numeric|",
     .simple = absolute_values,
     .at = {.shape = {2, {4, 5}}, .x = numbers, .h = 1e-5, .tolerance = 1e-6}},
    {.name = "softmax, cotangent ignored",
     .op = "softmax",
     .vjp = deaf,
     .rule = "gradient of sum(y)",
     .simple = elements,
     .at = {.attrs = &last_axis, .shape = {2, {4, 5}}, .x = numbers, .h = 1e-5, .tolerance = 1e-6}},
    {.name = "cross entropy 32x10, all zero",
     .op = "cross_entropy",
     .vjp = zero,
     .rule = "a positive direction, to 0.01",
     .simple = positive_projection,
     .at = {.attrs = &mean_loss,
            .shape = {2, {BATCH, CLASSES}},
            .x = numbers,
            .labels = labels,
            .h = 1e-5,
            .tolerance = 1e-2}},
    {.name = "square of 1024 numbers",
     .op = "square",
     .right = true,
     .rule = "float32, to 0.001",
     .simple = elements,
     .at = {.shape = {1, {MOST}}, .x = numbers, .single = true, .h = 1e-3, .tolerance = 1e-3}},
    {.name = "square of 1024 numbers, 1% too large",
     .op = "square",
     .vjp = one_percent_more,
     .rule = "float32, to 0.05",
     .simple = elements,
     .at = {.shape = {1, {MOST}}, .x = numbers, .single = true, .h = 1e-3, .tolerance = 5e-2}},
    {.name = "relu, one x is 3e-6",
     .op = "relu",
     .right = true,
     .rule = "steps of 1e-5",
     .simple = elements,
     .at = {.shape = {1, {4}}, .x = near_zero, .h = 1e-5, .tolerance = 1e-6}},
};

int main(void)
{
    bool as_claimed = true;
    for (int i = 0; i < MOST; i++) numbers[i] = sin(1 + 12.9898 * i + 0.7 * i * i);
    for (int i = 0; i < BATCH; i++) labels[i] = i * 7 % CLASSES;
    printf("%-36s %-7s %-30s %-10s %s\n", "backward rule", "is", "a simple check", "says",
           "Gradus");
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) as_claimed &= play(&table[i]);
    return !as_claimed;
}

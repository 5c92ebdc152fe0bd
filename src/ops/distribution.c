/* distribution.c - random numbers with given parameters, and the gradients of these.
 *
 *   uniform      y = low + (high - low) u      normal   y = mean + std z
 *   exponential  y = e / rate                  gumbel   y = loc + scale g
 *   gumbel_softmax  y = softmax((x + g) / tau)
 *
 * u, z, e, g are drawn from a seed (draw.c) and do not depend on the parameters, so that y has a
 * derivative by them: the path that a draw takes when they move ("reparameterisation": Kingma,
 * Welling, "Auto-encoding variational Bayes", ICLR 2014). bernoulli and multinomial give whole
 * numbers, which jump: no gradient flows.
 */
/* SPDX-License-Identifier: MIT */
#include "along.h"
#include "axes.h"
#include "base.h"
#include "random.h"

#include <math.h>

#define M34 {.shape = {2, {3, 4}}}
#define POSITIVE(...) {.shape = __VA_ARGS__, .low = 0.2, .high = 1.5}
#define INTEGERS {.shape = {2, {3, 4}}, .integer = true, .high = 3}

typedef struct seed_attrs {
    int64_t seed;
} seed_attrs;

static const gr_field seed_fields[] = {GR_FIELD(seed_attrs, seed, GR_FIELD_I64), {0}};

#define SEED &(const seed_attrs){7}

static seed_attrs new_seed(gr_tensor *x)
{
    return (seed_attrs){(int64_t)gr_next_seed(x ? gr_graph_of(x) : NULL)};
}

/* --- bernoulli --- */

typedef struct bernoulli_job {
    const void *p;
    void *y;
    uint64_t seed;
} bernoulli_job;

/* Of 2^32 numbers p 2^32 lie below p 2^32: never for p = 0, always for p = 1. */
#define BERNOULLI(T, suffix)                                                                       \
    GR__CLONES static void compare_##suffix(const T *restrict p, T *restrict y, int64_t n,         \
                                            const uint32_t *restrict u)                            \
    {                                                                                              \
        for (int64_t i = 0; i < n; i++) y[i] = (double)u[i] < (double)p[i] * 0x1p32 ? 1 : 0;       \
    }                                                                                              \
    static void bernoulli_##suffix(void *ctx, int64_t begin, int64_t end)                          \
    {                                                                                              \
        const bernoulli_job *job = ctx;                                                            \
        for (int64_t i = begin, m; i < end; i += m) {                                              \
            gr__numbers r;                                                                         \
            const uint32_t *u = gr__draw(job->seed, 0, i, &r);                                     \
            m = gr__piece(i, end - i);                                                             \
            compare_##suffix((const T *)job->p + i, (T *)job->y + i, m, u);                        \
        }                                                                                          \
    }
BERNOULLI(float, f32)
BERNOULLI(double, f64)

static gr_status bernoulli_forward(gr_exec *e)
{
    const gr_value *p = &e->in[0];
    const int64_t n = gr_shape_numel(p->shape);
    bernoulli_job job = {p->data, e->out[0].data, (uint64_t)((const seed_attrs *)e->attrs)->seed};
    for (int64_t i = 0; i < n; i++)
        if (!(gr__real_at(p, i) >= 0 && gr__real_at(p, i) <= 1))
            return gr_exec_fail(e, "p is %g, expected a probability, 0 <= p <= 1", gr__real_at(p, i));
    gr__parallel_for(n, 32768, p->dtype == GR_F32 ? bernoulli_f32 : bernoulli_f64, &job);
    return GR_OK;
}

/* y jumps where p passes the number drawn. */
static void bernoulli_branch(const gr_exec *e, gr_branch *b)
{
    const uint64_t seed = (uint64_t)((const seed_attrs *)e->attrs)->seed;
    for (int64_t i = 0, n = gr_shape_numel(e->in[0].shape); i < n; i++) {
        const double u = gr__random_u32(seed, (uint64_t)i) * 0x1p-32, p = gr__real_at(&e->in[0], i);
        gr_branch_add(b, u < p, fabs(u - p));
    }
}

#define CHANCES(...) {.shape = __VA_ARGS__, .low = 0.2, .high = 0.8}

static const gr_sample bernoulli_samples[] = {
    {.name = "matrix", .in = {CHANCES({2, {3, 4}})}, .n_in = 1, .attrs = SEED},
    {.name = "scalar", .in = {CHANCES({0, {0}})}, .n_in = 1, .attrs = SEED},
    {.name = "empty", .in = {CHANCES({2, {0, 4}})}, .n_in = 1, .attrs = SEED},
    {.name = "no probability", .in = {{.shape = {1, {3}}, .low = 1.1, .high = 2}}, .n_in = 1, .attrs = SEED, .error = "expected a probability, 0 <= p <= 1"},
    {.name = "integers", .in = {INTEGERS}, .n_in = 1, .attrs = SEED, .error = "not defined for int64"},
    {0},
};

static const gr_op bernoulli_op = {
    .name = "bernoulli",
    .family = "distribution",
    .formula = "y = 1 with probability p, else 0",
    .derivation = "y is 0 or 1 and stays there when p moves a little: no gradient",
    .ties = "0 where p passes the number drawn, as everywhere",
    .n_in = 1,
    .flags = GR_OP_RANDOM | GR_OP_CONSTANT,
    .attrs_size = sizeof(seed_attrs),
    .fields = seed_fields,
    .forward = {[GR_F32] = bernoulli_forward, [GR_F64] = bernoulli_forward},
    .branch = bernoulli_branch,
    .samples = bernoulli_samples,
};

/* Each element is 1 with the probability that p holds there, else 0, in the dtype of p. A p outside
 * [0, 1], or NaN, is an error when the value is computed. No gradient flows to p. */
gr_tensor *gr_bernoulli(gr_tensor *p)
{
    const seed_attrs attrs = new_seed(p);
    return gr__unary(&bernoulli_op, p, &attrs, GR_HERE);
}

/* --- uniform --- */

/* Rounding may reach the upper end, which is not to come up. */
#define UNIFORM(T, suffix, NEXT, NUMBER)                                                           \
    static void uniform_##suffix(const gr_tile *t)                                                 \
    {                                                                                              \
        const uint64_t seed = (uint64_t)((const seed_attrs *)t->attrs)->seed;                      \
        const T *low = t->x[0], *high = t->x[1];                                                   \
        T *y = t->y;                                                                               \
        for (int64_t i = 0, m; i < t->n; i += m) {                                                 \
            gr__numbers r[2];                                                                      \
            const uint32_t *u = gr__draw(seed, 0, t->first + i, &r[0]);                            \
            const uint32_t *v = sizeof(T) > 4 ? gr__draw(seed, 1, t->first + i, &r[1]) : u;        \
            m = gr__piece(t->first + i, t->n - i);                                                 \
            for (int64_t k = 0; k < m; k++)                                                        \
                y[i + k] = low[i + k] + (high[i + k] - low[i + k]) * NUMBER(u[k], v[k]);           \
            for (int64_t k = i; k < i + m; k++)                                                    \
                if (y[k] >= high[k] && low[k] < high[k]) y[k] = NEXT(high[k], low[k]);             \
        }                                                                                          \
    }
#define UNIT_F32(u, v) ((void)(v), (float)((u) >> 8) * 0x1p-24f)
UNIFORM(float, f32, nextafterf, UNIT_F32)
UNIFORM(double, f64, nextafter, gr__unit)

static void uniform_vjp(gr_pullback *p)
{
    const int64_t seed = ((const seed_attrs *)p->attrs)->seed;
    gr_tensor *dy = p->dy[0];
    gr_tensor *high = gr_mul(dy, gr__drawn_for(&gr__rand_op, dy, gr_shape_of(dy), seed));
    if (p->wants[0]) p->dx[0] = gr_sub(dy, high);
    if (p->wants[1]) p->dx[1] = high;
}

static const gr_sample pair_samples[] = {
    {.name = "matrix", .in = {M34, POSITIVE({2, {3, 4}})}, .n_in = 2, .attrs = SEED},
    {.name = "broadcast", .in = {{.shape = {2, {3, 1}}}, POSITIVE({1, {4}})}, .n_in = 2, .attrs = SEED},
    {.name = "scalars", .in = {{.shape = {0, {0}}}, POSITIVE({0, {0}})}, .n_in = 2, .attrs = SEED},
    {.name = "empty", .in = {{.shape = {2, {0, 4}}}, POSITIVE({1, {4}})}, .n_in = 2, .attrs = SEED},
    {.name = "no common shape", .in = {M34, POSITIVE({1, {3}})}, .n_in = 2, .attrs = SEED, .error = "cannot broadcast [3,4] with [3]"},
    {.name = "mixed", .in = {M34, INTEGERS}, .n_in = 2, .attrs = SEED, .error = "cannot mix float64 and int64"},
    {.name = "integers", .in = {INTEGERS, INTEGERS}, .n_in = 2, .attrs = SEED, .error = "not defined for int64"},
    {0},
};

static const gr_op uniform_op = {
    .name = "uniform",
    .family = "distribution",
    .formula = "y = low + (high - low) u, u uniform in [0, 1)",
    .derivation = "u does not depend on the ends: dy/dhigh = u, dy/dlow = 1 - u, with the u that the "
                  "seed gives again",
    .n_in = 2,
    .flags = GR_OP_RANDOM | GR_OP_LINEAR,
    .attrs_size = sizeof(seed_attrs),
    .fields = seed_fields,
    .tile = GR__TILES(uniform),
    .vjp = uniform_vjp,
    .samples = pair_samples,
};

/* Uniform between low and high, element by element: high itself never comes up, low may; where both
 * are equal that is y. low > high counts backwards, from low on. */
gr_tensor *gr_uniform(gr_tensor *low, gr_tensor *high)
{
    const seed_attrs attrs = new_seed(low);
    gr_tensor *in[2] = {low, high};
    return gr__apply(NULL, &uniform_op, in, 2, &attrs, GR_HERE);
}

/* --- normal, gumbel: location + scale times a drawn number --- */

/* op draws in the inputs' common shape and dtype. */
static gr_tensor *located(const gr_op *op, const char *name, gr_tensor *const *x, const void *attrs)
{
    gr_graph *g = gr_graph_of(x[0]);
    const gr_dtype a = gr_dtype_of(x[0]), b = gr_dtype_of(x[1]);
    char text[2][GR_SHAPE_TEXT];
    gr_shape shape;
    if (a != b)
        return gr__fail_at(g, GR_ERR_ARGUMENT, GR_HERE, "%s: cannot mix %s and %s; use gr_cast", name,
                           gr_dtype_name(a), gr_dtype_name(b));
    if (!gr__is_float(a))
        return gr__fail_at(g, GR_ERR_ARGUMENT, GR_HERE, "%s: not defined for %s", name,
                           gr_dtype_name(a));
    if (!gr__shape_broadcast(gr_shape_of(x[0]), gr_shape_of(x[1]), &shape))
        return gr__fail_at(g, GR_ERR_ARGUMENT, GR_HERE, "%s: cannot broadcast %s with %s", name,
                           gr_shape_text(gr_shape_of(x[0]), text[0]),
                           gr_shape_text(gr_shape_of(x[1]), text[1]));
    gr_tensor *z = gr__drawn_for(op, x[0], &shape, ((const seed_attrs *)attrs)->seed);
    return gr_add(x[0], gr_mul(x[1], z));
}

static gr_tensor *normal_define(gr_tensor *const *x, int n, const void *attrs)
{
    (void)n;
    return located(&gr__randn_op, "normal", x, attrs);
}

static const gr_op normal_op = {
    .name = "normal",
    .family = "distribution",
    .formula = "y = mean + std z, z normal with mean 0 and variance 1",
    .derivation = "z does not depend on mean and std: dmean = dy, dstd = dy z",
    .n_in = 2,
    .flags = GR_OP_RANDOM | GR_OP_LINEAR,
    .attrs_size = sizeof(seed_attrs),
    .fields = seed_fields,
    .define = normal_define,
    .samples = pair_samples,
};

/* Normal with the mean and the standard deviation given, element by element. A negative std mirrors,
 * which is the same distribution. */
gr_tensor *gr_normal(gr_tensor *mean, gr_tensor *std)
{
    const seed_attrs attrs = new_seed(mean);
    gr_tensor *in[2] = {mean, std};
    return gr__apply(NULL, &normal_op, in, 2, &attrs, GR_HERE);
}

static gr_tensor *gumbel_define(gr_tensor *const *x, int n, const void *attrs)
{
    (void)n;
    return located(&gr__rand_gumbel_op, "gumbel", x, attrs);
}

static const gr_op gumbel_op = {
    .name = "gumbel",
    .family = "distribution",
    .formula = "y = loc - scale log(-log u), u uniform in (0, 1)",
    .derivation = "u does not depend on loc and scale: dloc = dy, dscale = -dy log(-log u)",
    .n_in = 2,
    .flags = GR_OP_RANDOM | GR_OP_LINEAR,
    .attrs_size = sizeof(seed_attrs),
    .fields = seed_fields,
    .define = gumbel_define,
    .samples = pair_samples,
};

/* Gumbel with the location (its mode) and scale given, element by element. */
gr_tensor *gr_gumbel(gr_tensor *loc, gr_tensor *scale)
{
    const seed_attrs attrs = new_seed(loc);
    gr_tensor *in[2] = {loc, scale};
    return gr__apply(NULL, &gumbel_op, in, 2, &attrs, GR_HERE);
}

/* --- exponential --- */

static gr_tensor *exponential_define(gr_tensor *const *x, int n, const void *attrs)
{
    const gr_dtype dtype = gr_dtype_of(x[0]);
    (void)n;
    if (!gr__is_float(dtype))
        return gr__fail_at(gr_graph_of(x[0]), GR_ERR_ARGUMENT, GR_HERE,
                           "exponential: not defined for %s", gr_dtype_name(dtype));
    return gr_div(gr__drawn_for(&gr__rand_exponential_op, x[0], gr_shape_of(x[0]),
                                ((const seed_attrs *)attrs)->seed), x[0]);
}

static const gr_sample rate_samples[] = {
    {.name = "matrix", .in = {POSITIVE({2, {3, 4}})}, .n_in = 1, .attrs = SEED},
    {.name = "scalar", .in = {POSITIVE({0, {0}})}, .n_in = 1, .attrs = SEED},
    {.name = "empty", .in = {POSITIVE({2, {0, 4}})}, .n_in = 1, .attrs = SEED},
    {.name = "integers", .in = {INTEGERS}, .n_in = 1, .attrs = SEED, .error = "not defined for int64"},
    {0},
};

static const gr_op exponential_op = {
    .name = "exponential",
    .family = "distribution",
    .formula = "y = -log(u) / rate, u uniform in (0, 1)",
    .derivation = "u does not depend on the rate: dy/drate = log(u) / rate^2 = -y / rate",
    .n_in = 1,
    .flags = GR_OP_RANDOM,
    .attrs_size = sizeof(seed_attrs),
    .fields = seed_fields,
    .define = exponential_define,
    .samples = rate_samples,
};

/* Exponential with the rate given, element by element: positive, with mean 1 / rate. A rate of 0
 * gives Inf. */
gr_tensor *gr_exponential(gr_tensor *rate)
{
    const seed_attrs attrs = new_seed(rate);
    return gr__unary(&exponential_op, rate, &attrs, GR_HERE);
}

/* --- gumbel_softmax --- */

typedef struct choice_attrs {
    int axis;
    double tau;
    int64_t seed;
} choice_attrs;

static gr_tensor *choice_define(gr_tensor *const *x, int n, const void *attrs)
{
    const choice_attrs *a = attrs;
    (void)n;
    if (!(a->tau > 0 && isfinite(a->tau)) || !gr__is_float(gr_dtype_of(x[0])))
        return gr__fail_at(gr_graph_of(x[0]), GR_ERR_ARGUMENT, GR_HERE,
                           "gumbel_softmax: not defined for %s with tau %g",
                           gr_dtype_name(gr_dtype_of(x[0])), a->tau);
    gr_tensor *z = gr__drawn_for(&gr__rand_gumbel_op, x[0], gr_shape_of(x[0]), a->seed);
    return gr_softmax(gr_scale(gr_add(x[0], z), 1 / a->tau), a->axis);
}

static const gr_field choice_fields[] = {
    GR_FIELD(choice_attrs, axis, GR_FIELD_INT),
    GR_FIELD(choice_attrs, tau, GR_FIELD_F64),
    GR_FIELD(choice_attrs, seed, GR_FIELD_I64),
    {0},
};

#define CHOICE(axis, tau) &(const choice_attrs){axis, tau, 7}

static const gr_sample choice_samples[] = {
    {.name = "rows", .in = {M34}, .n_in = 1, .attrs = CHOICE(-1, 1)},
    {.name = "columns, sharper", .in = {M34}, .n_in = 1, .attrs = CHOICE(0, 0.7)},
    {.name = "scalar", .in = {{.shape = {0, {0}}}}, .n_in = 1, .attrs = CHOICE(0, 1)},
    {.name = "empty", .in = {{.shape = {2, {0, 4}}}}, .n_in = 1, .attrs = CHOICE(1, 2)},
    {.name = "no tau", .in = {M34}, .n_in = 1, .attrs = CHOICE(1, 0), .error = "not defined for float64 with tau 0"},
    {.name = "bad axis", .in = {M34}, .n_in = 1, .attrs = CHOICE(2, 1), .error = "axis 2 is out of range for [3,4]"},
    {.name = "integers", .in = {INTEGERS}, .n_in = 1, .attrs = CHOICE(1, 1), .error = "not defined for int64"},
    {0},
};

static const gr_op choice_op = {
    .name = "gumbel_softmax",
    .family = "distribution",
    .formula = "y = softmax((x - log(-log u)) / tau), u uniform in (0, 1)",
    .derivation = "u does not depend on x: the gradient is that of softmax(z / tau) at z = x + g",
    .n_in = 1,
    .flags = GR_OP_RANDOM,
    .attrs_size = sizeof(choice_attrs),
    .fields = choice_fields,
    .define = choice_define,
    .samples = choice_samples,
};

/* 1 at the largest element along the axis, 0 elsewhere, of the dtype of y; the first of equals. */
static gr_tensor *one_hot_of(gr_tensor *y, int axis)
{
    const int64_t n = gr__along_axis(gr_shape_of(y), axis).n;
    gr_shape one = *gr_shape_of(y), all = {one.rank, {0}};
    if (one.rank == 0) return gr_ones_like(y);
    gr__axis(&axis, one.rank);
    for (int i = 0; i < all.rank; i++) all.dim[i] = i == axis ? n : 1;
    one.dim[axis] = 1;
    gr_tensor *largest = gr_cast(gr_reshape(gr_argmax(y, axis), one), GR_F64);
    gr_tensor *index = gr_reshape(gr_arange(gr_graph_of(y), GR_F64, 0, (double)n, 1), all);
    return gr_cast(gr_equal(largest, index), gr_dtype_of(y));
}

/* A random choice along an axis with probabilities softmax(x), softened by tau > 0 so that it has a
 * gradient: y is positive and sums to 1, and tends to 1 at the choice as tau tends to 0. `hard` gives
 * exactly that choice, with the gradient of the soft one ("straight through", biased). Jang, Gu,
 * Poole, "Categorical reparameterization with Gumbel-softmax", ICLR 2017. */
gr_tensor *gr_gumbel_softmax(gr_tensor *x, int axis, double tau, bool hard)
{
    const choice_attrs attrs = {axis, tau, new_seed(x).seed};
    gr_tensor *soft = gr__unary(&choice_op, x, &attrs, GR_HERE);
    if (!hard || gr__is_nil(soft)) return soft;
    gr_site_begin(soft->graph, GR_HERE);
    gr_tensor *y = gr_add(one_hot_of(soft, axis), gr_sub(soft, gr_detach(soft)));
    gr_site_end(soft->graph);
    return y;
}

const gr_op *const gr__distribution_ops[] = {
    &bernoulli_op, &uniform_op, &normal_op, &gumbel_op, &exponential_op, &choice_op, NULL,
};

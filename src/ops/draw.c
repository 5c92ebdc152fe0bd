/* draw.c - random numbers made from nothing but a seed.
 *
 *   rand              u in [0, 1)                          randint   floor(u n) + low
 *   randn             sqrt(-2 log u) cos(2 pi v)           randperm  a shuffle of 0 ... n - 1
 *   rand_exponential  -log u, u in (0, 1)
 *   rand_gumbel       -log(-log u)
 *
 * Element i is a function of the seed and of i alone (random.h), so a value that was let go is made
 * again, whole or in pieces, and comes out the same. float32 takes fewer bits of the same numbers
 * than float64, so that both agree but for rounding. Other distributions are made of these by
 * arithmetic, which carries the gradient of their parameters (distribution.c).
 *
 * Source: Box, Muller, "A note on the generation of random normal deviates", 1958.
 */
/* SPDX-License-Identifier: MIT */
#include "elementary.h"
#include "random.h"

/* --- what they share --- */

enum { LANES = 4 };

/* n elements from their numbers, u[lane][i]. */
typedef void piece_fn(const uint32_t *const *u, int64_t n, void *y);

static void run_pieces(const gr_tile *t, int lanes, size_t size, piece_fn *f)
{
    const gr__draw_attrs *a = t->attrs;
    for (int64_t i = 0, m; i < t->n; i += m) {
        gr__numbers r[LANES];
        const uint32_t *u[LANES];
        for (int k = 0; k < lanes; k++)
            u[k] = gr__draw((uint64_t)a->seed, (uint32_t)k, t->first + i, &r[k]);
        m = gr__piece(t->first + i, t->n - i);
        f(u, m, (char *)t->y + (size_t)i * size);
    }
}

static const gr_field draw_fields[] = {
    GR_FIELD(gr__draw_attrs, dtype, GR_FIELD_DTYPE),
    GR_FIELD(gr__draw_attrs, shape, GR_FIELD_SHAPE),
    GR_FIELD(gr__draw_attrs, seed, GR_FIELD_I64),
    {0},
};

static bool check_shape(gr_infer *c, const gr_shape *shape)
{
    char text[GR_SHAPE_TEXT];
    if (!gr__shape_valid(shape))
        return gr_infer_fail(c, "%s is not a usable shape", gr_shape_text(shape, text));
    c->shape[0] = *shape;
    return true;
}

static bool draw_infer(gr_infer *c)
{
    const gr__draw_attrs *a = c->attrs;
    if (!gr__is_float(a->dtype))
        return gr_infer_fail(c, "not defined for %s", gr_dtype_name(a->dtype));
    c->dtype[0] = a->dtype;
    return check_shape(c, &a->shape);
}

#define DRAW(...) .attrs = &(const gr__draw_attrs){__VA_ARGS__}

static const gr_sample draw_samples[] = {
    {.name = "integers", DRAW(GR_I64, {1, {2}}, 7), .error = "not defined for int64"},
    {.name = "no shape", DRAW(GR_F32, {1, {-2}}, 7), .error = "[-2] is not a usable shape"},
    {.name = "no dtype", DRAW(GR_DTYPES, {1, {2}}, 7), .error = "not defined for unknown"},
    {0},
};

static gr_tensor *draw(gr_graph *g, const gr_op *op, gr_dtype dtype, const gr_shape *shape,
                       const void *site)
{
    const gr__draw_attrs attrs = {dtype, *shape, (int64_t)gr_next_seed(g)};
    return gr__apply(g, op, NULL, 0, &attrs, site);
}

/* --- rand --- */

GR__CLONES static void rand_piece_f32(const uint32_t *const *u, int64_t n, void *y)
{
    const uint32_t *restrict a = u[0];
    float *restrict to = y;
    for (int64_t i = 0; i < n; i++) to[i] = (float)(a[i] >> 8) * 0x1p-24f;
}

static void rand_piece_f64(const uint32_t *const *u, int64_t n, void *y)
{
    double *to = y;
    for (int64_t i = 0; i < n; i++) to[i] = gr__unit(u[0][i], u[1][i]);
}

static void rand_f32(const gr_tile *t)
{
    run_pieces(t, 1, sizeof(float), rand_piece_f32);
}

static void rand_f64(const gr_tile *t)
{
    run_pieces(t, 2, sizeof(double), rand_piece_f64);
}

const gr_op gr__rand_op = {
    .name = "rand",
    .family = "draw",
    .formula = "y = u, uniform in [0, 1)",
    .derivation = "nothing feeds it",
    .flags = GR_OP_RANDOM,
    .attrs_size = sizeof(gr__draw_attrs),
    .fields = draw_fields,
    .infer = draw_infer,
    .tile = GR__TILES(rand),
    .samples = draw_samples,
};

/* Uniform in [0, 1), 24 bits in float32 and 53 in float64, so that 1 never comes up; each call draws
 * anew from the graph's seed. */
gr_tensor *gr_rand(gr_graph *g, gr_dtype dtype, gr_shape shape)
{
    return draw(g, &gr__rand_op, dtype, &shape, GR_HERE);
}

/* --- randn --- */

/* sin(pi z) for |z| <= 1/2, by its series: the next term is below 6e-8. */
static inline float sin_pi(float z)
{
    const float s = z * z;
    float p = -7.37043094e-3f;
    p = p * s + 8.21458866e-2f;
    p = p * s - 0.599264529f;
    p = p * s + 2.55016404f;
    p = p * s - 5.16771278f;
    p = p * s + 3.14159265f;
    return z * p;
}

/* The angle 2 pi v as a signed fraction of pi, from 32 bits; its cosine is sin(pi (1/2 - |.|)). */
GR__CLONES static void randn_piece_f32(const uint32_t *const *u, int64_t n, void *y)
{
    const uint32_t *restrict a = u[0], *restrict b = u[1];
    float *restrict to = y;
    for (int64_t i = 0; i < n; i++) {
        const float square = -2 * gr__log_f32(((float)a[i] + 0.5f) * 0x1p-32f);
        const float angle = fabsf((float)(int32_t)b[i] * 0x1p-31f);
        to[i] = sqrtf(square > 0 ? square : 0) * sin_pi(0.5f - angle);
    }
}

static void randn_piece_f64(const uint32_t *const *u, int64_t n, void *y)
{
    double *to = y;
    for (int64_t i = 0; i < n; i++) {
        const double radius = sqrt(-2 * log(gr__open_unit(u[0][i], u[2][i])));
        to[i] = radius * cos(6.283185307179586 * gr__open_unit(u[1][i], u[3][i]));
    }
}

static void randn_f32(const gr_tile *t)
{
    run_pieces(t, 2, sizeof(float), randn_piece_f32);
}

static void randn_f64(const gr_tile *t)
{
    run_pieces(t, 4, sizeof(double), randn_piece_f64);
}

const gr_op gr__randn_op = {
    .name = "randn",
    .family = "draw",
    .formula = "y = sqrt(-2 log u) cos(2 pi v), normal with mean 0 and variance 1",
    .derivation = "nothing feeds it",
    .flags = GR_OP_RANDOM,
    .attrs_size = sizeof(gr__draw_attrs),
    .fields = draw_fields,
    .infer = draw_infer,
    .tile = GR__TILES(randn),
    .samples = draw_samples,
};

/* Normal with mean 0 and variance 1; beyond 6.7 in float32 and 8.5 in float64 nothing comes up. */
gr_tensor *gr_randn(gr_graph *g, gr_dtype dtype, gr_shape shape)
{
    return draw(g, &gr__randn_op, dtype, &shape, GR_HERE);
}

/* --- rand_exponential, rand_gumbel --- */

/* -log u for u = (w + 1/2) / 2^32, exact to a few ulp at both ends: near 1 by t = 1 - u, which is
 * exact, and log(1 - t) = log(v) t / (1 - v) with v = 1 - t rounded (Kahan). Never 0. */
static inline float exponential_of(uint32_t w)
{
    const float u = ((float)w + 0.5f) * 0x1p-32f, t = ((float)~w + 0.5f) * 0x1p-32f;
    const float v = 1 - t, far = -gr__log_f32(u), near = -gr__log_f32(v) * (t / (1 - v));
    return w < 0x80000000u ? far : v == 1 ? t : near;
}

GR__CLONES static void exponential_piece_f32(const uint32_t *const *u, int64_t n, void *y)
{
    const uint32_t *restrict a = u[0];
    float *restrict to = y;
    for (int64_t i = 0; i < n; i++) to[i] = exponential_of(a[i]);
}

static void exponential_piece_f64(const uint32_t *const *u, int64_t n, void *y)
{
    double *to = y;
    for (int64_t i = 0; i < n; i++) to[i] = -log(gr__open_unit(u[0][i], u[1][i]));
}

static void exponential_f32(const gr_tile *t)
{
    run_pieces(t, 1, sizeof(float), exponential_piece_f32);
}

static void exponential_f64(const gr_tile *t)
{
    run_pieces(t, 2, sizeof(double), exponential_piece_f64);
}

const gr_op gr__rand_exponential_op = {
    .name = "rand_exponential",
    .family = "draw",
    .formula = "y = -log u, exponential with mean 1",
    .derivation = "nothing feeds it",
    .flags = GR_OP_RANDOM,
    .attrs_size = sizeof(gr__draw_attrs),
    .fields = draw_fields,
    .infer = draw_infer,
    .tile = GR__TILES(exponential),
    .samples = draw_samples,
};

/* Exponential with mean 1: positive, never 0. */
gr_tensor *gr_rand_exponential(gr_graph *g, gr_dtype dtype, gr_shape shape)
{
    return draw(g, &gr__rand_exponential_op, dtype, &shape, GR_HERE);
}

GR__CLONES static void gumbel_piece_f32(const uint32_t *const *u, int64_t n, void *y)
{
    const uint32_t *restrict a = u[0];
    float *restrict to = y;
    for (int64_t i = 0; i < n; i++) to[i] = -gr__log_f32(exponential_of(a[i]));
}

static void gumbel_piece_f64(const uint32_t *const *u, int64_t n, void *y)
{
    double *to = y;
    exponential_piece_f64(u, n, y);
    for (int64_t i = 0; i < n; i++) to[i] = -log(to[i]);
}

static void gumbel_f32(const gr_tile *t)
{
    run_pieces(t, 1, sizeof(float), gumbel_piece_f32);
}

static void gumbel_f64(const gr_tile *t)
{
    run_pieces(t, 2, sizeof(double), gumbel_piece_f64);
}

const gr_op gr__rand_gumbel_op = {
    .name = "rand_gumbel",
    .family = "draw",
    .formula = "y = -log(-log u), Gumbel with location 0 and scale 1",
    .derivation = "nothing feeds it",
    .flags = GR_OP_RANDOM,
    .attrs_size = sizeof(gr__draw_attrs),
    .fields = draw_fields,
    .infer = draw_infer,
    .tile = GR__TILES(gumbel),
    .samples = draw_samples,
};

/* Gumbel with location 0 and scale 1; always finite, since u is never 0 or 1. The index of the
 * largest of log p_i + such a number has the probabilities p_i. */
gr_tensor *gr_rand_gumbel(gr_graph *g, gr_dtype dtype, gr_shape shape)
{
    return draw(g, &gr__rand_gumbel_op, dtype, &shape, GR_HERE);
}

/* --- randint --- */

typedef struct randint_attrs {
    int64_t low, high;
    gr_shape shape;
    int64_t seed;
} randint_attrs;

static const gr_field randint_fields[] = {
    GR_FIELD(randint_attrs, low, GR_FIELD_I64),
    GR_FIELD(randint_attrs, high, GR_FIELD_I64),
    GR_FIELD(randint_attrs, shape, GR_FIELD_SHAPE),
    GR_FIELD(randint_attrs, seed, GR_FIELD_I64),
    {0},
};

static bool randint_infer(gr_infer *c)
{
    const randint_attrs *a = c->attrs;
    if (a->low >= a->high)
        return gr_infer_fail(c, "nothing lies in [%lld, %lld)", (long long)a->low,
                             (long long)a->high);
    c->dtype[0] = GR_I64;
    return check_shape(c, &a->shape);
}

static void randint_i64(const gr_tile *t)
{
    const randint_attrs *a = t->attrs;
    const uint64_t low = (uint64_t)a->low, n = (uint64_t)a->high - low, seed = (uint64_t)a->seed;
    int64_t *y = t->y;
    for (int64_t i = 0, m; i < t->n; i += m) {
        gr__numbers r[2];
        const uint32_t *u = gr__draw(seed, 0, t->first + i, &r[0]);
        const uint32_t *v = gr__draw(seed, 1, t->first + i, &r[1]);
        m = gr__piece(t->first + i, t->n - i);
        for (int64_t k = 0; k < m; k++)
            y[i + k] = (int64_t)(low + (uint64_t)gr__below(u[k], v[k], n));
    }
}

static const gr_sample randint_samples[] = {
    {.name = "nothing", .attrs = &(const randint_attrs){3, 3, {1, {2}}, 7}, .error = "nothing lies in [3, 3)"},
    {.name = "no shape", .attrs = &(const randint_attrs){0, 3, {1, {-2}}, 7}, .error = "[-2] is not a usable shape"},
    {0},
};

static const gr_op randint_op = {
    .name = "randint",
    .family = "draw",
    .formula = "y = low + floor(u (high - low)), int64",
    .derivation = "nothing feeds it",
    .flags = GR_OP_RANDOM,
    .attrs_size = sizeof(randint_attrs),
    .fields = randint_fields,
    .infer = randint_infer,
    .tile = {[GR_I64] = randint_i64},
    .samples = randint_samples,
};

/* Whole numbers of [low, high), int64, all equally likely. An empty range is an error. */
gr_tensor *gr_randint(gr_graph *g, int64_t low, int64_t high, gr_shape shape)
{
    const randint_attrs attrs = {low, high, shape, (int64_t)gr_next_seed(g)};
    return gr__apply(g, &randint_op, NULL, 0, &attrs, GR_HERE);
}

/* --- randperm --- */

typedef struct randperm_attrs {
    int64_t n, seed;
} randperm_attrs;

static const gr_field randperm_fields[] = {
    GR_FIELD(randperm_attrs, n, GR_FIELD_I64),
    GR_FIELD(randperm_attrs, seed, GR_FIELD_I64),
    {0},
};

static bool randperm_infer(gr_infer *c)
{
    const int64_t n = ((const randperm_attrs *)c->attrs)->n;
    if (n < 0) return gr_infer_fail(c, "cannot shuffle %lld numbers", (long long)n);
    c->shape[0] = (gr_shape){1, {n}};
    c->dtype[0] = GR_I64;
    return true;
}

/* Fisher and Yates' shuffle from the inside out: i goes to any of the places 0 ... i, and what was
 * there to place i. */
static gr_status randperm_forward(gr_exec *e)
{
    const randperm_attrs *a = e->attrs;
    int64_t *y = e->out[0].data;
    for (int64_t first = 0, m; first < a->n; first += m) {
        gr__numbers r[2];
        const uint32_t *u = gr__draw((uint64_t)a->seed, 0, first, &r[0]);
        const uint32_t *v = gr__draw((uint64_t)a->seed, 1, first, &r[1]);
        m = gr__piece(first, a->n - first);
        for (int64_t i = first; i < first + m; i++) {
            const int64_t j = gr__below(u[i - first], v[i - first], (uint64_t)i + 1);
            y[i] = i;
            if (j == i) continue;
            y[i] = y[j];
            y[j] = i;
        }
    }
    return GR_OK;
}

static const gr_sample randperm_samples[] = {
    {.name = "negative", .attrs = &(const randperm_attrs){-1, 7}, .error = "cannot shuffle -1 numbers"},
    {0},
};

static const gr_op randperm_op = {
    .name = "randperm",
    .family = "draw",
    .formula = "y = 0 ... n - 1 in random order, int64",
    .derivation = "nothing feeds it",
    .flags = GR_OP_RANDOM,
    .attrs_size = sizeof(randperm_attrs),
    .fields = randperm_fields,
    .infer = randperm_infer,
    .forward = {[GR_I64] = randperm_forward},
    .samples = randperm_samples,
};

/* The numbers 0 ... n - 1 in random order, int64, all orders equally likely. */
gr_tensor *gr_randperm(gr_graph *g, int64_t n)
{
    const randperm_attrs attrs = {n, (int64_t)gr_next_seed(g)};
    return gr__apply(g, &randperm_op, NULL, 0, &attrs, GR_HERE);
}

const gr_op *const gr__draw_ops[] = {
    &gr__rand_op, &gr__randn_op, &gr__rand_exponential_op, &gr__rand_gumbel_op,
    &randint_op,  &randperm_op,  NULL,
};

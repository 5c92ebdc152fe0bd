/* test_pool.c - pooling and its derivatives against plain loops. */
/* SPDX-License-Identifier: MIT */
#include "kernels.h"
#include "suite.h"

#include <gradus/ops.h>
#include <math.h>
#include <string.h>

static const char *const isas[] = {"baseline", "avx2", "avx512"};
enum { ISAS = sizeof isas / sizeof *isas };

typedef struct pool_case {
    const char *name;
    int64_t x[4];
    gr_pool2d_options o;
} pool_case;

static const pool_case cases[] = {
    {"one element", {1, 1, 1, 1}, {.kernel = {1, 1}}},
    {"halves", {3, 2, 8, 28}, {.kernel = {2, 2}}},
    {"halves, rows and columns left over", {2, 2, 9, 135}, {.kernel = {2, 2}}},
    {"large whole image", {2, 3, 9, 11}, {.kernel = {9, 11}}},
    {"rows left over", {2, 3, 7, 11}, {.kernel = {2, 3}}},
    {"overlap", {2, 2, 9, 8}, {.kernel = {3, 2}, .stride = {1, 1}}},
    {"padding", {2, 2, 9, 8}, {.kernel = {3, 4}, .stride = {2, 3}, .padding = {1, 2}}},
    {"gaps", {1, 2, 9, 13}, {.kernel = {2, 1}, .stride = {3, 5}}},
    {"whole image", {2, 5, 6, 7}, {.kernel = {6, 7}}},
    {"wide", {1, 1, 3, 333}, {.kernel = {2, 3}, .stride = {1, 2}, .padding = {1, 1}}},
    {"window larger than image",
     {1, 2, 2, 3},
     {.kernel = {4, 5}, .stride = {1, 1}, .padding = {2, 2}}},
    {"no images", {0, 3, 4, 4}, {.kernel = {2, 2}}},
    {"no channels", {2, 0, 4, 4}, {.kernel = {2, 2}}},
};
enum { CASES = sizeof cases / sizeof *cases };

/* --- plain loops --- */

static int stride_of(const pool_case *c, int axis)
{
    return c->o.stride[axis] ? c->o.stride[axis] : c->o.kernel[axis];
}

static int64_t out_size(const pool_case *c, int axis)
{
    return (c->x[2 + axis] + 2 * c->o.padding[axis] - c->o.kernel[axis]) / stride_of(c, axis) + 1;
}

typedef void element_fn(void *ctx, int64_t x, int64_t y);

static void each_element(const pool_case *c, element_fn *f, void *ctx)
{
    int64_t y = 0;
    for (int64_t plane = 0; plane < c->x[0] * c->x[1]; plane++)
        for (int64_t i = 0; i < out_size(c, 0); i++)
            for (int64_t j = 0; j < out_size(c, 1); j++, y++)
                for (int64_t k = 0; k < c->o.kernel[0] * c->o.kernel[1]; k++) {
                    int64_t r = i * stride_of(c, 0) + k / c->o.kernel[1] - c->o.padding[0];
                    int64_t s = j * stride_of(c, 1) + k % c->o.kernel[1] - c->o.padding[1];
                    if (r >= 0 && r < c->x[2] && s >= 0 && s < c->x[3])
                        f(ctx, (plane * c->x[2] + r) * c->x[3] + s, y);
                }
}

typedef struct values {
    double *x, *y;
    int64_t *place; /* in all of x */
    double area;
} values;

/* PyTorch's rule, word for word. */
static void maximum(void *ctx, int64_t x, int64_t y)
{
    values *v = ctx;
    if (v->place[y] < 0 || v->x[x] > v->y[y] || isnan(v->x[x])) {
        v->y[y] = v->x[x];
        v->place[y] = x;
    }
}

static void add_to_y(void *ctx, int64_t x, int64_t y)
{
    values *v = ctx;
    v->y[y] += v->x[x] / v->area;
}

static void add_to_x(void *ctx, int64_t x, int64_t y)
{
    values *v = ctx;
    v->x[x] += v->y[y] / v->area;
}

/* --- numbers --- */

static uint64_t state = 1;

static double *random_values(int64_t n)
{
    double *v = malloc((size_t)n * sizeof *v + 1);
    for (int64_t i = 0; i < n; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        v[i] = (double)(float)((double)(int64_t)(state >> 11) / (double)((int64_t)1 << 52) - 1);
    }
    return v;
}

static double *zeros(int64_t n)
{
    return calloc((size_t)n + 1, sizeof(double));
}

static gr_tensor *tensor(gr_graph *g, gr_dtype dtype, gr_shape shape, const double *v)
{
    return gr_cast(gr_from_data(g, GR_F64, shape, v), dtype);
}

static void check_close(const char *what, const pool_case *c, gr_tensor *t, const double *expected)
{
    double tolerance = gr_dtype_of(t) == GR_F32 ? 1e-6 : 1e-14;
    const double *got = gr_data(gr_cast(t, GR_F64));
    ck_assert_msg(got != NULL, "%s: %s: %s", c->name, what, gr_graph_error(gr_graph_of(t)));
    for (int64_t i = 0; i < gr_numel(t); i++)
        if (!(fabs(got[i] - expected[i]) <= tolerance * (1 + fabs(expected[i]))))
            ck_abort_msg("%s (%s): element %lld of %s: expected %.17g, got %.17g", c->name,
                         gr__isa_name(), (long long)i, what, expected[i], got[i]);
}

/* --- each case, in every instance --- */

typedef struct fixture {
    const pool_case *c;
    gr_shape xs, ys;
    int64_t nx, ny;
    double *x, *u, *dy, *max, *dx_max, *ddy_max, *avg, *dx_avg, *ddy_avg;
    int64_t *place;
} fixture;

static void fill_maxima(fixture *f)
{
    f->place = malloc((size_t)f->ny * sizeof *f->place + 1);
    for (int64_t i = 0; i < f->ny; i++) f->place[i] = -1;
    each_element(f->c, maximum, &(values){f->x, f->max, f->place, 1});
    for (int64_t i = 0; i < f->ny; i++) {
        f->dx_max[f->place[i]] += f->dy[i];
        f->ddy_max[i] = f->u[f->place[i]];
    }
}

static fixture fixture_new(const pool_case *c)
{
    fixture f = {.c = c,
                 .xs = GR_SHAPE(c->x[0], c->x[1], c->x[2], c->x[3]),
                 .ys = GR_SHAPE(c->x[0], c->x[1], out_size(c, 0), out_size(c, 1))};
    f.nx = gr_shape_numel(&f.xs);
    f.ny = gr_shape_numel(&f.ys);
    f.x = random_values(f.nx), f.u = random_values(f.nx), f.dy = random_values(f.ny);
    f.dx_max = zeros(f.nx), f.dx_avg = zeros(f.nx);
    f.max = zeros(f.ny), f.ddy_max = zeros(f.ny), f.avg = zeros(f.ny), f.ddy_avg = zeros(f.ny);
    fill_maxima(&f);
    double area = c->o.kernel[0] * c->o.kernel[1];
    each_element(c, add_to_y, &(values){f.x, f.avg, NULL, area});
    each_element(c, add_to_x, &(values){f.dx_avg, f.dy, NULL, area});
    each_element(c, add_to_y, &(values){f.u, f.ddy_avg, NULL, area});
    return f;
}

static void fixture_free(fixture *f)
{
    double *all[] = {f->x,       f->u,   f->dy,     f->max,    f->dx_max,
                     f->ddy_max, f->avg, f->dx_avg, f->ddy_avg};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    free(f->place);
}

static void each_case(void (*check)(const fixture *f, gr_dtype dtype))
{
    gr_set_threads(1);
    for (int k = 0; k < CASES; k++) {
        fixture f = fixture_new(&cases[k]);
        for (int i = 0; i < ISAS; i++) {
            if (!gr__kernels_force(isas[i])) continue;
            check(&f, GR_F64);
            check(&f, GR_F32);
        }
        fixture_free(&f);
    }
    gr__kernels_force(NULL);
}

/* y, dx for dy, and what a cotangent u of dx gives for dy. */
static void check_all(const fixture *f, gr_tensor *x, gr_tensor *y, const double *expected,
                      const double *dx, const double *ddy)
{
    gr_graph *g = gr_graph_of(x);
    gr_tensor *dy = tensor(g, gr_dtype_of(x), f->ys, f->dy),
              *u = tensor(g, gr_dtype_of(x), f->xs, f->u);
    gr_tensor *first, *second;
    ck_assert_msg(gr_shape_equal(gr_shape_of(y), &f->ys), "%s: %s", f->c->name, gr_graph_error(g));
    ck_assert_int_eq(gr_vjp(&y, &dy, 1, &x, 1, &first), GR_OK);
    ck_assert_int_eq(gr_vjp(&first, &u, 1, &dy, 1, &second), GR_OK);
    check_close("y", f->c, y, expected);
    check_close("dx", f->c, first, dx);
    check_close("dy of second order", f->c, second, ddy);
}

static void check_max(const fixture *f, gr_dtype dtype)
{
    gr_graph *g = gr_graph_new();
    gr_tensor *x = tensor(g, dtype, f->xs, f->x), *y = gr_max_pool2d(x, f->c->o);
    check_all(f, x, y, f->max, f->dx_max, f->ddy_max);
    const int64_t *place = gr_data(gr_output(y, 1));
    for (int64_t i = 0; i < f->ny; i++)
        ck_assert_int_eq(place[i], f->place[i] % (f->c->x[2] * f->c->x[3]));
    gr_graph_free(g);
}

START_TEST(maxima_and_their_derivatives_match_plain_loops)
{
    each_case(check_max);
}
END_TEST

static void check_avg(const fixture *f, gr_dtype dtype)
{
    gr_graph *g = gr_graph_new();
    gr_tensor *x = tensor(g, dtype, f->xs, f->x), *y = gr_avg_pool2d(x, f->c->o);
    check_all(f, x, y, f->avg, f->dx_avg, f->ddy_avg);
    gr_graph_free(g);
}

START_TEST(means_and_their_derivatives_match_plain_loops)
{
    each_case(check_avg);
}
END_TEST

/* --- ties, Inf, NaN --- */

static int64_t place_of_maximum(const double x[6], double *value)
{
    gr_graph *g = gr_graph_new();
    gr_tensor *t = gr_from_data(g, GR_F64, GR_SHAPE(1, 1, 2, 3), x);
    gr_tensor *y = gr_max_pool2d(t, (gr_pool2d_options){.kernel = {2, 3}});
    *value = gr_item(y);
    int64_t place = *(const int64_t *)gr_data(gr_output(y, 1));
    gr_graph_free(g);
    return place;
}

START_TEST(the_first_of_equal_maxima_is_chosen)
{
    double v;
    for (int i = 0; i < ISAS; i++) {
        if (!gr__kernels_force(isas[i])) continue;
        ck_assert_int_eq(place_of_maximum((double[]){1, 7, 2, 7, 0, 7}, &v), 1);
        ck_assert(v == 7);
        ck_assert_int_eq(place_of_maximum((double[]){0, 0, 0, 0, 0, 0}, &v), 0);
        ck_assert_int_eq(place_of_maximum((double[]){-0.0, 0, 0, 0, 0, 0}, &v), 0);
    }
}
END_TEST

START_TEST(nan_is_larger_than_all)
{
    double v;
    for (int i = 0; i < ISAS; i++) {
        if (!gr__kernels_force(isas[i])) continue;
        ck_assert_int_eq(place_of_maximum((double[]){1, INFINITY, NAN, 3, INFINITY, 0}, &v), 2);
        ck_assert(isnan(v));
        ck_assert_int_eq(place_of_maximum((double[]){NAN, 1, 2, 3, NAN, 0}, &v), 4);
        ck_assert(isnan(v));
    }
}
END_TEST

/* Windows of 2 by 2 side by side have code of their own. */
START_TEST(halves_choose_among_ties_and_special_values_as_all_windows_do)
{
    enum { H = 12, W = 74, OUT = H * W / 4 };
    static const double some[] = {0, 1, -0.0, NAN, -INFINITY, 1, INFINITY, -1};
    const pool_case c = {"halves", {1, 1, H, W}, {.kernel = {2, 2}}};
    double x[H * W], y[OUT];
    int64_t place[OUT];
    for (int i = 0; i < H * W; i++) x[i] = some[(i * 37 + i / 5) % 8];
    for (int i = 0; i < OUT; i++) place[i] = -1;
    each_element(&c, maximum, &(values){x, y, place, 0});
    for (int i = 0; i < ISAS; i++)
        for (gr_dtype dtype = GR_F32; dtype <= GR_F64 && gr__kernels_force(isas[i]); dtype++) {
            gr_graph *g = gr_graph_new();
            gr_tensor *t = gr_max_pool2d(tensor(g, dtype, GR_SHAPE(1, 1, H, W), x), c.o);
            const int64_t *got = gr_data(gr_output(t, 1));
            for (int k = 0; k < OUT; k++)
                ck_assert_msg(got[k] == place[k], "%s, result %d: got place %lld, expected %lld",
                              isas[i], k, (long long)got[k], (long long)place[k]);
            gr_graph_free(g);
        }
}
END_TEST

START_TEST(padding_is_never_chosen)
{
    const double low[] = {-INFINITY, -INFINITY, -INFINITY, -INFINITY};
    for (int i = 0; i < ISAS; i++) {
        if (!gr__kernels_force(isas[i])) continue;
        gr_graph *g = gr_graph_new();
        gr_tensor *x = gr_from_data(g, GR_F64, GR_SHAPE(1, 1, 2, 2), low);
        gr_pool2d_options o = {.kernel = {2, 2}, .stride = {1, 1}, .padding = {1, 1}};
        gr_tensor *y = gr_max_pool2d(x, o);
        const int64_t expected[9] = {0, 0, 1, 0, 0, 1, 2, 2, 3}, *place = gr_data(gr_output(y, 1));
        for (int k = 0; k < 9; k++) ck_assert_int_eq(place[k], expected[k]);
        for (int k = 0; k < 9; k++) ck_assert(((const double *)gr_data(y))[k] == -INFINITY);
        gr_graph_free(g);
    }
}
END_TEST

/* --- the branch signature --- */

static gr_branch branch_of(const double x[6])
{
    const gr_op *op = gr_op_find("max_pool2d");
    const gr_pool2d_options o = {.kernel = {2, 3}};
    const gr_shape xs = GR_SHAPE(1, 1, 2, 3), ys = GR_SHAPE(1, 1, 1, 1);
    double y = x[0], copy[6];
    int64_t place = 0;
    memcpy(copy, x, sizeof copy);
    for (int i = 1; i < 6; i++) y = x[i] > y ? x[i] : y;
    gr_value in = {GR_F64, &xs, NULL, copy};
    gr_value out[2] = {{GR_F64, &ys, NULL, &y}, {GR_I64, &ys, NULL, &place}};
    gr_exec e = {.op = op, .attrs = &o, .in = &in, .out = out, .n_in = 1, .n_out = 2};
    gr_branch b = {0, INFINITY};
    op->branch(&e, &b);
    return b;
}

START_TEST(the_signature_tells_which_elements_are_largest)
{
    gr_branch b = branch_of((double[]){1, 5, 2, 4.5, 0, 3});
    ck_assert(fabs(b.gap - 0.5) < 1e-15);
    ck_assert_uint_eq(b.hash, branch_of((double[]){4, 5, 2, -4.5, 0, 3}).hash);
    ck_assert_uint_ne(b.hash, branch_of((double[]){5, 4, 2, 4.5, 0, 3}).hash);
}
END_TEST

START_TEST(elements_equal_to_the_last_bits_count_as_one_set)
{
    double near = 5 * (1 - 2.2e-16);
    gr_branch tie = branch_of((double[]){1, 5, 2, 5, 0, 3});
    ck_assert(tie.gap == 2);
    ck_assert_uint_eq(tie.hash, branch_of((double[]){1, 5, 2, near, 0, 3}).hash);
    ck_assert_uint_ne(tie.hash, branch_of((double[]){1, 5, 2, 4.9, 0, 3}).hash);
    ck_assert(isinf(branch_of((double[]){0, 0, 0, 0, 0, 0}).gap));
}
END_TEST

/* --- threads, errors --- */

START_TEST(bits_do_not_depend_on_threads)
{
    static const pool_case c = {"large",
                                {16, 9, 40, 40},
                                {.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}}};
    fixture f = fixture_new(&c);
    double *result[2];
    for (int threads = 1; threads <= 2; threads++) {
        gr_graph *g = gr_graph_new();
        gr_set_threads(threads);
        gr_tensor *x = gr_from_data(g, GR_F64, f.xs, f.x), *dx;
        gr_tensor *y = gr_add(gr_max_pool2d(x, c.o), gr_avg_pool2d(x, c.o));
        ck_assert_int_eq(gr_grad(y, &x, 1, &dx), GR_OK);
        result[threads - 1] = malloc((size_t)f.nx * sizeof(double));
        memcpy(result[threads - 1], gr_data(dx), (size_t)f.nx * sizeof(double));
        gr_graph_free(g);
    }
    ck_assert_int_eq(memcmp(result[0], result[1], (size_t)f.nx * sizeof(double)), 0);
    free(result[0]), free(result[1]);
    fixture_free(&f);
}
END_TEST

static void check_error(gr_pool2d_options o, gr_shape x, const char *text)
{
    gr_graph *g = gr_graph_new();
    gr_max_pool2d(gr_zeros(g, GR_F32, x), o);
    const char *error = gr_graph_error(g);
    ck_assert_msg(error && strstr(error, text), "expected '%s', got '%s'", text, error);
    gr_graph_free(g);
}

START_TEST(errors_name_the_op_and_the_options)
{
    gr_pool2d_options half = {.kernel = {2, 2}}, wide = {.kernel = {3, 3}, .padding = {2, 0}};
    check_error(half, GR_SHAPE(4, 4), "max_pool2d: expected x of [N,C,H,W], got [4,4]");
    check_error(half, GR_SHAPE(1, 1, 1, 4),
                "a kernel of [2,2] is larger than the padded input of [1,4]");
    check_error(half, GR_SHAPE(1, 1, 0, 4), "have no elements");
    check_error(wide, GR_SHAPE(1, 1, 9, 9),
                "padding [2,0] must be from 0 to half of the kernel [3,3]");
    check_error((gr_pool2d_options){.kernel = {0, 2}}, GR_SHAPE(1, 1, 9, 9),
                "kernel [0,2] must be positive");
    check_error((gr_pool2d_options){.kernel = {INT32_MAX, 2}, .padding = {INT32_MAX / 2, 0}},
                GR_SHAPE(1, 1, 9, 9), "too large");
}
END_TEST

START_TEST(places_outside_of_a_plane_are_an_error)
{
    static const char *const ops[] = {"max_unpool", "max_pool_pick"};
    const gr_shape size = GR_SHAPE(2, 2);
    const int64_t places[2][1] = {{4}, {-1}};
    for (int i = 0; i < 4; i++) {
        gr_graph *g = gr_graph_new();
        gr_shape x = i % 2 ? GR_SHAPE(1, 1, 2, 2) : GR_SHAPE(1, 1, 1, 1);
        gr_tensor *in[2] = {gr_ones(g, GR_F32, x),
                            gr_from_data(g, GR_I64, GR_SHAPE(1, 1, 1, 1), places[i / 2])};
        ck_assert_ptr_null(gr_data(gr_apply(g, gr_op_find(ops[i % 2]), in, 2, i % 2 ? NULL : &size)));
        ck_assert_ptr_nonnull(strstr(gr_graph_error(g), "expected 0 <= place < 4"));
        gr_graph_free(g);
    }
}
END_TEST

SUITE("pool", NULL, NULL, maxima_and_their_derivatives_match_plain_loops,
      means_and_their_derivatives_match_plain_loops, the_first_of_equal_maxima_is_chosen,
      nan_is_larger_than_all,
      halves_choose_among_ties_and_special_values_as_all_windows_do, padding_is_never_chosen,
      the_signature_tells_which_elements_are_largest,
      elements_equal_to_the_last_bits_count_as_one_set, bits_do_not_depend_on_threads,
      errors_name_the_op_and_the_options, places_outside_of_a_plane_are_an_error)

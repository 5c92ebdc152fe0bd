/* test_conv.c - convolution and its derivatives against plain loops. */
/* SPDX-License-Identifier: MIT */
#include "inject.h"
#include "kernels.h"
#include "suite.h"

#include <gradus/ops.h>
#include <math.h>
#include <string.h>

static const char *const isas[] = {"baseline", "avx2", "avx512"};
enum { ISAS = sizeof isas / sizeof *isas };

/* --- cases --- */

typedef struct conv_case {
    const char *name;
    int64_t x[4], w[4];
    gr_conv2d_options o;
} conv_case;

static const conv_case cases[] = {
    {"one of each", {1, 1, 1, 1}, {1, 1, 1, 1}, {.groups = 0}},
    {"plain", {2, 3, 7, 9}, {5, 3, 3, 2}, {.groups = 0}},
    {"lenet's first", {3, 1, 28, 28}, {6, 1, 5, 5}, {.padding = {2, 2}}},
    {"lenet's second", {3, 6, 14, 14}, {16, 6, 5, 5}, {.groups = 0}},
    {"many channels", {2, 11, 5, 5}, {19, 11, 3, 3}, {.padding = {1, 1}}},
    {"padding", {1, 2, 4, 5}, {3, 2, 3, 3}, {.padding = {3, 4}}},
    {"stride", {2, 2, 9, 11}, {4, 2, 3, 3}, {.stride = {2, 3}, .padding = {1, 0}}},
    {"stride beyond the kernel", {1, 3, 11, 10}, {4, 3, 2, 1}, {.stride = {4, 3}}},
    {"dilation", {2, 2, 9, 8}, {3, 2, 3, 2}, {.dilation = {2, 3}, .padding = {2, 1}}},
    {"stride and dilation",
     {1, 2, 17, 19},
     {3, 2, 3, 4},
     {.stride = {4, 6}, .dilation = {6, 4}, .padding = {5, 2}}},
    {"common factor", {1, 1, 20, 21}, {2, 1, 4, 3}, {.stride = {2, 3}, .dilation = {4, 3}}},
    {"groups", {2, 6, 6, 5}, {9, 2, 2, 3}, {.groups = 3, .padding = {1, 1}}},
    {"depthwise", {2, 7, 8, 8}, {7, 1, 3, 3}, {.groups = 7, .padding = {1, 1}}},
    {"depthwise, two each", {1, 3, 6, 6}, {6, 1, 3, 3}, {.groups = 3, .stride = {2, 2}}},
    {"pointwise", {3, 5, 6, 7}, {9, 5, 1, 1}, {.groups = 0}},
    {"whole image", {4, 3, 5, 6}, {10, 3, 5, 6}, {.groups = 0}},
    {"only padding", {1, 1, 0, 3}, {2, 1, 2, 2}, {.padding = {1, 0}}},
    {"no channels", {2, 0, 4, 4}, {3, 0, 2, 2}, {.groups = 0}},
    {"no channels out", {2, 3, 4, 4}, {0, 3, 2, 2}, {.groups = 0}},
    {"no images", {0, 2, 4, 4}, {3, 2, 3, 3}, {.groups = 0}},
    {"bands", {1, 8, 130, 70}, {3, 8, 3, 3}, {.stride = {1, 2}, .padding = {1, 1}}},
    {"rows left over", {2, 4, 62, 131}, {9, 4, 5, 3}, {.stride = {4, 1}, .padding = {0, 1}}},
};
enum { CASES = sizeof cases / sizeof *cases };

static gr_shape shape_of(const int64_t *dim)
{
    return GR_SHAPE(dim[0], dim[1], dim[2], dim[3]);
}

static int or_one(int option)
{
    return option ? option : 1;
}

static int64_t out_size(const conv_case *c, int axis)
{
    int64_t reach = (c->w[2 + axis] - 1) * or_one(c->o.dilation[axis]) + 1;
    return (c->x[2 + axis] + 2 * c->o.padding[axis] - reach) / or_one(c->o.stride[axis]) + 1;
}

static gr_shape y_shape(const conv_case *c)
{
    return GR_SHAPE(c->x[0], c->w[0], out_size(c, 0), out_size(c, 1));
}

/* --- numbers --- */

static uint64_t state = 1;

static double uniform(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (double)(int64_t)(state >> 11) / (double)((int64_t)1 << 52) - 1;
}

/* Exactly representable in float32. */
static double *random_values(int64_t n)
{
    double *v = malloc((size_t)n * sizeof *v + 1);
    for (int64_t i = 0; i < n; i++) v[i] = (double)(float)uniform();
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

static void check_close(const char *what, const char *name, gr_tensor *t, const double *expected)
{
    gr_dtype dtype = gr_dtype_of(t);
    const double *got = gr_data(gr_cast(t, GR_F64));
    int64_t n = gr_numel(t);
    double most = 0, tolerance = dtype == GR_F32 ? 1e-5 : 1e-13;
    ck_assert_msg(got != NULL, "%s: %s: %s", name, what, gr_graph_error(gr_graph_of(t)));
    for (int64_t i = 0; i < n; i++) most = fmax(most, fabs(expected[i]));
    for (int64_t i = 0; i < n; i++)
        if (!(fabs(got[i] - expected[i]) <= tolerance * most))
            ck_abort_msg("%s (%s, %s): element %lld of %s: expected %.17g, got %.17g", name,
                         gr__isa_name(), gr_dtype_name(dtype), (long long)i, what, expected[i],
                         got[i]);
}

/* --- plain loops: every product of the convolution, once --- */

typedef void product_fn(void *ctx, int64_t x, int64_t w, int64_t y);

static void at_position(const conv_case *c, int64_t n, int64_t o, int64_t i, int64_t j, int64_t y,
                        product_fn *f, void *ctx)
{
    int64_t per_group = c->w[0] / or_one(c->o.groups), group = o / per_group;
    for (int64_t ch = 0; ch < c->w[1]; ch++)
        for (int64_t p = 0; p < c->w[2]; p++)
            for (int64_t q = 0; q < c->w[3]; q++) {
                int64_t r = i * or_one(c->o.stride[0]) + p * or_one(c->o.dilation[0]) -
                            c->o.padding[0];
                int64_t s = j * or_one(c->o.stride[1]) + q * or_one(c->o.dilation[1]) -
                            c->o.padding[1];
                if (r < 0 || r >= c->x[2] || s < 0 || s >= c->x[3]) continue;
                int64_t x = ((n * c->x[1] + group * c->w[1] + ch) * c->x[2] + r) * c->x[3] + s;
                f(ctx, x, ((o * c->w[1] + ch) * c->w[2] + p) * c->w[3] + q, y);
            }
}

static void each_product(const conv_case *c, product_fn *f, void *ctx)
{
    int64_t y = 0;
    for (int64_t n = 0; n < c->x[0]; n++)
        for (int64_t o = 0; o < c->w[0]; o++)
            for (int64_t i = 0; i < out_size(c, 0); i++)
                for (int64_t j = 0; j < out_size(c, 1); j++)
                    at_position(c, n, o, i, j, y++, f, ctx);
}

typedef struct values {
    double *x, *w, *y;
} values;

static void add_to_y(void *ctx, int64_t x, int64_t w, int64_t y)
{
    values *v = ctx;
    v->y[y] += v->x[x] * v->w[w];
}

static void add_to_x(void *ctx, int64_t x, int64_t w, int64_t y)
{
    values *v = ctx;
    v->x[x] += v->y[y] * v->w[w];
}

static void add_to_w(void *ctx, int64_t x, int64_t w, int64_t y)
{
    values *v = ctx;
    v->w[w] += v->y[y] * v->x[x];
}

/* --- one case at a time, in every instance --- */

/* Operands, cotangents dy of y, u of dx, v of dw; and what plain loops make of them. */
typedef struct fixture {
    const conv_case *c;
    gr_shape xs, ws, ys;
    int64_t nx, nw, ny, no;
    double *x, *w, *b, *dy, *u, *v;
    double *y, *dx, *dw, *db, *ddy, *dx2, *dw2;
} fixture;

static void add_bias(fixture *f)
{
    int64_t size = f->ys.dim[2] * f->ys.dim[3];
    for (int64_t i = 0; i < f->ny; i++) {
        f->y[i] += f->b[i / size % f->no];
        f->db[i / size % f->no] += f->dy[i];
    }
}

static fixture fixture_new(const conv_case *c)
{
    fixture f = {
        .c = c, .xs = shape_of(c->x), .ws = shape_of(c->w), .ys = y_shape(c), .no = c->w[0]};
    f.nx = gr_shape_numel(&f.xs);
    f.nw = gr_shape_numel(&f.ws);
    f.ny = gr_shape_numel(&f.ys);
    f.x = random_values(f.nx), f.u = random_values(f.nx), f.dx = zeros(f.nx), f.dx2 = zeros(f.nx);
    f.w = random_values(f.nw), f.v = random_values(f.nw), f.dw = zeros(f.nw), f.dw2 = zeros(f.nw);
    f.dy = random_values(f.ny), f.y = zeros(f.ny), f.ddy = zeros(f.ny);
    f.b = random_values(f.no), f.db = zeros(f.no);
    each_product(c, add_to_y, &(values){f.x, f.w, f.y});
    add_bias(&f);
    each_product(c, add_to_x, &(values){f.dx, f.w, f.dy});
    each_product(c, add_to_w, &(values){f.x, f.dw, f.dy});
    each_product(c, add_to_y, &(values){f.u, f.w, f.ddy});
    each_product(c, add_to_y, &(values){f.x, f.v, f.ddy});
    each_product(c, add_to_x, &(values){f.dx2, f.v, f.dy});
    each_product(c, add_to_w, &(values){f.u, f.dw2, f.dy});
    return f;
}

static void fixture_free(fixture *f)
{
    double *all[] = {f->x,  f->w,  f->b,  f->dy,  f->u,   f->v,  f->y,
                     f->dx, f->dw, f->db, f->ddy, f->dx2, f->dw2};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
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

/* --- values and derivatives --- */

static void check_first(const fixture *f, gr_dtype dtype)
{
    gr_graph *g = gr_graph_new();
    gr_tensor *in[3] = {tensor(g, dtype, f->xs, f->x), tensor(g, dtype, f->ws, f->w),
                        tensor(g, dtype, GR_SHAPE(f->no), f->b)};
    gr_tensor *y = gr_conv2d(in[0], in[1], in[2], f->c->o), *d[3];
    ck_assert_msg(gr_shape_equal(gr_shape_of(y), &f->ys), "%s: %s", f->c->name, gr_graph_error(g));
    gr_tensor *dy = tensor(g, dtype, f->ys, f->dy);
    ck_assert_int_eq(gr_vjp(&y, &dy, 1, in, 3, d), GR_OK);
    check_close("y", f->c->name, y, f->y);
    check_close("dx", f->c->name, d[0], f->dx);
    check_close("dw", f->c->name, d[1], f->dw);
    check_close("db", f->c->name, d[2], f->db);
    gr_graph_free(g);
}

START_TEST(values_and_gradients_match_plain_loops)
{
    each_case(check_first);
}
END_TEST

static void check_second(const fixture *f, gr_dtype dtype)
{
    gr_graph *g = gr_graph_new();
    gr_tensor *x = tensor(g, dtype, f->xs, f->x), *w = tensor(g, dtype, f->ws, f->w);
    gr_tensor *y = gr_conv2d(x, w, NULL, f->c->o), *dy = tensor(g, dtype, f->ys, f->dy), *first[2];
    ck_assert_int_eq(gr_vjp(&y, &dy, 1, (gr_tensor *[]){x, w}, 2, first), GR_OK);
    gr_tensor *uv[2] = {tensor(g, dtype, f->xs, f->u), tensor(g, dtype, f->ws, f->v)}, *second[3];
    ck_assert_int_eq(gr_vjp(first, uv, 2, (gr_tensor *[]){x, w, dy}, 3, second), GR_OK);
    check_close("x of second order", f->c->name, second[0], f->dx2);
    check_close("w of second order", f->c->name, second[1], f->dw2);
    check_close("dy of second order", f->c->name, second[2], f->ddy);
    gr_graph_free(g);
}

START_TEST(second_derivatives_match_plain_loops)
{
    each_case(check_second);
}
END_TEST

START_TEST(a_bias_is_optional)
{
    fixture f = fixture_new(&cases[1]);
    gr_graph *g = gr_graph_new();
    gr_tensor *x = tensor(g, GR_F64, f.xs, f.x), *w = tensor(g, GR_F64, f.ws, f.w);
    gr_tensor *b = tensor(g, GR_F64, GR_SHAPE(f.no), f.b);
    gr_tensor *none = gr_conv2d(x, w, NULL, f.c->o), *some = gr_conv2d(x, w, b, f.c->o);
    const double *p = gr_data(none), *q = gr_data(some);
    for (int64_t i = 0, size = f.ys.dim[2] * f.ys.dim[3]; i < f.ny; i++)
        ck_assert(p[i] + f.b[i / size % f.no] == q[i]);
    gr_graph_free(g);
    fixture_free(&f);
}
END_TEST

START_TEST(transposed_images_are_read_right)
{
    fixture f = fixture_new(&cases[1]);
    gr_graph *g = gr_graph_new();
    gr_tensor *x = tensor(g, GR_F64, f.xs, f.x), *w = tensor(g, GR_F64, f.ws, f.w);
    gr_tensor *b = tensor(g, GR_F64, GR_SHAPE(f.no), f.b), *t = gr_transpose(x, 1, 3);
    gr_data(t); /* row-major from here on */
    check_close("y", "transposed", gr_conv2d(gr_transpose(t, 1, 3), w, b, f.c->o), f.y);
    gr_graph_free(g);
    fixture_free(&f);
}
END_TEST

/* --- threads --- */

static void results_of(const fixture *f, int threads, gr_dtype dtype, void *result[3])
{
    gr_graph *g = gr_graph_new();
    gr_tensor *in[2] = {tensor(g, dtype, f->xs, f->x), tensor(g, dtype, f->ws, f->w)}, *r[3];
    gr_set_threads(threads);
    r[2] = gr_conv2d(in[0], in[1], NULL, f->c->o);
    gr_tensor *dy = tensor(g, dtype, f->ys, f->dy);
    ck_assert_int_eq(gr_vjp(&r[2], &dy, 1, in, 2, r), GR_OK);
    for (int i = 0; i < 3; i++) {
        size_t bytes = (size_t)gr_numel(r[i]) * gr_dtype_size(dtype);
        const void *data = gr_data(r[i]);
        result[i] = malloc(bytes + 1);
        memcpy(result[i], data, bytes);
    }
    gr_graph_free(g);
}

START_TEST(bits_do_not_depend_on_threads)
{
    static const conv_case large[] = {
        {"batch", {37, 6, 14, 14}, {16, 6, 5, 5}, {.groups = 0}},
        {"one image", {1, 8, 96, 80}, {12, 8, 3, 3}, {.padding = {1, 1}}},
        {"stride",
         {5, 8, 64, 64},
         {8, 4, 3, 3},
         {.groups = 2, .stride = {2, 2}, .padding = {1, 1}}},
    };
    for (int k = 0; k < 3; k++) {
        fixture f = fixture_new(&large[k]);
        size_t sizes[3] = {(size_t)f.nx, (size_t)f.nw, (size_t)f.ny};
        for (int dtype = GR_F32; dtype <= GR_F64; dtype++) {
            void *one[3], *many[3];
            results_of(&f, 1, (gr_dtype)dtype, one);
            for (int threads = 2; threads <= 3; threads++) {
                results_of(&f, threads, (gr_dtype)dtype, many);
                for (int i = 0; i < 3; i++) {
                    size_t bytes = sizes[i] * gr_dtype_size((gr_dtype)dtype);
                    ck_assert_msg(memcmp(one[i], many[i], bytes) == 0,
                                  "%s: result %d with %d threads", large[k].name, i, threads);
                    free(many[i]);
                }
            }
            for (int i = 0; i < 3; i++) free(one[i]);
        }
        fixture_free(&f);
    }
}
END_TEST

/* --- Inf and NaN --- */

static int kind_of(double x)
{
    return isnan(x) ? 1 : isinf(x) ? (x > 0 ? 2 : 3) : 0;
}

static void check_kinds(const char *what, gr_tensor *t, const double *expected)
{
    const double *got = gr_data(t);
    for (int64_t i = 0; i < gr_numel(t); i++)
        if (kind_of(got[i]) != kind_of(expected[i]))
            ck_abort_msg("%s: element %lld of %s: expected %g, got %g", gr__isa_name(),
                         (long long)i, what, expected[i], got[i]);
}

static void check_odd(fixture *f, double *place, double value)
{
    double keep = *place;
    *place = value;
    double *y = zeros(f->ny), *dx = zeros(f->nx), *dw = zeros(f->nw);
    each_product(f->c, add_to_y, &(values){f->x, f->w, y});
    each_product(f->c, add_to_x, &(values){dx, f->w, f->dy});
    each_product(f->c, add_to_w, &(values){f->x, dw, f->dy});
    gr_graph *g = gr_graph_new();
    gr_tensor *in[2] = {tensor(g, GR_F64, f->xs, f->x), tensor(g, GR_F64, f->ws, f->w)}, *d[2];
    gr_tensor *r = gr_conv2d(in[0], in[1], NULL, f->c->o), *dy = tensor(g, GR_F64, f->ys, f->dy);
    ck_assert_int_eq(gr_vjp(&r, &dy, 1, in, 2, d), GR_OK);
    check_kinds("y", r, y);
    check_kinds("dx", d[0], dx);
    check_kinds("dw", d[1], dw);
    gr_graph_free(g);
    free(y), free(dx), free(dw);
    *place = keep;
}

START_TEST(odd_values_reach_what_they_should_and_nothing_else)
{
    static const conv_case c = {"odd", {2, 2, 7, 6}, {3, 2, 3, 2}, {.stride = {2, 1}}};
    fixture f = fixture_new(&c);
    for (int i = 0; i < ISAS; i++) {
        if (!gr__kernels_force(isas[i])) continue;
        check_odd(&f, &f.x[0], INFINITY);
        check_odd(&f, &f.x[f.nx - 1], NAN);
        check_odd(&f, &f.x[35], -INFINITY);
        check_odd(&f, &f.w[0], NAN);
        check_odd(&f, &f.w[f.nw - 1], INFINITY);
        check_odd(&f, &f.dy[3], INFINITY);
        check_odd(&f, &f.dy[f.ny - 1], NAN);
    }
    fixture_free(&f);
}
END_TEST

/* --- errors --- */

static void check_error(gr_conv2d_options o, gr_shape x, gr_shape w, gr_dtype dtype,
                        const char *text)
{
    gr_graph *g = gr_graph_new();
    gr_tensor *y = gr_conv2d(gr_zeros(g, GR_F32, x), gr_zeros(g, dtype, w), NULL, o);
    const char *error = gr_graph_error(g);
    ck_assert_msg(error && strstr(error, text), "expected '%s', got '%s'", text, error);
    ck_assert(gr_data(gr_neg(y)) == NULL);
    gr_graph_free(g);
}

START_TEST(errors_name_the_op_and_the_shapes)
{
    gr_conv2d_options none = {.groups = 0}, far = {.padding = {INT32_MAX, INT32_MAX}};
    check_error(none, GR_SHAPE(3, 4), GR_SHAPE(1, 1, 1, 1), GR_F32,
                "conv2d: expected x of [N,C,H,W], got [3,4]");
    check_error(none, GR_SHAPE(1, 3, 4, 4), GR_SHAPE(5, 2, 3, 3), GR_F32,
                "conv2d: weights of [5,2,3,3] in 1 group need 2 channels, got 3");
    check_error(none, GR_SHAPE(1, 1, 2, 9), GR_SHAPE(1, 1, 3, 3), GR_F32,
                "larger than the padded input of [2,9]");
    check_error(none, GR_SHAPE(1, 1, 4, 4), GR_SHAPE(1, 1, 3, 3), GR_F64,
                "cannot mix float32 and float64");
    check_error(far, GR_SHAPE(1, 1, 4, 4), GR_SHAPE(1, 1, 3, 3), GR_F32,
                "the result would be too large");
    check_error(none, GR_SHAPE(0, 1, INT64_MAX / 64, 1), GR_SHAPE(1, 1, 1, 1), GR_F32,
                "above 2^31");
}
END_TEST

static void *allocate_little(void *user, size_t bytes)
{
    (void)user;
    return bytes > (size_t)1 << 30 ? NULL : aligned_alloc(64, (bytes + 63) / 64 * 64);
}

static void free_any(void *user, void *memory, size_t bytes)
{
    (void)user, (void)bytes;
    free(memory);
}

START_TEST(sizes_that_no_memory_holds_are_an_error)
{
    gr_set_allocator(&(gr_allocator){allocate_little, free_any, NULL});
    gr_graph *g = gr_graph_new();
    gr_conv2d_options o = {.padding = {INT32_MAX, INT32_MAX}, .dilation = {INT32_MAX, INT32_MAX}};
    gr_tensor *x = gr_zeros(g, GR_F32, GR_SHAPE(1, 1, 1, 1)),
              *w = gr_zeros(g, GR_F32, GR_SHAPE(1, 1, 3, 3));
    ck_assert_ptr_null(gr_data(gr_conv2d(x, w, NULL, o)));
    ck_assert_int_eq(gr_graph_status(g), GR_ERR_MEMORY);
    gr_graph_free(g);
}
END_TEST

/* --- memory --- */

static void step(gr_graph *g, const fixture *f)
{
    gr_tensor *in[2] = {gr_borrow(g, GR_F64, f->xs, f->x), gr_borrow(g, GR_F64, f->ws, f->w)},
              *d[2];
    gr_tensor *y = gr_conv2d(in[0], in[1], NULL, f->c->o), *dy = gr_borrow(g, GR_F64, f->ys, f->dy);
    ck_assert_int_eq(gr_vjp(&y, &dy, 1, in, 2, d), GR_OK);
    ck_assert_int_eq(gr_eval(d, 2), GR_OK);
    ck_assert_ptr_nonnull(gr_data(y));
    gr_graph_reset(g);
}

START_TEST(steps_after_the_first_allocate_nothing)
{
    inject_begin();
    fixture f = fixture_new(&cases[3]);
    gr_graph *g = gr_graph_new();
    step(g, &f);
    int64_t before = inject_allocations();
    step(g, &f);
    step(g, &f);
    ck_assert_int_eq(inject_allocations(), before);
    gr_graph_free(g);
    fixture_free(&f);
    ck_assert_int_eq(inject_live(), 0);
    inject_end();
}
END_TEST

SUITE("conv", NULL, NULL, values_and_gradients_match_plain_loops,
      second_derivatives_match_plain_loops, a_bias_is_optional, transposed_images_are_read_right,
      bits_do_not_depend_on_threads, odd_values_reach_what_they_should_and_nothing_else,
      errors_name_the_op_and_the_shapes, sizes_that_no_memory_holds_are_an_error,
      steps_after_the_first_allocate_nothing)

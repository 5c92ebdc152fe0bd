/* test_op.c - the check of whole ops: samples, layouts, several outputs, faults in the forward. */
/* SPDX-License-Identifier: MIT */
#include "expect.h"
#include "inject.h"

#include <math.h>
#include <string.h>

static gr_verdict check(const gr_op *op, int order)
{
    return gr_gradcheck_op(op, (gr_check_options){.order = order}, &report);
}

/* --- several outputs: sine and cosine at once --- */

static gr_status sincos_forward(gr_exec *e)
{
    const double *x = e->in[0].data;
    double *s = e->out[0].data, *c = e->out[1].data;
    for (int64_t i = 0, n = gr_shape_numel(e->in[0].shape); i < n; i++) {
        s[i] = sin(x[i]);
        c[i] = cos(x[i]);
    }
    return GR_OK;
}

static void sincos_vjp(gr_pullback *p)
{
    gr_tensor *dx = NULL;
    if (p->dy[0]) dx = gr_mul(p->dy[0], p->y[1]);
    if (p->dy[1]) {
        gr_tensor *more = gr_neg(gr_mul(p->dy[1], p->y[0]));
        dx = dx ? gr_add(dx, more) : more;
    }
    p->dx[0] = dx;
}

static void sine_alone_vjp(gr_pullback *p)
{
    if (p->dy[0]) p->dx[0] = gr_mul(p->dy[0], p->y[1]);
}

/* Takes an absent cotangent for ones. */
static void presuming_vjp(gr_pullback *p)
{
    gr_pullback q = *p;
    gr_tensor *one = gr_ones(p->graph, GR_F64, *gr_shape_of(p->x[0]));
    gr_tensor *dy[2] = {p->dy[0] ? p->dy[0] : one, p->dy[1] ? p->dy[1] : one};
    q.dy = dy;
    sincos_vjp(&q);
}

static const gr_sample samples[] = {
    {.name = "matrix", .in = {{.shape = {2, {3, 4}}}}, .n_in = 1},
    {.name = "empty", .in = {{.shape = {2, {0, 4}}}}, .n_in = 1},
    {0},
};

static gr_op sine_and_cosine(void (*vjp)(gr_pullback *p))
{
    return (gr_op){.name = "sincos",
                   .n_in = 1,
                   .n_out = 2,
                   .reads = GR_READS_OUT(0) | GR_READS_OUT(1),
                   .forward = {[GR_F64] = sincos_forward},
                   .vjp = vjp,
                   .samples = samples};
}

START_TEST(every_output_gets_a_cotangent)
{
    const gr_op right = sine_and_cosine(sincos_vjp), wrong = sine_and_cosine(sine_alone_vjp);
    EXPECT(check(&right, 2), GR_PASS);
    EXPECT(check(&wrong, 1), GR_FAIL);
    ck_assert_str_eq(report.stage, "S1");
}
END_TEST

START_TEST(an_absent_cotangent_has_to_count_as_zero)
{
    const gr_op op = sine_and_cosine(presuming_vjp);
    EXPECT(check(&op, 1), GR_FAIL);
    ck_assert_str_eq(report.stage, "S0b");
    SAYS("absent cotangent of output 0");
}
END_TEST

/* --- faults in the forward --- */

static void square_f64(const gr_tile *t)
{
    const double *x = t->x[0];
    double *y = t->y;
    for (int64_t i = 0; i < t->n; i++) y[i] = x[i] * x[i];
}

static void writing_f64(const gr_tile *t)
{
    double *x = (double *)(uintptr_t)t->x[0];
    square_f64(t);
    for (int64_t i = 0; i < t->n; i++) x[i] = -x[i];
}

static void lazy_f64(const gr_tile *t)
{
    gr_tile less = *t;
    if (t->first == 0) less.n--;
    square_f64(&less);
}

static void square_f32(const gr_tile *t)
{
    const float *x = t->x[0];
    float *y = t->y;
    for (int64_t i = 0; i < t->n; i++) y[i] = x[i] * x[i];
}

static void square_vjp(gr_pullback *p)
{
    p->dx[0] = gr_mul(p->dy[0], gr_scale(p->x[0], 2));
}

static void vjp_by_dtype(gr_pullback *p)
{
    double factor = gr_dtype_of(p->x[0]) == GR_F32 ? 2.01 : 2;
    p->dx[0] = gr_mul(p->dy[0], gr_scale(p->x[0], factor));
}

static void vjp_of_wrong_shape(gr_pullback *p)
{
    p->dx[0] = gr_sum_all(p->dy[0]);
}

static void vjp_with_infinity(gr_pullback *p)
{
    gr_tensor *x = p->x[0], *zero = gr_zeros(p->graph, gr_dtype_of(x), *gr_shape_of(x));
    gr_tensor *infinite = gr_shift(zero, INFINITY);
    gr_tensor *dead = gr_equal(p->dy[0], zero);
    p->dx[0] = gr_mul(gr_mul(p->dy[0], gr_scale(x, 2)),
                      gr_where(dead, infinite, gr_shift(zero, 1)));
}

static gr_op square(void (*vjp)(gr_pullback *p))
{
    return (gr_op){.name = "square",
                   .n_in = 1,
                   .reads = GR_READS_IN(0),
                   .tile = {[GR_F32] = square_f32, [GR_F64] = square_f64},
                   .vjp = vjp,
                   .samples = samples};
}

START_TEST(faults_of_an_op_are_named)
{
    gr_op op = square(square_vjp);
    EXPECT(check(&op, 2), GR_PASS);
    op.tile[GR_F64] = writing_f64;
    EXPECT(check(&op, 1), GR_FAIL);
    ck_assert_str_eq(report.stage, "S0e");
    SAYS("changed its input 0");
    op.tile[GR_F64] = lazy_f64;
    EXPECT(check(&op, 1), GR_FAIL);
    ck_assert_str_eq(report.stage, "S0e");
    SAYS("did not write");
    op = square(vjp_by_dtype);
    EXPECT(check(&op, 1), GR_FAIL);
    ck_assert_str_eq(report.stage, "S4");
    op = square(vjp_of_wrong_shape);
    EXPECT(check(&op, 1), GR_FAIL);
    SAYS("its VJP gave a cotangent of");
    SAYS("(at test_op.c:"); /* who asked for the check */
    op = square(vjp_with_infinity);
    EXPECT(check(&op, 1), GR_FAIL);
    ck_assert_str_eq(report.stage, "S0b");
    op = square(NULL);
    EXPECT(check(&op, 1), GR_FAIL);
    SAYS("no backward rule");
    op.samples = NULL;
    EXPECT(check(&op, 1), GR_FAIL);
    SAYS("no samples");
    EXPECT(check(NULL, 1), GR_FAIL);
    SAYS("the op is NULL");
    op.name = NULL;
    EXPECT(check(&op, 1), GR_FAIL);
    SAYS("the op has no name");
}
END_TEST

START_TEST(the_message_names_sample_and_layout)
{
    const gr_op op = square(vjp_with_infinity);
    EXPECT(check(&op, 1), GR_FAIL);
    SAYS("square, sample 'matrix', row-major: ");
}
END_TEST

/* --- a backward in C --- */

static gr_status square_backward(gr_exec *e)
{
    const double *x = e->in[0].data, *dy = e->in[2].data;
    double *dx = e->out[0].data;
    for (int64_t i = 0, n = gr_shape_numel(e->in[0].shape); i < n; i++) dx[i] = 2 * x[i] * dy[i];
    return GR_OK;
}

static gr_status wrong_backward(gr_exec *e)
{
    square_backward(e);
    if (gr_shape_numel(e->in[0].shape)) ((double *)e->out[0].data)[0] *= 1.00001;
    return GR_OK;
}

START_TEST(a_backward_in_c_is_checked_once)
{
    gr_op op = square(NULL);
    op.backward[GR_F64] = square_backward;
    EXPECT(check(&op, 2), GR_PASS);
    ck_assert_int_eq(report.order, 1);
    op.backward[GR_F64] = wrong_backward;
    EXPECT(check(&op, 1), GR_FAIL);
}
END_TEST

/* --- samples that must fail --- */

static bool picky_infer(gr_infer *c)
{
    return c->shape[0].rank == 2 ||
           gr_infer_fail(c, "expected a matrix, got %s", gr_infer_shape(c, 0));
}

START_TEST(samples_with_an_error_must_fail_with_it)
{
    gr_sample bad[] = {
        {.name = "vector", .in = {{.shape = {1, {4}}}}, .n_in = 1, .error = "a matrix"}, {0}};
    gr_op op = square(square_vjp);
    op.samples = bad;
    op.infer = picky_infer;
    EXPECT(check(&op, 1), GR_PASS);
    bad[0].error = "a tensor of rank 3";
    EXPECT(check(&op, 1), GR_FAIL);
    SAYS("expected the error 'a tensor of rank 3', got 'square: expected a matrix");
    op.infer = NULL;
    EXPECT(check(&op, 1), GR_FAIL);
    SAYS("got none");
}
END_TEST

/* --- layouts --- */

static gr_status packed_only(gr_exec *e)
{
    const double *x = e->in[0].data;
    double *y = e->out[0].data;
    for (int64_t i = 0, n = gr_shape_numel(e->in[0].shape); i < n; i++) y[i] = 3 * x[i];
    return GR_OK;
}

static void triple_vjp(gr_pullback *p)
{
    p->dx[0] = gr_scale(p->dy[0], 3);
}

START_TEST(a_kernel_that_ignores_strides_fails)
{
    gr_op op = {.name = "triple",
                .n_in = 1,
                .forward = {[GR_F64] = packed_only},
                .vjp = triple_vjp};
    op.samples = samples;
    EXPECT(check(&op, 1), GR_PASS);
    op.flags = GR_OP_STRIDED;
    EXPECT(check(&op, 1), GR_FAIL);
    SAYS("transposed");
}
END_TEST

/* --- no gradient --- */

START_TEST(an_op_without_gradient_passes_none)
{
    gr_op op = *gr_op_find("sign");
    EXPECT(check(&op, 2), GR_PASS);
    EXPECT(check(gr_op_find("argmax"), 2), GR_PASS);
    EXPECT(check(gr_op_find("detach"), 2), GR_PASS);
}
END_TEST

START_TEST(a_failed_allocation_is_a_failure_that_says_so)
{
    inject_begin();
    int64_t n = 0;
    for (bool happened = true; happened; n++) {
        inject_allocation(n);
        gr_verdict v = gr_gradcheck_op(gr_op_find("mul"), (gr_check_options){.order = 2}, &report);
        happened = inject_happened();
        inject_none();
        ck_assert_int_eq(inject_live(), 0);
        EXPECT(v, happened ? GR_FAIL : GR_PASS);
        if (happened) SAYS("memory");
    }
    inject_end();
    ck_assert_int_gt(n, 3);
}
END_TEST

SUITE("op", NULL, NULL, every_output_gets_a_cotangent, an_absent_cotangent_has_to_count_as_zero,
      faults_of_an_op_are_named, the_message_names_sample_and_layout,
      a_backward_in_c_is_checked_once, samples_with_an_error_must_fail_with_it,
      a_kernel_that_ignores_strides_fails, an_op_without_gradient_passes_none,
      a_failed_allocation_is_a_failure_that_says_so)

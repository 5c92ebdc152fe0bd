/* test_raw.c - verdicts over a user's own forward and backward: right, wrong, and badly behaved. */
/* SPDX-License-Identifier: MIT */
#include "inject.h"
#include "raw_report.h"
#include "suite.h"

#include <math.h>
#include <string.h>

/* --- a layer and a loss: mean cross entropy of softmax(x w + b), right or with a mistake --- */

enum { N = 4, IN = 5, CLASSES = 3 };
static const int target[N] = {2, 0, 1, 1};

typedef enum mistake {
    NONE,
    SIGN,
    NO_ONEHOT,
    NO_MEAN,
    TRANSPOSED,
    NO_BIAS,
    SWAPPED,
    SLIGHTLY_OFF,
    IGNORES_DY,
    OTHER_INPUT,
    MISTAKES
} mistake;

static void probabilities(const double *x, const double *w, const double *b, double *p)
{
    for (int i = 0; i < N; i++) {
        double sum = 0;
        for (int j = 0; j < CLASSES; j++) {
            double z = b[j];
            for (int k = 0; k < IN; k++) z += x[i * IN + k] * w[k * CLASSES + j];
            sum += p[i * CLASSES + j] = exp(z);
        }
        for (int j = 0; j < CLASSES; j++) p[i * CLASSES + j] /= sum;
    }
}

static void loss_forward(const void *const *in, void *out, void *user)
{
    double p[N * CLASSES], *y = out;
    (void)user;
    probabilities(in[0], in[1], in[2], p);
    *y = 0;
    for (int i = 0; i < N; i++) *y -= log(p[i * CLASSES + target[i]]) / N;
}

/* dz[i][j] = dy (p[i][j] - onehot[i][j]) / N */
static void logits_gradient(const void *const *in, double dy, mistake m, double *dz)
{
    probabilities(in[0], in[1], in[2], dz);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < CLASSES; j++) {
            double *d = &dz[i * CLASSES + j];
            *d -= m != NO_ONEHOT && j == target[i];
            *d *= (m == IGNORES_DY ? 1 : dy) * (m == SIGN ? -1 : 1) / (m == NO_MEAN ? 1 : N);
        }
}

static void loss_backward(const void *const *in, const void *y, const void *dy, void *const *out,
                          void *user)
{
    const mistake m = *(const mistake *)user;
    const double *x = in[0], *w = in[1];
    double *dx = out[0], *dw = out[1], *db = out[2], dz[N * CLASSES];
    (void)y;
    logits_gradient(in, *(const double *)dy, m, dz);
    memset(dx, 0, N * IN * sizeof *dx);
    memset(dw, 0, IN * CLASSES * sizeof *dw);
    memset(db, 0, CLASSES * sizeof *db);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < CLASSES; j++) {
            const double d = dz[i * CLASSES + j];
            if (m != NO_BIAS) db[j] += d;
            for (int k = 0; k < IN; k++) {
                int at = m == TRANSPOSED ? j * IN + k : k * CLASSES + j;
                dx[i * IN + k] += d * w[at];
                dw[k * CLASSES + j] += d * x[i * IN + k];
            }
        }
    if (m == SWAPPED) {
        double first = dw[0];
        dw[0] = dw[1];
        dw[1] = first;
    }
    if (m == SLIGHTLY_OFF) dw[7] *= 1 + 1e-4;
    if (m == OTHER_INPUT) memcpy(dw, dx, sizeof(double[IN * CLASSES]));
}

static gr_raw loss(mistake *m)
{
    return (gr_raw){
        .name = "loss",
        .forward = loss_forward,
        .backward = loss_backward,
        .in = {{"x", .n = N * IN}, {"w", .n = IN * CLASSES}, {"b", .n = CLASSES}},
        .out = 1,
        .user = m,
    };
}

START_TEST(a_right_layer_passes_with_every_seed)
{
    mistake m = NONE;
    gr_raw raw = loss(&m);
    for (uint64_t seed = 0; seed < 200; seed++) EXPECT(&raw, seed, GR_PASS);
    ck_assert_double_lt(report.worst, 1e-10);
    ck_assert_int_gt(report.evaluations, 40);
    ck_assert_int_eq(gr_gradcheck_raw(&raw, (gr_check_options){.order = 2}, NULL), GR_PASS);
}
END_TEST

START_TEST(every_mistake_fails_with_every_seed)
{
    for (int m = NONE + 1; m < MISTAKES; m++)
        for (uint64_t seed = 0; seed < 20; seed++) {
            mistake planted = (mistake)m;
            gr_raw raw = loss(&planted);
            gr_verdict got = check_seed(&raw, seed);
            ck_assert_msg(got == GR_FAIL, "mistake %d, seed %d: %s %s", m, (int)seed,
                          gr_verdict_name(got), report.message);
        }
}
END_TEST

START_TEST(the_wrong_input_is_named)
{
    mistake m = NO_BIAS;
    gr_raw raw = loss(&m);
    EXPECT(&raw, 1, GR_FAIL);
    ck_assert_str_eq(report.input, "b");
    m = IGNORES_DY;
    EXPECT(&raw, 1, GR_FAIL);
    SAYS("a zero dy gives");
}
END_TEST

/* --- y = x^2 behaving badly --- */

enum { SIZE = 6 };

typedef enum manner {
    GOOD,
    Y_HOLE,
    Y_ADDED,
    Y_OVER,
    Y_ADDED_OVER,
    Y_UNDER,
    Y_NAN,
    Y_CHANGES_X,
    Y_COUNTS,
    Y_READS_OVER,
    DX_HOLE,
    DX_ADDED,
    DX_OVER,
    DX_UNDER,
    DX_INF,
    DX_CHANGES_X,
    DX_CHANGES_Y,
    DX_CHANGES_DY,
    DX_COUNTS,
    DX_READS_OVER,
    DX_SQUARES,
    MANNERS
} manner;

static int calls;

static void square_forward(const void *const *in, void *out, void *user)
{
    const manner m = *(const manner *)user;
    const double *x = in[0];
    double *y = out;
    for (int i = m == Y_HOLE ? 1 : 0; i < SIZE; i++) {
        if (m == Y_ADDED) y[i] += x[i] * x[i];
        else y[i] = x[i] * x[i];
    }
    if (m == Y_OVER) y[SIZE] = 1;
    if (m == Y_ADDED_OVER) y[SIZE + 3] += 1e-3;
    if (m == Y_UNDER) y[-1] = 0;
    if (m == Y_NAN) y[2] = sqrt(-1 - x[2] * x[2]);
    if (m == Y_CHANGES_X) ((double *)in[0])[4] = 0;
    if (m == Y_COUNTS) y[0] += 1e-9 * calls++;
    if (m == Y_READS_OVER) y[5] *= x[6];
}

static void square_backward(const void *const *in, const void *out, const void *cotangent,
                            void *const *gradients, void *user)
{
    const manner m = *(const manner *)user;
    const double *x = in[0], *dy = cotangent;
    double *dx = gradients[0];
    for (int i = m == DX_HOLE ? 1 : 0; i < SIZE; i++) {
        if (m == DX_ADDED) dx[i] += 2 * x[i] * dy[i];
        else dx[i] = 2 * x[i] * dy[i];
    }
    if (m == DX_OVER) dx[SIZE] = 1;
    if (m == DX_UNDER) dx[-2] = 0;
    if (m == DX_INF) dx[2] /= 0 * x[0];
    if (m == DX_CHANGES_X) ((double *)in[0])[4] = 0;
    if (m == DX_CHANGES_Y) ((double *)out)[3] = 0;
    if (m == DX_CHANGES_DY) ((double *)cotangent)[1] *= 2;
    if (m == DX_COUNTS) dx[0] += 1e-9 * calls++;
    if (m == DX_READS_OVER) dx[5] *= dy[6];
    if (m == DX_SQUARES) dx[3] *= fabs(dy[3]);
}

static gr_raw square(manner *m)
{
    return (gr_raw){"square",           square_forward, square_backward,
                    {{"x", .n = SIZE}}, .out = SIZE,    .user = m};
}

START_TEST(bad_behaviour_is_named)
{
    static const struct {
        manner m;
        const char *stage, *says;
    } cases[] = {
        {Y_HOLE, "S0e", "forward did not write element 0 of y"},
        {Y_ADDED, "S0e", "forward did not write element 0 of y, or added to it"},
        {Y_OVER, "S0e", "forward wrote behind the last of the 6 elements of y"},
        {Y_ADDED_OVER, "S0e", "forward wrote behind the last of the 6 elements of y"},
        {Y_UNDER, "S0e", "forward wrote in front of element 0 of y"},
        {Y_NAN, "S1", "nan in element 2 of y"},
        {Y_CHANGES_X, "S0e", "forward changed element 4 of its input x"},
        {Y_COUNTS, "S0a", "forward is not deterministic: element 0 of y"},
        {Y_READS_OVER, "S0e", "forward reads outside its arrays: element 5 of y"},
        {DX_HOLE, "S0e", "backward did not write element 0 of the gradient of x"},
        {DX_ADDED, "S0e", "backward adds to element 0 of the gradient of x"},
        {DX_OVER, "S0e", "backward wrote behind the last of the 6 elements of the gradient of x"},
        {DX_UNDER, "S0e", "backward wrote in front of element 0 of the gradient of x"},
        {DX_INF, "S1", "inf in element 2 of the gradient of x"},
        {DX_CHANGES_X, "S0e", "backward changed element 4 of its input x"},
        {DX_CHANGES_Y, "S0e", "backward changed element 3 of its input y"},
        {DX_CHANGES_DY, "S0e", "backward changed element 1 of its input dy"},
        {DX_COUNTS, "S0a", "backward is not deterministic: element 0 of the gradient of x"},
        {DX_READS_OVER, "S0e", "backward reads outside its arrays: element 5 of the gradient of x"},
        {DX_SQUARES, "S0c", "not linear in dy"},
    };
    ck_assert_int_eq(sizeof cases / sizeof *cases, MANNERS - 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        manner m = cases[i].m;
        gr_raw raw = square(&m);
        EXPECT(&raw, i, GR_FAIL);
        SAYS(cases[i].says);
        ck_assert_str_eq(report.stage, cases[i].stage);
    }
}
END_TEST

START_TEST(the_point_is_taken_or_drawn)
{
    const double at[SIZE] = {0, 1, -2, 30, -4e5, 5};
    manner m = GOOD;
    gr_raw raw = square(&m);
    raw.in[0].at = at;
    EXPECT(&raw, 1, GR_PASS);
    raw.in[0] = (gr_raw_input){.n = SIZE, .low = 7, .high = 9};
    EXPECT(&raw, 1, GR_PASS);
    m = DX_INF;
    EXPECT(&raw, 1, GR_FAIL);
    SAYS("the gradient of input 0");
}
END_TEST

/* --- what backward may do with dx --- */

typedef struct adding {
    bool adds, wrong;
} adding;

/* y = x0 x1, x1 a constant */
static void times_forward(const void *const *in, void *out, void *user)
{
    const double *x = in[0], *c = in[1];
    double *y = out;
    (void)user;
    for (int i = 0; i < SIZE; i++) y[i] = x[i] * c[i];
}

static void times_backward(const void *const *in, const void *out, const void *cotangent,
                           void *const *gradients, void *user)
{
    const adding *how = user;
    const double *c = in[1], *dy = cotangent;
    double *dx = gradients[0];
    (void)out;
    ck_assert_ptr_null(gradients[1]);
    for (int i = 0; i < SIZE; i++)
        dx[i] = (how->adds ? dx[i] : 0) + c[i] * dy[i] * (how->wrong && i == 2 ? 1.001 : 1);
}

START_TEST(a_backward_that_adds_has_to_say_so)
{
    adding how = {true, false};
    gr_raw raw = {"times",        times_forward,
                  times_backward, {{"x", .n = SIZE}, {"c", .n = SIZE, .constant = true}},
                  .out = SIZE,    .adds = true,
                  .user = &how};
    for (uint64_t seed = 0; seed < 20; seed++) EXPECT(&raw, seed, GR_PASS);
    how.wrong = true;
    EXPECT(&raw, 1, GR_FAIL);
    how = (adding){false, false};
    EXPECT(&raw, 1, GR_FAIL);
    ck_assert_str_eq(report.stage, "S0d");
    SAYS("does not add");
    raw.adds = false;
    EXPECT(&raw, 1, GR_PASS);
}
END_TEST

/* --- kinks --- */

static void relu_forward(const void *const *in, void *out, void *user)
{
    const double *x = in[0];
    double *y = out;
    const int n = *(const int *)user;
    for (int i = 0; i < n; i++) y[i] = x[i] > 0 ? x[i] * x[i] + x[i] : 0;
}

static void relu_backward(const void *const *in, const void *out, const void *cotangent,
                          void *const *gradients, void *user)
{
    const double *x = in[0], *dy = cotangent;
    double *dx = gradients[0];
    const int n = *(const int *)user;
    (void)out;
    for (int i = 0; i < n; i++) dx[i] = x[i] > 0 ? (2 * x[i] + 1) * dy[i] : 0;
}

START_TEST(kinks_without_signatures_are_no_false_alarm)
{
    static const double zeros[64];
    int n = 64;
    gr_raw raw = {"relu", relu_forward, relu_backward, {{"x", .n = 64}}, .out = 64, .user = &n};
    int passed = 0;
    for (uint64_t seed = 0; seed < 50; seed++) {
        ck_assert_msg(check_seed(&raw, seed) != GR_FAIL, "%s", report.message);
        passed += report.verdict == GR_PASS;
    }
    ck_assert_int_ge(passed, 49);
    raw.in[0].at = zeros;
    ck_assert_msg(check_seed(&raw, 1) != GR_FAIL, "%s", report.message);
}
END_TEST

/* --- not usable at all --- */

START_TEST(unusable_descriptions_are_told)
{
    manner m = GOOD;
    gr_raw raw = square(&m);
    raw.backward = NULL;
    EXPECT(&raw, 1, GR_FAIL);
    SAYS("backward is NULL");
    raw = square(&m);
    raw.in[0].constant = true;
    EXPECT(&raw, 1, GR_FAIL);
    SAYS("no input to differentiate by");
    raw = square(&m);
    raw.in[0].n = -1;
    EXPECT(&raw, 1, GR_FAIL);
    SAYS("in[0]: -1 elements");
    raw = square(&m);
    raw.out = INT64_MAX;
    EXPECT(&raw, 1, GR_FAIL);
    SAYS("out: ");
}
END_TEST

static void copy_forward(const void *const *in, void *out, void *user)
{
    memcpy(out, in[0], *(const size_t *)user);
}

static void copy_backward(const void *const *in, const void *out, const void *cotangent,
                          void *const *gradients, void *user)
{
    (void)in;
    (void)out;
    memcpy(gradients[0], cotangent, *(const size_t *)user);
}

static void fail_each_allocation(const gr_raw *raw)
{
    int64_t n = 0;
    for (bool happened = true; happened; n++) {
        inject_allocation(n);
        gr_verdict v = gr_gradcheck_raw(raw, (gr_check_options){.rounds = 1}, &report);
        happened = inject_happened();
        inject_none();
        ck_assert_int_eq(v, happened ? GR_FAIL : GR_PASS);
        if (happened) SAYS("out of memory");
        ck_assert_int_eq(inject_live(), 0);
    }
    ck_assert_int_gt(n, 3);
}

START_TEST(a_failed_allocation_is_told)
{
    size_t bytes = 20000 * sizeof(double);
    gr_raw raw = {"copy",        copy_forward,
                  copy_backward, {{"x", .n = 20000}, {"unused", .n = 9, .constant = true}},
                  .out = 20000,  .user = &bytes};
    inject_begin();
    fail_each_allocation(&raw);
    bytes = 20000 * sizeof(float);
    raw.float32 = true;
    fail_each_allocation(&raw);
    inject_end();
}
END_TEST

SUITE("raw", NULL, NULL, a_right_layer_passes_with_every_seed, every_mistake_fails_with_every_seed,
      the_wrong_input_is_named, bad_behaviour_is_named, the_point_is_taken_or_drawn,
      a_backward_that_adds_has_to_say_so, kinks_without_signatures_are_no_false_alarm,
      unusable_descriptions_are_told, a_failed_allocation_is_told)

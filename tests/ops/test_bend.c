/* test_bend.c - activations with bounds, exponentials and gates against PyTorch 1.13. */
/* SPDX-License-Identifier: MIT */
#include "fixture.h"
#include "suite.h"

#include <gradus/gradus.h>
#include <math.h>
#include <string.h>

enum { N = 10, LARGE = 100000 };

/* --- values and derivatives --- */

static gr_tensor *clamp(gr_tensor *x)
{
    return gr_clamp(x, -1, 2);
}
static gr_tensor *hardtanh(gr_tensor *x)
{
    return gr_hardtanh(x, -1, 2);
}
static gr_tensor *threshold(gr_tensor *x)
{
    return gr_threshold(x, 0.5, -2);
}
static gr_tensor *hardshrink(gr_tensor *x)
{
    return gr_hardshrink(x, 0.7);
}
static gr_tensor *softshrink(gr_tensor *x)
{
    return gr_softshrink(x, 0.7);
}
static gr_tensor *elu(gr_tensor *x)
{
    return gr_elu(x, 1.5);
}
static gr_tensor *celu(gr_tensor *x)
{
    return gr_celu(x, 1.5);
}

static const double points[N] = {-4.5, -3.25, -1.5, -0.75, -0.125, 0.125, 0.6, 1.75, 3.5, 6.5};

/* y and dy/dx at the points: PyTorch 1.13 in float64. */
static const struct known {
    const char *name;
    gr_tensor *(*op)(gr_tensor *);
    double y[N], slope[N];
} known[] = {
    {"logsigmoid",
     gr_logsigmoid,
     {-4.5110477448485939, -3.288041371687783, -1.7014132779827524, -1.1368710061148999,
      -0.7575990353171691, -0.6325990353171691, -0.43748795048588568, -0.16022415043808722,
      -0.029750418272620566, -0.0015023101597542838},
     {0.98901305736940681, 0.96267311265587052, 0.81757447619364365, 0.67917869917539297,
      0.53120937337375618, 0.46879062662624377, 0.35434369377420455, 0.14804719803168948,
      0.029312230751356316, 0.0015011822567369915}},
    {"softsign",
     gr_softsign,
     {-0.81818181818181823, -0.76470588235294112, -0.59999999999999998, -0.42857142857142855,
      -0.1111111111111111, 0.1111111111111111, 0.37499999999999994, 0.63636363636363635,
      0.77777777777777779, 0.8666666666666667},
     {0.033057851239669422, 0.055363321799307974, 0.16000000000000003, 0.32653061224489793,
      0.79012345679012341, 0.79012345679012341, 0.39062500000000006, 0.13223140495867769,
      0.049382716049382713, 0.017777777777777767}},
    {"silu",
     gr_silu,
     {-0.049441241837669313, -0.12131238386842075, -0.27363828570953452, -0.24061597561845527,
      -0.058598828328280471, 0.066401171671719536, 0.38739378373547723, 1.4909174034445436,
      3.3974071923702525, 6.4902423153312094},
     {-0.03791109111942037, -0.079457282838186954, -0.041294154299142946, 0.15740005550324651,
      0.43766237974954159, 0.56233762025045853, 0.78292685049978983, 1.0726789460449571,
      1.0702733528277182, 1.008241854348962}},
    {"mish",
     gr_mish,
     {-0.049712829307341215, -0.12357485345218235, -0.29809974216680679, -0.2764947145054652,
      -0.069979907180002479, 0.079957570847359813, 0.46613648569432897, 1.6749324241318018,
      3.4939907151175196, 6.4999707039398373},
     {-0.038387912491628096, -0.083113964542797361, -0.064097815892258658, 0.1607457404998387,
      0.51960647354481604, 0.67889266050084762, 0.93047078762972391, 1.0822689489173325,
      1.0099393249951327, 1.0000539969448543}},
    {"gelu_tanh",
     gr_gelu_tanh,
     {-5.1367374119259956e-06, -0.0015686271447474948, -0.10042842301976707, -0.17003944483437966,
      -0.056282801375776612, 0.068717198624223388, 0.43541519923081473, 1.6797953823412513,
      3.4993838023446262, 6.4999999999993721},
     {-2.9322270442568694e-05, -0.0055643456441442597, -0.12771079315143308, 0.0010617438625856179,
      0.40078459383720855, 0.59921540616279145, 0.92549153333248302, 1.1115969813872029,
      1.0024226437601167, 1.0000000000065836}},
    {"elu",
     elu,
     {-1.4833365051926366, -1.441838688252417, -1.1653047597773554, -0.79145017088847802,
      -0.17625464612310682, 0.125, 0.59999999999999998, 1.75, 3.5, 6.5},
     {0.016663494807363458, 0.058161311747583017, 0.33469524022264474, 0.70854982911152198,
      1.3237453538768933, 1, 1, 1, 1, 1}},
    {"celu",
     celu,
     {-1.4253193974482041, -1.3281617340109686, -0.9481808382428365, -0.59020401043104986,
      -0.11993337805601506, 0.125, 0.59999999999999998, 1.75, 3.5, 6.5},
     {0.049787068367863944, 0.11455884399268773, 0.36787944117144233, 0.60653065971263342,
      0.92004441462932329, 1, 1, 1, 1, 1}},
    {"selu",
     gr_selu,
     {-1.7385686213560172, -1.6899304316165469, -1.3658143533672527, -0.92763201583505117,
      -0.20658211811354782, 0.13133762341943506, 0.63042059241328829, 1.8387267278720909,
      3.6774534557441818, 6.8295564178106227},
     {0.019530719491359587, 0.068168909230829647, 0.39228498748012403, 0.83046732501232545,
      1.5515172227338287, 1.0507009873554805, 1.0507009873554805, 1.0507009873554805,
      1.0507009873554805, 1.0507009873554805}},
    {"clamp",
     clamp,
     {-1, -1, -1, -0.75, -0.125, 0.125, 0.59999999999999998, 1.75, 2, 2},
     {0, 0, 0, 1, 1, 1, 1, 1, 0, 0}},
    {"hardtanh",
     hardtanh,
     {-1, -1, -1, -0.75, -0.125, 0.125, 0.59999999999999998, 1.75, 2, 2},
     {0, 0, 0, 1, 1, 1, 1, 1, 0, 0}},
    {"relu6",
     gr_relu6,
     {0, 0, 0, 0, 0, 0.125, 0.59999999999999998, 1.75, 3.5, 6},
     {0, 0, 0, 0, 0, 1, 1, 1, 1, 0}},
    {"hardsigmoid",
     gr_hardsigmoid,
     {0, 0, 0.25, 0.375, 0.47916666666666669, 0.52083333333333337, 0.59999999999999998,
      0.79166666666666663, 1, 1},
     {0, 0, 1.0 / 6, 1.0 / 6, 1.0 / 6, 1.0 / 6, 1.0 / 6, 1.0 / 6, 0, 0}},
    {"hardswish",
     gr_hardswish,
     {0, 0, -0.375, -0.28125, -0.059895833333333336, 0.065104166666666671, 0.36000000000000004,
      1.3854166666666667, 3.5, 6.5},
     {0, 0, 0, 0.25, 0.45833333333333331, 0.54166666666666663, 0.69999999999999996,
      1.0833333333333335, 1, 1}},
    {"threshold",
     threshold,
     {-2, -2, -2, -2, -2, -2, 0.59999999999999998, 1.75, 3.5, 6.5},
     {0, 0, 0, 0, 0, 0, 1, 1, 1, 1}},
    {"hardshrink",
     hardshrink,
     {-4.5, -3.25, -1.5, -0.75, 0, 0, 0, 1.75, 3.5, 6.5},
     {1, 1, 1, 1, 0, 0, 0, 1, 1, 1}},
    {"softshrink",
     softshrink,
     {-3.7999999999999998, -2.5499999999999998, -0.80000000000000004, -0.050000000000000044, 0, 0,
      0, 1.05, 2.7999999999999998, 5.7999999999999998},
     {1, 1, 1, 1, 0, 0, 0, 1, 1, 1}},
    {"tanhshrink",
     gr_tanhshrink,
     {-3.5002467891519724, -2.253002364513474, -0.5948517463551336, -0.1148510476127127,
      -0.00064699822840379173, 0.00064699822840379173, 0.062950433001964679, 0.80862446150271261,
      2.5018221023888012, 5.5000045206485959},
     {0.99950648260094055, 0.9940042851657237, 0.81929336107635142, 0.40341419171866855,
      0.01546366904960661, 0.01546366904960661, 0.28842223741277717, 0.88618790448105778,
      0.9963591152795126, 0.99999095872324462}},
};

enum { KNOWN = sizeof known / sizeof *known };

static void check_known(const struct known *k, gr_dtype dtype, double tolerance)
{
    gr_tensor *x = make(dtype, points, GR_SHAPE(2, 5)), *d, *y = k->op(x);
    ck_assert_int_eq(gr_dtype_of(y), dtype);
    ck_assert_int_eq(gr_grad(y, &x, 1, &d), GR_OK);
    const double *got = values(y), *slope = values(d);
    for (int i = 0; i < N; i++) {
        ck_assert_msg(fabs(got[i] - k->y[i]) <= tolerance * (1 + fabs(k->y[i])),
                      "%s(%g): %.17g, expected %.17g", k->name, points[i], got[i], k->y[i]);
        ck_assert_msg(fabs(slope[i] - k->slope[i]) <= tolerance, "%s'(%g): %.17g, expected %.17g",
                      k->name, points[i], slope[i], k->slope[i]);
    }
    gr_graph_reset(g);
}

START_TEST(values_and_derivatives_are_those_of_pytorch)
{
    for (int i = 0; i < KNOWN; i++) {
        check_known(&known[i], GR_F64, 2e-15);
        check_known(&known[i], GR_F32, 8e-7);
    }
}
END_TEST

START_TEST(strided_inputs_give_the_same)
{
    for (int i = 0; i < KNOWN; i++) {
        gr_tensor *x = make(GR_F64, points, GR_SHAPE(2, 5)), *turned = gr_transpose(x, 0, 1);
        const double *y = values(gr_transpose(known[i].op(turned), 0, 1));
        for (int j = 0; j < N; j++) ck_assert_double_eq_tol(y[j], known[i].y[j], 1e-14);
        gr_tensor *none = gr_zeros(g, GR_F32, GR_SHAPE(0, 4)), *d;
        ck_assert_int_eq(gr_grad(known[i].op(none), &none, 1, &d), GR_OK);
        ck_assert_int_eq(gr_numel(d), 0);
        gr_graph_reset(g);
    }
}
END_TEST

/* float32 against the same op in float64, in units of the last place of the result. */
START_TEST(float32_keeps_its_digits_at_all_sizes)
{
    static const char *const names[] = {"logsigmoid", "silu",       "mish",
                                        "elu",        "tanhshrink", "softsign"};
    static float x[LARGE];
    static double wide[LARGE];
    for (int i = 0; i < LARGE; i++) {
        x[i] = (float)pow(10, -12 + 13.3 * i / LARGE) * (i % 2 ? -1 : 1);
        wide[i] = (double)x[i];
    }
    for (int k = 0; k < KNOWN; k++)
        for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
            if (strcmp(names[n], known[k].name) != 0) continue;
            const float *y = gr_data(known[k].op(gr_from_data(g, GR_F32, GR_SHAPE(LARGE), x)));
            const double *want = values(known[k].op(make(GR_F64, wide, GR_SHAPE(LARGE))));
            for (int i = 0; i < LARGE; i++) {
                double unit = fabs(want[i]) < 0x1p-126 ? 0x1p-149 : ldexp(1, ilogb(want[i]) - 23);
                ck_assert_msg(fabs((double)y[i] - want[i]) <= 6 * unit, "%s(%.9g): %.9g, not %.9g",
                              names[n], wide[i], (double)y[i], want[i]);
            }
            gr_graph_reset(g);
        }
}
END_TEST

/* --- ties, NaN, Inf --- */

static double slope_at(gr_tensor *(*op)(gr_tensor *), double x0)
{
    gr_tensor *x = gr_scalar(g, GR_F64, x0), *d;
    ck_assert_int_eq(gr_grad(op(x), &x, 1, &d), GR_OK);
    return gr_item(d);
}

START_TEST(derivatives_at_kinks_are_those_of_pytorch)
{
    static const struct {
        gr_tensor *(*op)(gr_tensor *);
        double x, slope;
    } cases[] = {
        {clamp, -1, 1},
        {clamp, 2, 1},
        {hardtanh, -1, 0},
        {hardtanh, 2, 0},
        {gr_relu6, 0, 0},
        {gr_relu6, 6, 0},
        {gr_hardsigmoid, -3, 0},
        {gr_hardsigmoid, 3, 0},
        {gr_hardswish, -3, -0.5},
        {gr_hardswish, 3, 1.5},
        {threshold, 0.5, 0},
        {hardshrink, 0.7, 0},
        {hardshrink, -0.7, 0},
        {softshrink, 0.7, 0},
        {softshrink, -0.7, 0},
        {elu, 0, 1.5},
        {celu, 0, 1},
        {gr_selu, 0, 1.7580993408473766},
        {gr_softsign, 0, 1},
        {gr_hardswish, -INFINITY, 0},
        {elu, -INFINITY, 0},
        {gr_logsigmoid, -INFINITY, 1},
        {gr_logsigmoid, INFINITY, 0},
        {gr_mish, -1000, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ck_assert_msg(fabs(slope_at(cases[i].op, cases[i].x) - cases[i].slope) < 1e-15,
                      "case %d at %g: %g, expected %g", (int)i, cases[i].x,
                      slope_at(cases[i].op, cases[i].x), cases[i].slope);
}
END_TEST

START_TEST(nan_propagates_and_infinity_gives_the_limit)
{
    static const struct {
        gr_tensor *(*op)(gr_tensor *);
        double low, high;
    } limits[] = {
        {clamp, -1, 2},
        {hardtanh, -1, 2},
        {gr_relu6, 0, 6},
        {gr_hardsigmoid, 0, 1},
        {gr_hardswish, 0, INFINITY},
        {threshold, -2, INFINITY},
        {elu, -1.5, INFINITY},
        {celu, -1.5, INFINITY},
        {gr_softsign, -1, 1},
        {hardshrink, -INFINITY, INFINITY},
        {softshrink, -INFINITY, INFINITY},
        {gr_tanhshrink, -INFINITY, INFINITY},
        {gr_logsigmoid, -INFINITY, 0},
    };
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        for (int t = GR_F32; t <= GR_F64; t++) {
            ck_assert(gr_item(limits[i].op(gr_scalar(g, (gr_dtype)t, -INFINITY))) == limits[i].low);
            ck_assert(gr_item(limits[i].op(gr_scalar(g, (gr_dtype)t, INFINITY))) == limits[i].high);
        }
    for (int i = 0; i < KNOWN; i++)
        ck_assert_msg(isnan(gr_item(known[i].op(gr_scalar(g, GR_F32, NAN)))), "%s", known[i].name);
}
END_TEST

START_TEST(nothing_passes_a_closed_window_not_even_infinity)
{
    const double x0[2] = {-5, 1}, dy0[2] = {INFINITY, INFINITY};
    gr_tensor *x = make(GR_F64, x0, GR_SHAPE(2)), *dy = make(GR_F64, dy0, GR_SHAPE(2)), *d;
    gr_tensor *y = clamp(x);
    ck_assert_int_eq(gr_vjp(&y, &dy, 1, &x, 1, &d), GR_OK);
    ck_assert_double_eq(values(d)[0], 0);
    ck_assert_double_eq(values(d)[1], INFINITY);
}
END_TEST

START_TEST(clamp_with_crossed_or_absent_bounds)
{
    const double x0[3] = {-2, 0, 2};
    gr_tensor *x = make(GR_F64, x0, GR_SHAPE(3)), *d;
    gr_tensor *crossed = gr_clamp(x, 1, -1), *open = gr_clamp(x, -INFINITY, INFINITY);
    for (int i = 0; i < 3; i++) {
        ck_assert_double_eq(values(crossed)[i], -1);
        ck_assert_double_eq(values(open)[i], x0[i]);
    }
    ck_assert_int_eq(gr_grad(crossed, &x, 1, &d), GR_OK);
    for (int i = 0; i < 3; i++) ck_assert_double_eq(values(d)[i], 0);
}
END_TEST

/* --- prelu, gates --- */

START_TEST(prelu_has_a_slope_for_each_channel)
{
    double x0[12], w0[3] = {0.5, 0.25, -1}, dw[3] = {0};
    for (int i = 0; i < 12; i++) x0[i] = i % 2 ? i : -i - 1;
    gr_tensor *in[2] = {make(GR_F64, x0, GR_SHAPE(2, 3, 2)), make(GR_F64, w0, GR_SHAPE(3))}, *d[2];
    gr_tensor *y = gr_prelu(in[0], in[1]);
    ck_assert_int_eq(gr_grad(y, in, 2, d), GR_OK);
    for (int i = 0; i < 12; i++) {
        const int channel = i / 2 % 3;
        const bool above = x0[i] > 0;
        ck_assert_double_eq(values(y)[i], above ? x0[i] : w0[channel] * x0[i]);
        ck_assert_double_eq(values(d[0])[i], above ? 1 : w0[channel]);
        if (!above) dw[channel] += x0[i];
    }
    for (int i = 0; i < 3; i++) ck_assert_double_eq(values(d[1])[i], dw[i]);
}
END_TEST

/* a b for gates 0: glu, 1: swiglu, 2: geglu, 3: reglu. */
static double gated(int kind, double a, double b)
{
    const double by[4] = {a / (1 + exp(-b)), a / (1 + exp(-a)) * b,
                          a * 0.5 * (1 + erf(a / sqrt(2))) * b, a > 0 ? a * b : 0};
    return by[kind];
}

START_TEST(the_first_half_meets_the_second)
{
    gr_tensor *(*const ops[4])(gr_tensor *, int) = {gr_glu, gr_swiglu, gr_geglu, gr_reglu};
    double x0[12];
    for (int i = 0; i < 12; i++) x0[i] = sin(2.0 * i + 0.3);
    for (int k = 0; k < 4; k++) {
        gr_tensor *x = make(GR_F64, x0, GR_SHAPE(3, 4)), *y = ops[k](x, -1);
        ck_assert(gr_shape_of(y)->rank == 2 && gr_shape_of(y)->dim[1] == 2);
        for (int i = 0; i < 6; i++) {
            const double *row = x0 + i / 2 * 4;
            ck_assert_double_eq_tol(values(y)[i], gated(k, row[i % 2], row[i % 2 + 2]), 1e-15);
        }
        gr_graph_reset(g);
    }
}
END_TEST

START_TEST(maxout_takes_the_largest_of_k_neighbours)
{
    const double x0[6] = {1, 5, 3, -2, -7, -1};
    gr_tensor *x = make(GR_F64, x0, GR_SHAPE(1, 6)), *d, *y = gr_maxout(x, 3, 1);
    ck_assert(gr_numel(y) == 2 && values(y)[0] == 5 && values(y)[1] == -1);
    ck_assert_int_eq(gr_grad(y, &x, 1, &d), GR_OK);
    for (int i = 0; i < 6; i++) ck_assert_double_eq(values(d)[i], i == 1 || i == 5);
}
END_TEST

/* --- errors --- */

static void expect_error(const char *part)
{
    const char *error = gr_graph_error(g);
    ck_assert_msg(error && strstr(error, part), "expected '%s', got '%s'", part, error);
    gr_graph_reset(g);
}

START_TEST(errors_say_what_was_given)
{
    gr_clamp(gr_zeros(g, GR_F32, GR_SHAPE(2)), NAN, 1);
    expect_error("clamp: a bound is NaN");
    gr_hardtanh(gr_zeros(g, GR_F32, GR_SHAPE(2)), 1, 1);
    expect_error("hardtanh: the bounds are 1 and 1, expected min < max");
    gr_softshrink(gr_zeros(g, GR_F32, GR_SHAPE(2)), -1);
    expect_error("softshrink: lambda is -1");
    gr_celu(gr_zeros(g, GR_F32, GR_SHAPE(2)), 0);
    expect_error("celu: alpha is 0");
    gr_prelu(gr_zeros(g, GR_F32, GR_SHAPE(2, 3)), gr_zeros(g, GR_F32, GR_SHAPE(2)));
    expect_error("prelu: a weight of shape [2] does not fit [2,3]; expected [1] or [3]");
    gr_glu(gr_zeros(g, GR_F32, GR_SHAPE(2, 3)), 1);
    expect_error("glu: cannot cut axis 1 of [2,3] into pieces of equal size, 2 wanted");
    gr_maxout(gr_zeros(g, GR_F32, GR_SHAPE(2, 3)), -1, 1);
    expect_error("maxout: cannot cut axis 1 of [2,3]");
}
END_TEST

SUITE("bend", setup, teardown, values_and_derivatives_are_those_of_pytorch,
      strided_inputs_give_the_same, float32_keeps_its_digits_at_all_sizes,
      derivatives_at_kinks_are_those_of_pytorch, nan_propagates_and_infinity_gives_the_limit,
      nothing_passes_a_closed_window_not_even_infinity, clamp_with_crossed_or_absent_bounds,
      prelu_has_a_slope_for_each_channel, the_first_half_meets_the_second,
      maxout_takes_the_largest_of_k_neighbours, errors_say_what_was_given)

/* test_special.c - gamma functions against values computed with mpmath to 40 digits. */
/* SPDX-License-Identifier: MIT */
#include "fixture.h"
#include "suite.h"

#include <gradus/gradus.h>
#include <math.h>
#include <string.h>

/* polygamma(n, x); n 0: digamma. */
static const struct value {
    int n;
    double x, y;
} table[] = {
    {0, 1e-08, -100000000.57721565},  {0, 0.001, -1000.5755719318103},
    {0, 0.1, -10.423754940411076},    {0, 0.5, -1.9635100260214235},
    {0, 0.99, -0.59378630405559516},  {0, 1, -0.57721566490153286},
    {0, 1.25, -0.22745353337626541},  {0, 1.4616321449683622, -9.2412655217294275e-17},
    {0, 1.5, 0.036489973978576521},   {0, 2, 0.42278433509846714},
    {0, 2.5, 0.70315664064524319},    {0, 3.7, 1.1671535393615114},
    {0, 5, 1.5061176684318005},       {0, 7.9, 2.002238487563571},
    {0, 8, 2.01564147795561},         {0, 12.5, 2.485195651274912},
    {0, 100, 4.6001618527380874},     {0, 1000000.0, 13.815510057964191},
    {0, -0.25, 2.9141391202135278},   {0, -0.5, 0.036489973978576521},
    {0, -1.3, 2.8825405488661673},    {0, -1.5, 0.70315664064524319},
    {0, -2.75, -1.959055264977997},   {0, -7.4, 3.0882938617110578},
    {0, -20.6, 2.0286012618396199},   {1, 0.001, 1000001.6425331958},
    {1, 0.5, 4.9348022005446793},     {1, 1, 1.6449340668482264},
    {1, 1.7, 0.79323283016399841},    {1, 3, 0.39493406684822644},
    {1, 9.5, 0.11099728846909903},    {1, 10.5, 0.099916956059126733},
    {1, 40, 0.025315103841291028},    {1, -0.25, 18.541879647671606},
    {1, -1.3, 14.53687624413708},     {1, -1.5, 9.3792466449891238},
    {1, -6.6, 10.770952431664117},    {2, 0.001, -2000000002.3976322},
    {2, 0.5, -16.82879664423432},     {2, 1, -2.4041138063191886},
    {2, 1.7, -0.60408908410345903},   {2, 3, -0.15411380631918857},
    {2, 9.5, -0.012307845807709338},  {2, 10.5, -0.0099751442477151693},
    {2, 40, -0.00064082027183529859}, {2, -0.25, 122.69736678366236},
    {2, -1.3, 68.549413471162134},    {2, -1.5, -0.2362040516417274},
    {2, -6.6, -22.29603715463865},    {3, 0.001, 6000000000006.4686},
    {3, 0.5, 97.409091034002437},     {3, 1, 6.4939394022668291},
    {3, 1.7, 0.88956200662431641},    {3, 3, 0.11893940226682915},
    {3, 9.5, 0.0027267288350372495},  {3, 10.5, 0.0019900862371443542},
    {3, 40, 3.24414001515635e-5},     {3, -0.25, 1555.7633125348506},
    {3, -1.3, 768.72065719904269},    {3, -1.5, 194.59427621918762},
    {3, -6.6, 283.59676658815741},    {6, 0.001, -7.199999999999999e+23},
    {6, 0.5, -92203.457923803023},    {6, 1, -726.01147971498444},
    {6, 1.7, -18.330554984096475},    {6, 3, -0.38647971498443532},
    {6, 9.5, -0.0002210449100120409}, {6, 10.5, -0.00011794286977626609},
    {6, 40, -3.1558179552363939e-8},  {6, -0.25, 11791071.073496905},
    {6, -1.3, 3283534.7702634148},    {6, -1.5, -1.3180061075500352},
    {6, -6.6, -413775.16797596908},
};

enum { VALUES = sizeof table / sizeof *table };

static double polygamma_at(int n, double x)
{
    return gr_item(gr_polygamma(n, gr_scalar(g, GR_F64, x)));
}

/* Left of 0 reflection costs digits where terms cancel: an absolute bound there. */
START_TEST(digamma_and_its_derivatives_to_the_last_digits)
{
    for (int i = 0; i < VALUES; i++) {
        const struct value *v = &table[i];
        double got = polygamma_at(v->n, v->x), bound = (v->x > 0 ? 1e-15 : 1e-14) * fabs(v->y);
        if (v->x < 0) bound += 2e-14;
        ck_assert_msg(fabs(got - v->y) <= bound, "polygamma(%d, %g): %.17g, expected %.17g", v->n,
                      v->x, got, v->y);
        if (v->n) continue;
        got = gr_item(gr_digamma(gr_scalar(g, GR_F64, v->x)));
        ck_assert_double_eq(got, polygamma_at(0, v->x));
        got = gr_item(gr_digamma(gr_scalar(g, GR_F32, v->x)));
        ck_assert_double_eq_tol(got, gr_item(gr_digamma(gr_scalar(g, GR_F64, (double)(float)v->x))),
                                1e-7 * (1 + fabs(v->y)));
    }
}
END_TEST

START_TEST(each_is_the_derivative_of_the_one_before)
{
    for (int i = 0; i < VALUES; i++) {
        const struct value *v = &table[i];
        gr_tensor *x = gr_scalar(g, GR_F64, v->x), *d;
        gr_tensor *below = v->n == 0 ? gr_lgamma(x) : gr_polygamma(v->n - 1, x);
        ck_assert_int_eq(gr_grad(below, &x, 1, &d), GR_OK);
        ck_assert_double_eq(gr_item(d), polygamma_at(v->n, v->x));
    }
}
END_TEST

START_TEST(lgamma_is_that_of_libm)
{
    static const double x[] = {1e-10, 0.3, 1, 2, 2.5, 30, 1e5, -0.5, -1.5, -3.25, 0, -2, INFINITY};
    for (size_t i = 0; i < sizeof x / sizeof *x; i++)
        ck_assert_double_eq(gr_item(gr_lgamma(gr_scalar(g, GR_F64, x[i]))), lgamma(x[i]));
}
END_TEST

START_TEST(poles_and_limits)
{
    ck_assert(polygamma_at(0, 0) == -INFINITY && polygamma_at(0, -0.0) == INFINITY);
    ck_assert(isnan(polygamma_at(0, -3)) && isnan(polygamma_at(0, -INFINITY)));
    ck_assert(polygamma_at(0, INFINITY) == INFINITY && isnan(polygamma_at(0, NAN)));
    ck_assert(polygamma_at(1, 0) == INFINITY && polygamma_at(1, -2) == INFINITY);
    ck_assert(polygamma_at(2, 0) == -INFINITY && polygamma_at(1, INFINITY) == 0);
    ck_assert(isnan(polygamma_at(1, NAN)) && isnan(polygamma_at(2, NAN)));
    ck_assert(isfinite(polygamma_at(160, 20)) && !isnan(polygamma_at(100000, 2)));
    ck_assert(polygamma_at(1, 1e300) == 1e-300 && polygamma_at(3, 1e300) == 0);
}
END_TEST

START_TEST(a_negative_order_is_refused)
{
    polygamma_at(-1, 1);
    const char *error = gr_graph_error(g);
    ck_assert_msg(error && strstr(error, "polygamma: the order is -1, expected n >= 0"), "%s",
                  error);
}
END_TEST

SUITE("special", setup, teardown, digamma_and_its_derivatives_to_the_last_digits,
      each_is_the_derivative_of_the_one_before, lgamma_is_that_of_libm, poles_and_limits,
      a_negative_order_is_refused)

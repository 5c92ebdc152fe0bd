/* gamma.h - derivatives of log gamma in float64.
 *
 *   digamma(x)      = d/dx log gamma(x)
 *   polygamma(n, x) = d^n/dx^n digamma(x) = (-1)^(n+1) n! zeta(n+1, x) for n >= 1,
 *   zeta(s, x)      = sum over k >= 0 of (x + k)^-s, the Hurwitz zeta function
 *
 * Abramowitz and Stegun, "Handbook of mathematical functions", 6.3, 6.4 and 23.2.
 */
/* SPDX-License-Identifier: MIT */
#ifndef GR__GAMMA_H
#define GR__GAMMA_H

#include <math.h>

#define GR__PI 3.14159265358979323846

/* For 1 <= x <= 2: (x - root) p(x), p a Chebyshev fit; the root in two parts keeps digits near it. */
static inline double gr__digamma_near(double x)
{
    static const double coefficient[] = {
        -1.7312261802727393e-4, 2.5968482126430747e-4,  -1.5148586836773366e-4,
        2.2723316609873759e-4,  -4.8219905305667889e-4, 7.2332662792875542e-4,
        -1.0376374098418605e-3, 1.5566317474486839e-3,  -2.345267632540769e-3,
        3.519006401502276e-3,   -5.2799648732574042e-3, 7.926944646403796e-3,
        -1.1908218001568645e-2, 1.7907252439451199e-2,  -2.6975796756138249e-2,
        4.0760833812420736e-2,  -6.1922133273064532e-2, 9.4988724454941213e-2,
        -0.14840492305390886,   0.24054248424077422,    -0.4236274212814605,
        0.95105587603183289,
    };
    const double t = x - 1.5;
    double p = 0;
    for (unsigned i = 0; i < sizeof coefficient / sizeof *coefficient; i++)
        p = p * t + coefficient[i];
    return ((x - 1.4616321449683622) - 9.5499954299656978e-17) * p;
}

/* log x - 1/(2 x) - sum of B_2k / (2 k x^2k) for x >= 8. */
static inline double gr__digamma_far(double x)
{
    static const double coefficient[] = {
        -26.456212121212121,    3.0539543302701197,     -0.44325980392156863,
        8.3333333333333333e-2,  -2.1092796092796093e-2, 7.5757575757575758e-3,
        -4.1666666666666667e-3, 3.9682539682539683e-3,  -8.3333333333333333e-3,
        8.3333333333333333e-2,
    };
    const double z = 1 / (x * x);
    double p = 0;
    for (unsigned i = 0; i < sizeof coefficient / sizeof *coefficient; i++)
        p = p * z + coefficient[i];
    return log(x) - 0.5 / x - z * p;
}

static inline double gr__digamma_positive(double x)
{
    double sum = 0;
    if (x >= 8) return gr__digamma_far(x);
    if (x < 1) return gr__digamma_near(x + 1) - 1 / x;
    for (; x > 2; x -= 1) sum += 1 / (x - 1);
    return sum + gr__digamma_near(x);
}

/* -Inf at 0, Inf at -0, NaN at negative integers. Below 0: digamma(1 - x) - pi / tan(pi x). */
static inline double gr__digamma(double x)
{
    if (x == 0) return -copysign(INFINITY, x);
    if (x > 0 || x != x) return x == INFINITY || x != x ? x : gr__digamma_positive(x);
    const double r = x - nearbyint(x); /* exact */
    return r == 0 ? NAN : gr__digamma_positive(1 - x) - GR__PI / tan(GR__PI * r);
}

/* zeta(s, x) for x >= 0 and integers s >= 2: terms until a = x + k is large against s, the rest by
 * Euler and Maclaurin: a^(1-s)/(s-1) + a^-s/2 + sum of B_2j/(2j)! s (s+1) ... (s+2j-2) a^(1-s-2j). */
static inline double gr__zeta(double s, double x)
{
    static const double bernoulli[] = {
        8.3333333333333333e-2,   -1.3888888888888889e-3,  3.3068783068783069e-5,
        -8.2671957671957672e-7,  2.0876756987868099e-8,   -5.2841901386874932e-10,
        1.3382536530684679e-11,  -3.3896802963225829e-13, 8.5860620562778446e-15,
        -2.1748686985580619e-16, 5.5090028283602295e-18,  -1.3954464685812523e-19,
    };
    const double far = s < 10 ? 10 : s;
    double sum = 0, a = x;
    for (; a < far; a += 1) {
        const double term = pow(a, -s);
        sum += term;
        if (!(term > sum * 1e-17)) return sum;
    }
    if (a == INFINITY) return 0;
    const double power = pow(a, 1 - s);
    double rest = power / (s - 1) + power / a / 2, factor = power * s / (a * a);
    for (unsigned j = 0; j < sizeof bernoulli / sizeof *bernoulli; j++) {
        const double k = s + 2 * j;
        rest += bernoulli[j] * factor;
        factor *= (k + 1) * (k + 2) / (a * a);
    }
    return sum + rest;
}

/* The sum over k >= 0 of (x + k)^-s for any x: below 0 that over all integers k less the mirror
 * image of what lies left of x. r is the distance to the nearest integer. */
static inline double gr__zeta_any(double s, double x)
{
    if (x >= 0 || x != x) return x != x ? x : gr__zeta(s, x);
    const double sign = fmod(s, 2) == 0 ? 1 : -1, r = x - nearbyint(x);
    const double right = r < 0 ? 1 + r : r, left = r < 0 ? -r : 1 - r;
    return (gr__zeta(s, right) + sign * gr__zeta(s, left)) - sign * gr__zeta(s, 1 - x);
}

/* n >= 0; Inf in absolute value at 0 and at negative integers. */
static inline double gr__polygamma(int n, double x)
{
    if (n == 0) return gr__digamma(x);
    double factorial = n % 2 ? 1 : -1;
    for (int i = 2; i <= n && isfinite(factorial); i++) factorial *= i;
    const double zeta = gr__zeta_any(n + 1, x);
    return zeta == 0 ? copysign(zeta, factorial) : factorial * zeta;
}

#endif

/* elementary.h - elementary functions that compilers can vectorise.
 *
 * libm's functions are calls, one element at a time. Those for float32 below are straight-line code
 * without calls or branches, so that a loop over them becomes vector code; they are within 3 ulp
 * of the truth, save the far tails of the normal distribution, where rounding x^2 costs more.
 * Float64 goes to libm. All follow the same plan: reduce the argument by an identity, evaluate a
 * polynomial (a Chebyshev fit over the reduced range), undo the reduction. NaN goes through, Inf
 * gives the limit.
 */
/* SPDX-License-Identifier: MIT */
#ifndef GR__ELEMENTARY_H
#define GR__ELEMENTARY_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define GR__SQRT_HALF 0.70710678118654752440 /* 1 / sqrt(2) */
#define GR__LOG_2 0.69314718055994530942
#define GR__TWO_OVER_SQRT_PI 1.12837916709551257390
#define GR__ONE_OVER_SQRT_2PI 0.39894228040143267794

/* By the type of the argument: gr__exp(x) is gr__exp_f32 or gr__exp_f64. */
#define GR__BY_TYPE(f, x) _Generic((x), float : f##_f32, double : f##_f64)(x)
#define gr__exp(x) GR__BY_TYPE(gr__exp, x)
#define gr__expm1(x) GR__BY_TYPE(gr__expm1, x)
#define gr__log(x) GR__BY_TYPE(gr__log, x)
#define gr__tanh(x) GR__BY_TYPE(gr__tanh, x)
#define gr__erf(x) GR__BY_TYPE(gr__erf, x)
#define gr__sigmoid(x) GR__BY_TYPE(gr__sigmoid, x)
#define gr__softplus(x) GR__BY_TYPE(gr__softplus, x)
#define gr__tanhshrink(x) GR__BY_TYPE(gr__tanhshrink, x)
#define gr__normal_cdf(x) GR__BY_TYPE(gr__normal_cdf, x)
#define gr__normal_pdf(x) GR__BY_TYPE(gr__normal_pdf, x)

#define gr__hypot(a, b) _Generic((a), float : gr__hypot_f32, double : gr__hypot_f64)(a, b)

/* --- bits --- */

static inline uint32_t gr__bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float gr__float_of(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* --- exp: x = n log 2 + r with |r| <= log(2)/2, exp x = 2^n exp r --- */

static inline double gr__exp_f64(double x)
{
    return exp(x);
}

/* exp r - 1 for |r| <= log(2)/2. */
static inline float gr__expm1_of(float r)
{
    float p = 1.98912685e-4f;
    p = p * r + 1.39339001e-3f;
    p = p * r + 8.33331068e-3f;
    p = p * r + 4.16664627e-2f;
    p = p * r + 0.166666667f;
    p = p * r + 0.500000001f;
    return r + r * r * p;
}

static inline float gr__exp_f32(float x)
{
    const float magic = 0x1.8p23f; /* adding it leaves the nearest integer in the low bits */
    const float c = x < -104 ? -104 : x > 89 ? 89 : x; /* beyond: 0 and Inf; NaN stays */
    const float t = c * 1.44269504f + magic, k = t - magic;
    const float r = (c - k * 0.693359375f) + k * 2.12194440e-4f; /* log 2 in two parts */
    const float y = 1 + gr__expm1_of(r);
    /* 2^n in two steps, since n goes from -150 to 128 */
    const int32_t n = (int32_t)(gr__bits_of(t) - 0x4B400000u), half = n >> 1;
    return y * gr__float_of((uint32_t)(half + 127) << 23) *
           gr__float_of((uint32_t)(n - half + 127) << 23);
}

/* --- expm1: exp x - 1 = 2^n ((exp r - 1) + (1 - 2^-n)) --- */

static inline double gr__expm1_f64(double x)
{
    return expm1(x);
}

static inline float gr__expm1_f32(float x)
{
    const float magic = 0x1.8p23f;
    const float c = x < -18 ? -18 : x > 89 ? 89 : x; /* beyond: -1 and Inf; NaN stays */
    const float t = c * 1.44269504f + magic, k = t - magic;
    const float r = (c - k * 0.693359375f) + k * 2.12194440e-4f;
    const int32_t n = (int32_t)(gr__bits_of(t) - 0x4B400000u), half = n >> 1;
    const int32_t m = n > 100 ? 100 : n; /* from there on 2^-n is nothing beside 1 */
    const float y = gr__expm1_of(r) + (1 - gr__float_of((uint32_t)(127 - m) << 23));
    return y * gr__float_of((uint32_t)(half + 127) << 23) *
           gr__float_of((uint32_t)(n - half + 127) << 23);
}

/* --- log: x = 2^k (1 + f) with sqrt(1/2) <= 1 + f < sqrt 2 --- */

static inline double gr__log_f64(double x)
{
    return log(x);
}

/* log(1 + f) = 2 artanh s with s = f / (2 + f); 2 s = f - s f, the rest is s R(s^2). */
static inline float gr__log1p_of(float f, float s, float rest)
{
    return f - s * (f - rest);
}

static inline float gr__log_f32(float x)
{
    const int tiny = x < 0x1p-126f;
    const uint32_t bits = gr__bits_of(tiny ? x * 0x1p23f : x) - 0x3F3504F3u;
    const float k = (float)(((int32_t)bits >> 23) - (tiny ? 23 : 0));
    const float f = gr__float_of((bits & 0x7FFFFFu) + 0x3F3504F3u) - 1;
    const float s = f / (2 + f), z = s * s;
    float p = 0.233309641f;
    p = p * z + 0.285508026f;
    p = p * z + 0.40000122f;
    p = p * z + 0.666666667f;
    const float y = k * 0.693359375f + (gr__log1p_of(f, s, z * p) - k * 2.12194440e-4f);
    return x > 0 && x <= 0x1.fffffep127f ? y : x == 0 ? -INFINITY : x < 0 ? NAN : x;
}

/* --- sigmoid, softplus: with e = exp(-|x|) nothing overflows --- */

static inline double gr__sigmoid_f64(double x)
{
    const double e = exp(-fabs(x));
    return (x < 0 ? e : 1) / (1 + e);
}

static inline float gr__sigmoid_f32(float x)
{
    const float e = gr__exp_f32(-fabsf(x));
    return (x < 0 ? e : 1) / (1 + e);
}

static inline double gr__softplus_f64(double x)
{
    return (x > 0 ? x : 0) + log1p(exp(-fabs(x)));
}

/* log(1 + e) for 0 <= e <= 1 needs no reduction: s <= 1/3. */
static inline float gr__softplus_f32(float x)
{
    const float e = gr__exp_f32(-fabsf(x)), s = e / (2 + e), z = s * s;
    float p = 0.232243292f;
    p = p * z + 0.217065758f;
    p = p * z + 0.285923580f;
    p = p * z + 0.399997063f;
    p = p * z + 0.666666673f;
    return (x > 0 ? x : 0) + gr__log1p_of(e, s, z * p);
}

/* --- tanh: a polynomial near 0, 1 - 2 / (exp(2 |x|) + 1) elsewhere --- */

static inline double gr__tanh_f64(double x)
{
    return tanh(x);
}

static inline float gr__tanh_f32(float x)
{
    const float a = fabsf(x), z = x * x;
    float p = -6.09671417e-3f;
    p = p * z + 2.09971790e-2f;
    p = p * z - 5.38509096e-2f;
    p = p * z + 0.133327697f;
    p = p * z - 0.333333289f;
    const float far = 1 - 2 / (gr__exp_f32(2 * a) + 1);
    return a < 0.625f ? x + x * z * p : copysignf(far, x);
}

/* --- tanhshrink: x - tanh x, without cancellation near 0 --- */

/* tanh x = x / (1 + q) with q = z / (3 + z / (5 + z / (7 + ...))), z = x^2 (Lambert). */
static inline double gr__tanhshrink_f64(double x)
{
    const double z = x * x;
    double q = 0;
    if (fabs(x) >= 1.25) return x - tanh(x);
    for (int k = 23; k >= 3; k -= 2) q = z / (k + q);
    return x * (q / (1 + q));
}

static inline float gr__tanhshrink_f32(float x)
{
    const float z = x * x;
    const float q = z / (3 + z / (5 + z / (7 + z / (9 + z / 11))));
    return fabsf(x) < 1.25f ? x * (q / (1 + q)) : x - gr__tanh_f32(x);
}

/* --- hypot: float32 squares cannot overflow in float64; Inf wins over NaN (C11 F.10.4.3) --- */

static inline double gr__hypot_f64(double a, double b)
{
    return hypot(a, b);
}

static inline float gr__hypot_f32(float a, float b)
{
    const float y = (float)sqrt((double)a * (double)a + (double)b * (double)b);
    return (isinf(a) | isinf(b)) != 0 ? INFINITY : y;
}

/* --- erf and the normal distribution --- */

static inline double gr__erf_f64(double x)
{
    return erf(x);
}

/* erf a for 0 <= a < 1. */
static inline float gr__erf_near(float a)
{
    const float z = a * a;
    float p = 7.87587506e-5f;
    p = p * z - 8.01686429e-4f;
    p = p * z + 5.18908742e-3f;
    p = p * z - 2.68542120e-2f;
    p = p * z + 0.112835947f;
    p = p * z - 0.376126267f;
    p = p * z + 1.12837917f;
    return a * p;
}

/* erfc a = t exp(-a^2 + P(t)) for a >= 1 with t = 2 / (2 + a). */
static inline float gr__erfc_far(float a)
{
    const float t = 2 / (2 + a);
    float p = -0.256434545f;
    p = p * t + 0.699643665f;
    p = p * t - 0.531344695f;
    p = p * t + 4.59729274e-4f;
    p = p * t - 0.105720762f;
    p = p * t + 8.17410613e-2f;
    p = p * t + 0.375952906f;
    p = p * t + 0.999875394f;
    p = p * t - 1.26550647f;
    return t * gr__exp_f32(p - a * a);
}

static inline float gr__erf_f32(float x)
{
    const float a = fabsf(x);
    return copysignf(a < 1 ? gr__erf_near(a) : 1 - gr__erfc_far(a), x);
}

/* P(N(0,1) <= x) = erfc(-x / sqrt 2) / 2: no cancellation in the lower tail. */
static inline double gr__normal_cdf_f64(double x)
{
    return 0.5 * erfc(-x * GR__SQRT_HALF);
}

static inline float gr__normal_cdf_f32(float x)
{
    const float a = fabsf(x) * (float)GR__SQRT_HALF;
    const float upper = 0.5f * (a < 1 ? 1 - gr__erf_near(a) : gr__erfc_far(a));
    return x < 0 ? upper : 1 - upper;
}

static inline double gr__normal_pdf_f64(double x)
{
    return GR__ONE_OVER_SQRT_2PI * exp(-0.5 * x * x);
}

static inline float gr__normal_pdf_f32(float x)
{
    return (float)GR__ONE_OVER_SQRT_2PI * gr__exp_f32(-0.5f * x * x);
}

#endif

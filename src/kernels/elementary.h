/* elementary.h - elementary functions that compilers can vectorise.
 *
 * libm's functions are calls, one element at a time. Those for float32 below are straight-line code
 * without calls or branches, so that a loop over them becomes vector code, with or without fused
 * multiplications. Float64 goes to libm (glibc: within 1 ulp, tanh and erfc 2). All follow the same
 * plan: reduce the argument by an identity, evaluate a polynomial (a minimax fit over the reduced
 * range), undo the reduction. NaN goes through, Inf gives the limit. Bounds for float32, in ulp,
 * held by tests/ops/test_elementary.c:
 *
 *   exp, exp_term, log        1      sigmoid, softplus, normal_pdf        2
 *   expm1, exp2, tanh, erf    1.5    log1p, log2, sin, cos, tan           2
 *   tanhshrink                4      normal_cdf                           5
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
#define gr__exp_term(x) GR__BY_TYPE(gr__exp_term, x)
#define gr__expm1(x) GR__BY_TYPE(gr__expm1, x)
#define gr__exp2(x) GR__BY_TYPE(gr__exp2, x)
#define gr__log(x) GR__BY_TYPE(gr__log, x)
#define gr__log1p(x) GR__BY_TYPE(gr__log1p, x)
#define gr__log2(x) GR__BY_TYPE(gr__log2, x)
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

/* x = n log 2 + high + low. */
typedef struct gr__exp_parts {
    int32_t n;
    float high, low;
} gr__exp_parts;

/* For |x| < 2^22 log 2; NaN stays. */
static inline gr__exp_parts gr__exp_split(float x)
{
    const float magic = 0x1.8p23f; /* adding it leaves the nearest integer in the low bits */
    const float t = x * 1.44269504f + magic, k = t - magic;
    const int32_t n = (int32_t)(gr__bits_of(t) - 0x4B400000u);
    return (gr__exp_parts){n, x - k * 0.693359375f, k * 2.12194440e-4f}; /* log 2 in two parts */
}

/* exp(high + low) - 1 where the sum is at most log(2)/2 in size, and little more. The polynomial goes
 * by pairs, for half the latency. */
static inline float gr__expm1_of(gr__exp_parts a)
{
    const float r = a.high + a.low, square = r * r;
    const float top = 1.98912685e-4f * r + 1.39339001e-3f;
    const float middle = 8.33331068e-3f * r + 4.16664627e-2f;
    const float low = 0.166666667f * r + 0.500000001f;
    const float p = (top * square + middle) * square + low;
    return a.high + (a.low + square * p);
}

/* 2^n y in two steps, since n goes from -150 to 128. */
static inline float gr__scale_by_power(float y, int32_t n)
{
    const int32_t half = n >> 1;
    return y * gr__float_of((uint32_t)(half + 127) << 23) *
           gr__float_of((uint32_t)(n - half + 127) << 23);
}

static inline float gr__exp_f32(float x)
{
    /* beyond: 0 and Inf; NaN stays */
    const gr__exp_parts a = gr__exp_split(x < -104 ? -104 : x > 89 ? 89 : x);
    return gr__scale_by_power(1 + gr__expm1_of(a), a.n);
}

/* exp x for x <= 0, and 0 where that is below 2^-125: the terms of a softmax. */
static inline float gr__exp_term_f32(float x)
{
    const gr__exp_parts a = gr__exp_split(x); /* anything where x is far below, NaN for NaN */
    const float y = (1 + gr__expm1_of(a)) * gr__float_of(((uint32_t)a.n + 127) << 23);
    return x < -86.5f ? 0 : y;
}

static inline double gr__exp_term_f64(double x)
{
    return exp(x);
}

/* exp(-x^2 / 2): x^2 in two parts, for its rounding would cost more the larger it is. */
static inline float gr__bell_f32(float x)
{
    const float b = fabsf(x) > 15 ? 15 : x; /* beyond: 0; NaN stays */
    const float coarse = gr__float_of(gr__bits_of(b) & 0xFFFFF000u);
    gr__exp_parts a = gr__exp_split(-0.5f * (coarse * coarse));
    a.low -= 0.5f * (b - coarse) * (b + coarse);
    return gr__scale_by_power(1 + gr__expm1_of(a), a.n);
}

/* --- expm1: exp x - 1 = 2^n ((exp r - 1) + (1 - 2^-n)) --- */

static inline double gr__expm1_f64(double x)
{
    return expm1(x);
}

static inline float gr__expm1_f32(float x)
{
    const gr__exp_parts a = gr__exp_split(x < -18 ? -18 : x > 89 ? 89 : x); /* beyond: -1 and Inf */
    const int32_t m = a.n > 100 ? 100 : a.n; /* from there on 2^-n is nothing beside 1 */
    const float y = gr__expm1_of(a) + (1 - gr__float_of((uint32_t)(127 - m) << 23));
    return x == 0 ? x : gr__scale_by_power(y, a.n); /* -0 too */
}

/* --- exp2: x = n + r with |r| <= 1/2, 2^x = 2^n 2^r --- */

static inline double gr__exp2_f64(double x)
{
    return exp2(x);
}

static inline float gr__exp2_f32(float x)
{
    const float b = x < -150 ? -150 : x > 128 ? 128 : x; /* beyond: 0 and Inf; NaN stays */
    const float magic = 0x1.8p23f, t = b + magic, r = b - (t - magic);
    float p = 1.53670557e-4f;
    p = p * r + 1.33997013e-3f;
    p = p * r + 9.61838677e-3f;
    p = p * r + 5.55032968e-2f;
    p = p * r + 0.240226484f;
    p = p * r + 0.693147205f;
    return gr__scale_by_power(1 + r * p, (int32_t)(gr__bits_of(t) - 0x4B400000u));
}

/* --- log: x = 2^k (1 + f) with sqrt(1/2) <= 1 + f < sqrt 2 --- */

static inline double gr__log_f64(double x)
{
    return log(x);
}

typedef struct gr__log_parts {
    int32_t k;
    float f;
} gr__log_parts;

/* For x > 0. */
static inline gr__log_parts gr__log_split(float x)
{
    const int tiny = x < 0x1p-126f;
    const uint32_t bits = gr__bits_of(tiny ? x * 0x1p23f : x) - 0x3F3504F3u;
    return (gr__log_parts){((int32_t)bits >> 23) - (tiny ? 23 : 0),
                           gr__float_of((bits & 0x7FFFFFu) + 0x3F3504F3u) - 1};
}

/* f - log(1 + f), log(1 + f) being 2 artanh s with s = f / (2 + f); 2 s = f - s f. */
static inline float gr__log1p_gap(float f)
{
    const float s = f / (2 + f), z = s * s;
    float p = 0.233309641f;
    p = p * z + 0.285508026f;
    p = p * z + 0.40000122f;
    p = p * z + 0.666666667f;
    return s * (f - z * p);
}

/* k log 2 + log(1 + f) */
static inline float gr__log_join(int32_t k, float f)
{
    const float n = (float)k;
    return n * 0.693359375f + ((f - gr__log1p_gap(f)) - n * 2.12194440e-4f);
}

/* y, but where log has no finite value. */
static inline float gr__log_limits(float x, float y)
{
    return x > 0 && x <= 0x1.fffffep127f ? y : x == 0 ? -INFINITY : x < 0 ? NAN : x;
}

static inline float gr__log_f32(float x)
{
    const gr__log_parts a = gr__log_split(x);
    return gr__log_limits(x, gr__log_join(a.k, a.f));
}

static inline double gr__log2_f64(double x)
{
    return log2(x);
}

static inline float gr__log2_f32(float x)
{
    const gr__log_parts a = gr__log_split(x);
    const float rest = a.f * 0.442695041f - gr__log1p_gap(a.f) * 1.44269504f; /* 1 / log 2 */
    return gr__log_limits(x, (float)a.k + (a.f + rest));
}

static inline double gr__log1p_f64(double x)
{
    return log1p(x);
}

/* 1 + x = u + rest, exactly, = 2^k (1 + f). */
static inline float gr__log1p_f32(float x)
{
    const float u = 1 + x, v = u - 1, rest = (x - v) + (1 - (u - v)); /* Knuth's sum */
    const gr__log_parts a = gr__log_split(u);
    const int32_t k = a.k > 100 ? 100 : a.k; /* from there on rest is nothing */
    const float y = gr__log_join(a.k, a.f + rest * gr__float_of((uint32_t)(127 - k) << 23));
    return gr__log_limits(u, x == 0 ? x : y); /* -0 too */
}

/* --- sigmoid, softplus: in terms of |x| nothing overflows --- */

static inline double gr__sigmoid_f64(double x)
{
    const double e = exp(-fabs(x));
    return (x < 0 ? e : 1) / (1 + e);
}

/* With exp |x| = 2^n p: sigmoid(-|x|) = 1 / (1 + 2^n p) = 2^-n / (2^-n + p), p = 1 + rest. */
static inline float gr__sigmoid_f32(float x)
{
    const gr__exp_parts a = gr__exp_split(fabsf(x) > 104 ? 104 : fabsf(x));
    const int32_t m = a.n > 100 ? 100 : a.n; /* from there on 2^-n is nothing beside 1 */
    const float power = gr__float_of((uint32_t)(127 - m) << 23);
    const float y = gr__scale_by_power(1 / (1 + (power + gr__expm1_of(a))), -a.n);
    return x < 0 ? y : 1 - y;
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
    return (x > 0 ? x : 0) + (e - s * (e - z * p));
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
    return copysignf(a < 0.625f ? a + a * z * p : far, x);
}

/* --- sin, cos, tan: x = n pi/2 + r with |r| <= pi/4 --- */

#define GR__FAR_ANGLE 0x1p18f /* in float32 the functions below are for |x| up to this */

typedef struct gr__angle {
    uint32_t n; /* modulo 4 in its low bits */
    double r;
} gr__angle;

/* In float64, or near a multiple of pi/2 no digit of r would be right. */
static inline gr__angle gr__angle_split(float x)
{
    const float magic = 0x1.8p23f, t = x * 0.636619772f + magic;
    const double k = (double)(t - magic);
    const double r = ((double)x - k * 0x1.921fb544p+0) - k * 0x1.0b4611a626331p-34;
    return (gr__angle){gr__bits_of(t), r};
}

/* sin r or cos r, negative in the second half of the turn. */
static inline float gr__angle_sine(gr__angle a)
{
    const float r = (float)a.r, z = r * r;
    float p = -1.951729892e-4f, q = 2.44384516e-5f;
    p = p * z + 8.332178146e-3f;
    p = p * z - 0.1666665494f;
    q = q * z - 1.388736752e-3f;
    q = q * z + 4.166664687e-2f;
    const float sine = r + r * z * p, cosine = (1 - 0.5f * z) + z * z * q;
    return gr__float_of(gr__bits_of(a.n & 1 ? cosine : sine) ^ (a.n & 2) << 30);
}

static inline float gr__sin_near(float x)
{
    const float y = gr__angle_sine(gr__angle_split(x));
    return x == 0 ? x : y; /* -0 too */
}

static inline float gr__cos_near(float x)
{
    gr__angle a = gr__angle_split(x);
    a.n++;
    return gr__angle_sine(a);
}

/* Three errors of a float32 would add up: sine and cosine by their series, in float64. */
static inline float gr__tan_near(float x)
{
    const gr__angle a = gr__angle_split(x);
    const double z = a.r * a.r;
    double s = 1.0 / 362880, c = -1.0 / 3628800;
    s = s * z - 1.0 / 5040;
    s = s * z + 1.0 / 120;
    s = s * z - 1.0 / 6;
    c = c * z + 1.0 / 40320;
    c = c * z - 1.0 / 720;
    c = c * z + 1.0 / 24;
    c = c * z - 1.0 / 2;
    const float sine = (float)(a.r + a.r * z * s), cosine = (float)(1 + z * c);
    const float y = (a.n & 1 ? -cosine : sine) / (a.n & 1 ? sine : cosine);
    return x == 0 ? x : y; /* -0 too */
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
    float p = 7.889124432e-5f;
    p = p * z - 8.020842733e-4f;
    p = p * z + 5.189535501e-3f;
    p = p * z - 2.685444468e-2f;
    p = p * z + 0.1128360018f;
    p = p * z - 0.3761262714f;
    p = p * z + 0.1283791659f;
    return a + a * p;
}

/* exp(a^2) erfc a for 0 <= a <= 10.3, as t P(t) with t = 2 / (2 + a). */
static inline float gr__erfcx_of(float t)
{
    float p = 3.595500599e-2f;
    p = p * t - 0.1921481021f;
    p = p * t + 0.3843180687f;
    p = p * t - 0.2939319831f;
    p = p * t - 1.78257696e-2f;
    p = p * t + 3.279421733e-2f;
    p = p * t + 5.598287515e-2f;
    p = p * t + 0.1852865992f;
    p = p * t + 0.2452333441f;
    p = p * t + 0.2822469954f;
    p = p * t + 0.2820887526f;
    return p * t;
}

static inline float gr__erf_f32(float x)
{
    const float a = fabsf(x), far = 1 - gr__exp_f32(-a * a) * gr__erfcx_of(2 / (2 + a));
    return copysignf(a < 1 ? gr__erf_near(a) : far, x);
}

/* P(N(0,1) <= x) = erfc(-x / sqrt 2) / 2: no cancellation in the lower tail. */
static inline double gr__normal_cdf_f64(double x)
{
    return 0.5 * erfc(-x * GR__SQRT_HALF);
}

static inline float gr__normal_cdf_f32(float x)
{
    const float t = 2.82842712f / (2.82842712f + fabsf(x));
    const float upper = gr__bell_f32(x) * (0.5f * gr__erfcx_of(t));
    return x < 0 ? upper : 1 - upper;
}

static inline double gr__normal_pdf_f64(double x)
{
    return GR__ONE_OVER_SQRT_2PI * exp(-0.5 * x * x);
}

static inline float gr__normal_pdf_f32(float x)
{
    return (float)GR__ONE_OVER_SQRT_2PI * gr__bell_f32(x);
}

#endif

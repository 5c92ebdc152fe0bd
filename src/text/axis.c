/* axis.c - round numbers along an axis. */
/* SPDX-License-Identifier: MIT */
#include "axis.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* The smallest of 1, 2, 5 times a power of ten that is not below x > 0. */
static double round_step(double x)
{
    double power = pow(10, floor(log10(x)));
    double ratio = x / power; /* [1, 10) but for rounding */
    return power * (ratio <= 1.0000001 ? 1 : ratio <= 2.0000001 ? 2 : ratio <= 5.0000001 ? 5 : 10);
}

gr__axis gr__axis_values(double lo, double hi, int wanted)
{
    if (!(lo <= hi)) lo = 0, hi = 1; /* nothing to show */
    double size = fmax(fabs(lo), fabs(hi));
    if (hi - lo <= 1e-9 * size || size < 1e-290) { /* one value: some room around it */
        double room = size < 1e-290 ? 0.5 : 0.1 * size;
        lo -= room;
        hi += room;
    }
    double step = round_step((hi - lo) / wanted);
    double first = floor(lo / step + 1e-6), last = ceil(hi / step - 1e-6);
    return (gr__axis){.lo = first * step,
                      .hi = last * step,
                      .first = first * step,
                      .step = step,
                      .count = (int)(last - first) + 1};
}

gr__axis gr__axis_counts(int n, int wanted)
{
    if (n < 2) return (gr__axis){.lo = 0, .hi = 2, .first = 1, .step = 1, .count = 1};
    double step = round_step(fmax(1, (double)(n - 1) / wanted));
    double first = step > 1 ? step : 1;
    return (gr__axis){
        .lo = 1, .hi = n, .first = first, .step = step, .count = (int)((n - first) / step) + 1};
}

gr__axis gr__axis_decades(double lo, double hi, int wanted)
{
    if (!(lo > 0 && lo <= hi)) lo = hi = 1; /* nothing to show */
    double first = floor(log10(lo) + 1e-9), last = ceil(log10(hi) - 1e-9);
    if (last - first < 1) last = first + 1;
    double step = ceil((last - first) / wanted);
    double tick = ceil(first / step) * step; /* so that 1 is a tick where it is in range */
    return (gr__axis){.lo = first,
                      .hi = last,
                      .first = tick,
                      .step = step,
                      .count = (int)((last - tick) / step + 1e-9) + 1,
                      .decades = true};
}

bool gr__axis_shows(const gr__axis *a, double x)
{
    return fabs(x) < GR__AXIS_LIMIT && !(a->decades && x <= 0);
}

static double tick_place(const gr__axis *a, int i)
{
    double x = a->first + i * a->step;
    return fabs(x) < 1e-9 * a->step ? 0 : x;
}

double gr__axis_tick(const gr__axis *a, int i)
{
    return a->decades ? pow(10, tick_place(a, i)) : tick_place(a, i);
}

double gr__axis_place(const gr__axis *a, double x, double from, double to)
{
    if (a->decades) x = log10(x);
    return from + (x - a->lo) / (a->hi - a->lo) * (to - from);
}

/* 10 to the given exponent. */
static void add_power(int exponent, gr__text *out)
{
    static const char *const raised[] = {"⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"};
    int size = abs(exponent);
    gr__text_add(out, "10%s", exponent < 0 ? "⁻" : "");
    if (size >= 100) gr__text_add(out, "%s", raised[size / 100 % 10]);
    if (size >= 10) gr__text_add(out, "%s", raised[size / 10 % 10]);
    gr__text_add(out, "%s", raised[size % 10]);
}

void gr__axis_power(double x, gr__text *out)
{
    int exponent = (int)floor(log10(x));
    int digit = (int)(x / pow(10, exponent) + 0.5);
    if (digit == 10) digit = 1, exponent++;
    if (digit != 1) gr__text_add(out, "%d×", digit);
    add_power(exponent, out);
}

static void decade_label(const gr__axis *a, int i, gr__text *out)
{
    int exponent = (int)lround(tick_place(a, i));
    if (exponent == 0 || exponent == 1) gr__text_add(out, exponent ? "10" : "1");
    else add_power(exponent, out);
}

void gr__axis_label(const gr__axis *a, int i, bool percent, gr__text *out)
{
    if (a->decades) {
        decade_label(a, i, out);
        return;
    }
    double scale = percent ? 100 : 1, x = gr__axis_tick(a, i) * scale, step = a->step * scale;
    double largest = fmax(fabs(a->lo), fabs(a->hi)) * scale;
    if (largest >= 1e6 || step < 0.99e-4) {
        char text[GR__NUMBER_TEXT];
        snprintf(text, sizeof text, "%.*e", largest / step >= 100 ? 3 : 1, x);
        gr__text_add(out, "%s", x == 0 ? "0" : text);
    } else {
        int decimals = step >= 0.99 ? 0 : (int)ceil(-log10(step) - 1e-6);
        gr__text_fixed(out, x, decimals);
    }
    if (percent) gr__text_add(out, "%%");
}

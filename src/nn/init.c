/* init.c - initial values of parameters.
 *
 *   uniform  U(-b, b)    xavier b = gain sqrt(6 / (fan_in + fan_out))    kaiming b = gain sqrt(3 / fan_in)
 *   normal   N(0, s^2)   xavier s = gain sqrt(2 / (fan_in + fan_out))    kaiming s = gain / sqrt(fan_in)
 *
 * Glorot, Bengio: Understanding the difficulty of training deep feedforward neural networks, 2010.
 * He, Zhang, Ren, Sun: Delving deep into rectifiers, 2015.
 */
/* SPDX-License-Identifier: MIT */
#include "model.h"

#include <math.h>

/* --- numbers --- */

static void store(void *data, gr_dtype dtype, int64_t i, double value)
{
    if (dtype == GR_F32) ((float *)data)[i] = (float)value;
    else ((double *)data)[i] = value;
}

static void fill_constant(gr_param *p, double value, uint64_t stream)
{
    (void)stream;
    int64_t n = gr_shape_numel(gr_param_shape(p));
    void *data = gr_param_write(p);
    for (int64_t i = 0; i < n; i++) store(data, gr_param_dtype(p), i, value);
}

static void fill_uniform(gr_param *p, double bound, uint64_t stream)
{
    int64_t n = gr_shape_numel(gr_param_shape(p));
    void *data = gr_param_write(p);
    for (int64_t i = 0; i < n; i++)
        store(data, gr_param_dtype(p), i,
              bound * (2 * gr__random_uniform(stream, (uint64_t)i) - 1));
}

static void fill_normal(gr_param *p, double deviation, uint64_t stream)
{
    int64_t n = gr_shape_numel(gr_param_shape(p));
    void *data = gr_param_write(p);
    for (int64_t i = 0; i < n; i++)
        store(data, gr_param_dtype(p), i, deviation * gr__random_normal(stream, (uint64_t)i));
}

/* --- scales --- */

typedef struct fans {
    double in, out;
} fans;

/* Of a weight [out, in, ...]. */
static fans fans_of(const gr_shape *shape)
{
    double rest = 1;
    for (int i = 2; i < shape->rank; i++) rest *= (double)shape->dim[i];
    return (fans){rest * (double)shape->dim[1], rest * (double)shape->dim[0]};
}

static double zero(gr_init init, fans f)
{
    (void)init, (void)f;
    return 0;
}

static double one(gr_init init, fans f)
{
    (void)init, (void)f;
    return 1;
}

static double given(gr_init init, fans f)
{
    (void)f;
    return init.a;
}

static double xavier_uniform(gr_init init, fans f)
{
    return init.gain * sqrt(6 / (f.in + f.out));
}

static double xavier_normal(gr_init init, fans f)
{
    return init.gain * sqrt(2 / (f.in + f.out));
}

static double kaiming_uniform(gr_init init, fans f)
{
    return init.gain * sqrt(3 / f.in);
}

static double kaiming_normal(gr_init init, fans f)
{
    return init.gain / sqrt(f.in);
}

static const struct kind {
    double (*scale)(gr_init init, fans f);
    void (*fill)(gr_param *p, double scale, uint64_t stream);
    bool reads_fans;
} kinds[] = {
    [GR_INIT_DEFAULT] = {zero, fill_constant, false},
    [GR_INIT_ZEROS] = {zero, fill_constant, false},
    [GR_INIT_ONES] = {one, fill_constant, false},
    [GR_INIT_UNIFORM] = {given, fill_uniform, false},
    [GR_INIT_NORMAL] = {given, fill_normal, false},
    [GR_INIT_XAVIER_UNIFORM] = {xavier_uniform, fill_uniform, true},
    [GR_INIT_XAVIER_NORMAL] = {xavier_normal, fill_normal, true},
    [GR_INIT_KAIMING_UNIFORM] = {kaiming_uniform, fill_uniform, true},
    [GR_INIT_KAIMING_NORMAL] = {kaiming_normal, fill_normal, true},
};

bool gr__init_fill(gr_param *p, gr_init init, uint64_t stream, const char **problem)
{
    const gr_shape *shape = gr_param_shape(p);
    *problem = NULL;
    if ((unsigned)init.kind >= sizeof kinds / sizeof *kinds)
        *problem = "there is no such initialiser";
    else if (!isfinite(init.a) || !isfinite(init.gain)) *problem = "its initialiser is not finite";
    else if (kinds[init.kind].reads_fans && shape->rank < 2)
        *problem = "fan_in and fan_out need a weight of rank 2 or more";
    if (*problem) return false;
    if (gr_shape_numel(shape) == 0) return true;
    const struct kind *kind = &kinds[init.kind];
    fans f = kind->reads_fans ? fans_of(shape) : (fans){0, 0};
    if (init.gain == 0) init.gain = 1;
    kind->fill(p, kind->scale(init, f), stream);
    return true;
}

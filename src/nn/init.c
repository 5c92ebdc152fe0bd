/* init.c - initial values of parameters, drawn element by element.
 *
 *   uniform  U(-b, b)    xavier b = gain sqrt(6 / (fan_in + fan_out))    kaiming b = gain sqrt(3 / fan_in)
 *   normal   N(0, s^2)   xavier s = gain sqrt(2 / (fan_in + fan_out))    kaiming s = gain / sqrt(fan_in)
 *
 * LeCun's are Kaiming's with gain 1, the normal one truncated.
 *
 * LeCun, Bottou, Orr, Mueller: Efficient backprop, 1998.
 * Glorot, Bengio: Understanding the difficulty of training deep feedforward neural networks, 2010.
 * He, Zhang, Ren, Sun: Delving deep into rectifiers, 2015.
 */
/* SPDX-License-Identifier: MIT */
#include "init.h"

#include <math.h>
#include <string.h>

/* --- one element --- */

static double constant_at(const gr__draw *d, uint64_t i)
{
    (void)i;
    return d->scale;
}

static double uniform_at(const gr__draw *d, uint64_t i)
{
    return d->init->mean + d->scale * (2 * gr__random_uniform(d->stream, i) - 1);
}

static double normal_at(const gr__draw *d, uint64_t i)
{
    return d->init->mean + d->scale * gr__random_normal(d->stream, i);
}

/* Drawn again from further streams until it is near enough. */
static double truncated_at(const gr__draw *d, uint64_t i)
{
    double cut = d->init->cut == 0 ? 2 : d->init->cut, x = gr__random_normal(d->stream, i);
    for (uint64_t again = 1; fabs(x) > cut; again++)
        x = gr__random_normal(gr__hash_join(d->stream, again), i);
    return d->init->mean + d->scale * x;
}

void gr__init_store(gr_param *p, void *data, int64_t i, double value)
{
    if (gr_param_dtype(p) == GR_F32) ((float *)data)[i] = (float)value;
    else ((double *)data)[i] = value;
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

static double zero(const gr_init *o, fans f)
{
    (void)o, (void)f;
    return 0;
}

static double one(const gr_init *o, fans f)
{
    (void)o, (void)f;
    return 1;
}

static double given(const gr_init *o, fans f)
{
    (void)f;
    return o->a;
}

static double gain(const gr_init *o, fans f)
{
    (void)f;
    return o->gain;
}

static double small(const gr_init *o, fans f)
{
    (void)f;
    return o->a == 0 ? 0.01 : o->a;
}

static double xavier_uniform(const gr_init *o, fans f)
{
    return o->gain * sqrt(6 / (f.in + f.out));
}

static double xavier_normal(const gr_init *o, fans f)
{
    return o->gain * sqrt(2 / (f.in + f.out));
}

static double kaiming_uniform(const gr_init *o, fans f)
{
    return o->gain * sqrt(3 / (o->fan_out ? f.out : f.in));
}

static double kaiming_normal(const gr_init *o, fans f)
{
    return o->gain / sqrt(o->fan_out ? f.out : f.in);
}

static double lecun_uniform(const gr_init *o, fans f)
{
    (void)o;
    return sqrt(3 / f.in);
}

static double lecun_normal(const gr_init *o, fans f)
{
    (void)o;
    return 1 / sqrt(f.in);
}

/* --- all kinds --- */

static const char fans_problem[] = "fan_in and fan_out need a weight of rank 2 or more";

/* `at` draws one element; where it is NULL, `fill` sets all of them, and says what went wrong. */
static const struct kind {
    double (*scale)(const gr_init *o, fans f);
    double (*at)(const gr__draw *d, uint64_t i);
    const char *(*fill)(gr_param *p, const gr__draw *d);
    int least_rank, most_rank; /* 0: any */
    const char *rank_problem;
} kinds[] = {
    [GR_INIT_DEFAULT] = {.scale = zero, .at = constant_at},
    [GR_INIT_ZEROS] = {.scale = zero, .at = constant_at},
    [GR_INIT_ONES] = {.scale = one, .at = constant_at},
    [GR_INIT_CONSTANT] = {.scale = given, .at = constant_at},
    [GR_INIT_UNIFORM] = {.scale = given, .at = uniform_at},
    [GR_INIT_NORMAL] = {.scale = given, .at = normal_at},
    [GR_INIT_TRUNCATED_NORMAL] = {.scale = given, .at = truncated_at},
    [GR_INIT_XAVIER_UNIFORM] = {xavier_uniform, uniform_at, NULL, 2, GR_MAX_RANK, fans_problem},
    [GR_INIT_XAVIER_NORMAL] = {xavier_normal, normal_at, NULL, 2, GR_MAX_RANK, fans_problem},
    [GR_INIT_KAIMING_UNIFORM] = {kaiming_uniform, uniform_at, NULL, 2, GR_MAX_RANK, fans_problem},
    [GR_INIT_KAIMING_NORMAL] = {kaiming_normal, normal_at, NULL, 2, GR_MAX_RANK, fans_problem},
    [GR_INIT_LECUN_UNIFORM] = {lecun_uniform, uniform_at, NULL, 2, GR_MAX_RANK, fans_problem},
    [GR_INIT_LECUN_NORMAL] = {lecun_normal, truncated_at, NULL, 2, GR_MAX_RANK, fans_problem},
    [GR_INIT_ORTHOGONAL] = {gain, NULL, gr__init_orthogonal, 2, GR_MAX_RANK,
                            "orthogonal needs a weight of rank 2 or more"},
    [GR_INIT_SPARSE] = {small, NULL, gr__init_sparse, 2, 2, "sparse needs a matrix"},
    [GR_INIT_IDENTITY] = {gain, NULL, gr__init_identity, 2, 2, "identity needs a matrix"},
    [GR_INIT_DIRAC] = {gain, NULL, gr__init_dirac, 3, 5,
                       "dirac needs the weight of a convolution, of rank 3 to 5"},
};

static const char *problem_of(const gr_shape *shape, const gr_init *o)
{
    if ((unsigned)o->kind >= sizeof kinds / sizeof *kinds) return "there is no such initialiser";
    const struct kind *kind = &kinds[o->kind];
    if (!isfinite(o->a) || !isfinite(o->gain) || !isfinite(o->mean))
        return "its initialiser is not finite";
    if (kind->most_rank && (shape->rank < kind->least_rank || shape->rank > kind->most_rank))
        return kind->rank_problem;
    if (o->cut != 0 && !(o->cut >= 0.1))
        return "a normal distribution can be cut at 0.1 deviations or more";
    return NULL;
}

/* Sets every element of p; `stream` is its own. */
static const char *fill(gr_param *p, const gr_init *init, uint64_t stream)
{
    const gr_shape *shape = gr_param_shape(p);
    const struct kind *kind = &kinds[init->kind];
    gr_init o = *init;
    if (o.gain == 0) o.gain = 1;
    gr__draw d = {&o, 0, stream};
    d.scale = kind->scale(&o, kind->most_rank ? fans_of(shape) : (fans){0, 0});
    if (kind->fill) return kind->fill(p, &d);
    void *data = gr_param_write(p);
    for (int64_t i = 0, n = gr_shape_numel(shape); i < n; i++)
        gr__init_store(p, data, i, kind->at(&d, (uint64_t)i));
    return NULL;
}

bool gr__init_fill(gr_param *p, gr_init init, uint64_t stream, const char **problem)
{
    *problem = problem_of(gr_param_shape(p), &init);
    if (!*problem && gr_shape_numel(gr_param_shape(p)) > 0) *problem = fill(p, &init, stream);
    return !*problem;
}

/* Gives a parameter its first values again, or other ones. They depend on the seed alone.
 * GR_ERR_ARGUMENT, with the parameter as it was, for an initialiser that does not suit its shape, or
 * a parameter that is neither float32 nor float64. */
gr_status gr_init_param(gr_param *p, gr_init init, uint64_t seed)
{
    const char *problem = NULL;
    if (!p || !gr_param_data(p))
        return gr__fail(GR_ERR_ARGUMENT, "gr_init_param: the parameter is NULL or inert");
    if (gr_param_dtype(p) != GR_F32 && gr_param_dtype(p) != GR_F64)
        problem = "expected float32 or float64";
    if (!problem && gr__init_fill(p, init, seed, &problem)) return GR_OK;
    return gr__fail(GR_ERR_ARGUMENT, "gr_init_param: parameter '%s': %s", gr_param_name(p),
                    problem);
}

/* --- gains --- */

/* What keeps the size of values through an activation, for `gain`: as PyTorch's calculate_gain.
 *
 * slope  of "leaky_relu" below 0; 0 counts as 0.01. The others do not read it
 *
 * NaN for an activation it does not know, with gr_last_error; an initialiser with such a gain is
 * refused. */
double gr_gain(const char *activation, double slope)
{
    if (slope == 0) slope = 0.01;
    const struct {
        const char *name;
        double gain;
    } gains[] = {{"linear", 1},     {"identity", 1},
                 {"sigmoid", 1},    {"tanh", 5.0 / 3},
                 {"relu", sqrt(2)}, {"leaky_relu", sqrt(2 / (1 + slope * slope))},
                 {"selu", 3.0 / 4}};
    for (size_t i = 0; activation && i < sizeof gains / sizeof *gains; i++)
        if (!strcmp(gains[i].name, activation)) return gains[i].gain;
    gr__fail(GR_ERR_ARGUMENT,
             "gr_gain: expected linear, identity, sigmoid, tanh, relu, leaky_relu or "
             "selu, got '%s'",
             activation ? activation : "NULL");
    return NAN;
}

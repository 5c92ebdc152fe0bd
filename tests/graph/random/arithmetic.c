/* arithmetic.c - random steps, element by element. */
/* SPDX-License-Identifier: MIT */
#include "program.h"

#include <math.h>

/* --- one input --- */

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}
static double softplus(double x)
{
    return log(1 + exp(x));
}
static double square(double x)
{
    return x * x;
}
static double relu(double x)
{
    return x > 0 ? x : 0;
}
static double negated(double x)
{
    return -x;
}
static double minus_one(double x)
{
    (void)x;
    return -1;
}
static double d_tanh(double x)
{
    return 1 / (cosh(x) * cosh(x));
}
static double d_sigmoid(double x)
{
    return sigmoid(x) * sigmoid(-x);
}
static double d_cos(double x)
{
    return -sin(x);
}
static double d_square(double x)
{
    return 2 * x;
}
static double d_relu(double x)
{
    return x > 0;
}
static double d_abs(double x)
{
    return (x > 0) - (x < 0);
}
static double d_erf(double x)
{
    return 2 / sqrt(acos(-1)) * exp(-x * x);
}

static const struct function {
    const char *name;
    gr_tensor *(*record)(gr_tensor *x);
    double (*f)(double x), (*d)(double x);
    bool kink; /* at 0 */
} functions[] = {
    {"neg", gr_neg, negated, minus_one, false},
    {"tanh", gr_tanh, tanh, d_tanh, false},
    {"sigmoid", gr_sigmoid, sigmoid, d_sigmoid, false},
    {"sin", gr_sin, sin, cos, false},
    {"cos", gr_cos, cos, d_cos, false},
    {"exp", gr_exp, exp, exp, false},
    {"erf", gr_erf, erf, d_erf, false},
    {"softplus", gr_softplus, softplus, sigmoid, false},
    {"square", gr_square, square, d_square, false},
    {"relu", gr_relu, relu, d_relu, true},
    {"abs", gr_abs, fabs, d_abs, true},
};

static void step_function(program *p)
{
    const struct function *f = &functions[draw(p, sizeof functions / sizeof *functions)];
    const value *x = draw_value(p);
    array y = array_new(x->a.rank, x->a.dim);
    for (int64_t i = 0; i < array_numel(&y); i++) {
        double v = variable_value(x->a.at[i]);
        if (f->kink) s_apart(x->a.at[i], 0);
        y.at[i] = unary(f->f(v), x->a.at[i], f->d(v));
    }
    keep(p, f->name, f->record(x->t), y);
}

/* x^2 + 1/2: positive */
static int above_zero(int x)
{
    double v = variable_value(x);
    return unary(v * v + 0.5, x, 2 * v);
}

static void step_of_positive(program *p)
{
    const value *x = draw_value(p);
    const bool root = draw(p, 2);
    gr_tensor *positive = gr_shift(gr_square(x->t), 0.5);
    array y = array_new(x->a.rank, x->a.dim);
    for (int64_t i = 0; i < array_numel(&y); i++) {
        int at = above_zero(x->a.at[i]);
        double v = variable_value(at);
        y.at[i] = root ? unary(sqrt(v), at, 0.5 / sqrt(v)) : unary(log(v), at, 1 / v);
    }
    keep(p, root ? "sqrt" : "log", root ? gr_sqrt(positive) : gr_log(positive), y);
}

/* --- two inputs, broadcast --- */

static int v_add(int a, int b)
{
    return s_add(a, b);
}
static int v_sub(int a, int b)
{
    return binary(variable_value(a) - variable_value(b), a, 1, b, -1);
}
static int v_mul(int a, int b)
{
    return s_mul(a, b);
}
static int v_div(int a, int b)
{
    int positive = above_zero(b);
    double x = variable_value(a), d = variable_value(positive);
    return binary(x / d, a, 1 / d, positive, -x / (d * d));
}
static int v_maximum(int a, int b)
{
    return s_max((const int[]){a, b}, 2, 1);
}
static int v_minimum(int a, int b)
{
    return s_max((const int[]){a, b}, 2, -1);
}
static int v_where(int a, int b)
{
    int from = s_above(a, b) ? b : a; /* crosswise, so that it is no maximum */
    return s_scale(from, 1);
}

static gr_tensor *t_div(gr_tensor *a, gr_tensor *b)
{
    return gr_div(a, gr_shift(gr_square(b), 0.5));
}

static gr_tensor *t_where(gr_tensor *a, gr_tensor *b)
{
    return gr_where(gr_greater(a, b), b, a);
}

static const struct pair {
    const char *name;
    gr_tensor *(*record)(gr_tensor *a, gr_tensor *b);
    int (*f)(int a, int b);
} pairs[] = {
    {"add", gr_add, v_add},
    {"sub", gr_sub, v_sub},
    {"mul", gr_mul, v_mul},
    {"div", t_div, v_div},
    {"maximum", gr_maximum, v_maximum},
    {"minimum", gr_minimum, v_minimum},
    {"where", t_where, v_where},
};

/* The common shape; false where there is none. */
static bool join(const array *a, const array *b, int *rank, int64_t *dim)
{
    *rank = a->rank > b->rank ? a->rank : b->rank;
    for (int i = 1; i <= *rank; i++) {
        int64_t m = i <= a->rank ? a->dim[a->rank - i] : 1,
                n = i <= b->rank ? b->dim[b->rank - i] : 1;
        if (m != n && m != 1 && n != 1) return false;
        dim[*rank - i] = m == 1 ? n : m;
    }
    return true;
}

static void step_pair(program *p)
{
    const struct pair *f = &pairs[draw(p, sizeof pairs / sizeof *pairs)];
    const value *a = draw_value(p), *b = draw_value(p);
    int64_t dim[RANK], index[RANK] = {0};
    int rank;
    for (int tries = 0; tries < 8 && !join(&a->a, &b->a, &rank, dim); tries++) b = draw_value(p);
    if (!join(&a->a, &b->a, &rank, dim)) b = a;
    join(&a->a, &b->a, &rank, dim);
    array y = array_new(rank, dim);
    if (array_numel(&y) > MOST_ELEMENTS) return;
    for (int64_t i = 0; i < array_numel(&y); i++, advance_index(rank, dim, index))
        y.at[i] = f->f(array_broadcast(&a->a, rank, index), array_broadcast(&b->a, rank, index));
    keep(p, f->name, f->record(a->t, b->t), y);
}

step_fn *const arithmetic_steps[] = {step_function, step_of_positive, step_pair, step_pair, NULL};

/* lbfgs.c - limited-memory BFGS: a quasi-Newton direction from the last differences of gradients.
 *
 *   s_k = x_k+1 - x_k, y_k = g_k+1 - g_k      the last history_size pairs with s.y > 1e-10
 *   d = -H g, H the inverse Hessian that these pairs suggest, starting from s.y / y.y, by the loop
 *   of Nocedal; then x += t d, t = lr or found by a search (wolfe.c)
 *
 * All parameters are one vector, of float64 whatever their dtype. Liu, Nocedal: On the limited memory
 * BFGS method for large scale optimization, 1989; the tests for an end are those of PyTorch's LBFGS.
 */
/* SPDX-License-Identifier: MIT */
#include "lbfgs.h"

#include <math.h>
#include <string.h>

/* --- vectors --- */

typedef struct vectors {
    double *y, a, *partials;
    const double *x;
} vectors;

static void dot_range(void *ctx, int64_t begin, int64_t end)
{
    const vectors *v = ctx;
    double sums[4] = {0}, sum = 0;
    int64_t i = begin;
    for (; i + 4 <= end; i += 4)
        for (int k = 0; k < 4; k++) sums[k] += v->x[i + k] * v->y[i + k];
    for (; i < end; i++) sum += v->x[i] * v->y[i];
    v->partials[begin / GR__CHUNK] = sum + (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

double gr__lbfgs_dot(const gr__lbfgs *l, const double *x, double *y)
{
    vectors v = {y, 0, l->partials, x};
    double sum = 0;
    gr__parallel_for(l->n, GR__CHUNK, dot_range, &v);
    for (int64_t c = 0; c * GR__CHUNK < l->n; c++) sum += l->partials[c];
    return sum;
}

static void add_range(void *ctx, int64_t begin, int64_t end)
{
    const vectors *v = ctx;
    for (int64_t i = begin; i < end; i++) v->y[i] += v->a * v->x[i];
}

/* y += a x */
static void add(const gr__lbfgs *l, double *y, double a, const double *x)
{
    vectors v = {y, a, NULL, x};
    gr__parallel_for(l->n, GR__CHUNK, add_range, &v);
}

/* y = a x; they may be the same */
static void scale(const gr__lbfgs *l, double *y, double a, const double *x)
{
    for (int64_t i = 0; i < l->n; i++) y[i] = a * x[i];
}

/* The largest element without its sign; NaN where there is one. */
double gr__lbfgs_largest(const gr__lbfgs *l, const double *x)
{
    double most = 0;
    for (int64_t i = 0; i < l->n; i++)
        if (!(fabs(x[i]) <= most)) most = fabs(x[i]);
    return most;
}

static double sum_of_sizes(const gr__lbfgs *l, const double *x)
{
    double sum = 0;
    for (int64_t i = 0; i < l->n; i++) sum += fabs(x[i]);
    return sum;
}

/* --- parameters as one vector --- */

static void read(double *to, const void *from, gr_dtype dtype, int64_t n)
{
    if (dtype == GR_F64) memcpy(to, from, (size_t)n * sizeof *to);
    else
        for (int64_t i = 0; i < n; i++) to[i] = (double)((const float *)from)[i];
}

static void write(void *to, const double *from, gr_dtype dtype, int64_t n)
{
    if (dtype == GR_F64) memcpy(to, from, (size_t)n * sizeof *from);
    else
        for (int64_t i = 0; i < n; i++) ((float *)to)[i] = (float)from[i];
}

static void read_params(const gr_optimizer *opt, double *x)
{
    for (int i = 0; i < opt->n_slots; i++) {
        const gr_param *p = opt->slots[i].param;
        int64_t n = gr_shape_numel(gr_param_shape(p));
        if (gr_param_frozen(p)) continue;
        read(x, gr_param_data(p), gr_param_dtype(p), n);
        x += n;
    }
}

static void write_params(const gr_optimizer *opt, const double *x)
{
    for (int i = 0; i < opt->n_slots; i++) {
        gr_param *p = opt->slots[i].param;
        int64_t n = gr_shape_numel(gr_param_shape(p));
        if (gr_param_frozen(p)) continue;
        write(gr_param_write(p), x, gr_param_dtype(p), n);
        x += n;
    }
}

/* Whether any parameter has a gradient; the others count as 0. */
static bool read_grads(const gr_optimizer *opt, double *g)
{
    bool any = false;
    for (int i = 0; i < opt->n_slots; i++) {
        const gr_param *p = opt->slots[i].param;
        int64_t n = gr_shape_numel(gr_param_shape(p));
        if (gr_param_frozen(p)) continue;
        if (gr_param_grad(p)) read(g, gr_param_grad(p), gr_param_dtype(p), n);
        else memset(g, 0, (size_t)n * sizeof *g);
        any |= gr_param_grad(p) != NULL;
        g += n;
    }
    return any;
}

/* --- calls of the closure --- */

/* Loss and gradient where the parameters are. */
static gr_status evaluate(gr__search *s, double *f, double *g)
{
    gr_status status = gr_zero_grad(s->opt);
    if (!status) status = s->closure(s->user, f);
    if (status) return status;
    s->evaluations++;
    s->opt->lbfgs->now.evaluations++;
    if (read_grads(s->opt, g)) return GR_OK;
    return gr__fail(GR_ERR_STATE,
                    "gr_step_closure: no parameter has a gradient; the closure has to "
                    "call gr_backward");
}

static void move(const gr__search *s, double t)
{
    gr__lbfgs *l = s->opt->lbfgs;
    memcpy(l->moved, l->x, (size_t)l->n * sizeof *l->x);
    add(l, l->moved, t, l->d);
    write_params(s->opt, l->moved);
}

gr_status gr__lbfgs_evaluate(gr__search *s, double t, gr__point *p)
{
    gr__lbfgs *l = s->opt->lbfgs;
    move(s, t);
    p->t = t;
    gr_status status = evaluate(s, &p->f, p->g);
    if (!status) p->slope = gr__lbfgs_dot(l, p->g, l->d);
    return status;
}

/* --- the direction --- */

static double *pair_s(const gr__lbfgs *l, int k)
{
    return l->history + (size_t)(2 * k) * (size_t)l->n;
}

static double *pair_y(const gr__lbfgs *l, int k)
{
    return l->history + (size_t)(2 * k + 1) * (size_t)l->n;
}

/* Pair i of those there are, 0 the oldest: its place in the ring. */
static int place_of(const gr__lbfgs *l, int i)
{
    int size = l->o.history_size, next = (int)l->now.next, pairs = (int)l->now.pairs;
    return (next - pairs + i + size) % size;
}

/* Keeps the last step with what it did to the gradient, if the curvature along it is positive. */
static void remember(gr__lbfgs *l, const double *g)
{
    int k = (int)l->now.next;
    double *s = pair_s(l, k), *y = pair_y(l, k);
    /* In scratch first: a pair that is refused must not overwrite the oldest. */
    memcpy(l->moved, g, (size_t)l->n * sizeof *g);
    add(l, l->moved, -1, l->before);
    double curvature = gr__lbfgs_dot(l, l->d, l->moved) * l->now.t;
    if (!(curvature > 1e-10)) return;
    scale(l, s, l->now.t, l->d);
    memcpy(y, l->moved, (size_t)l->n * sizeof *y);
    l->rho[k] = 1 / curvature;
    l->now.start = curvature / gr__lbfgs_dot(l, y, y);
    l->now.next = (k + 1) % l->o.history_size;
    if (l->now.pairs < l->o.history_size) l->now.pairs++;
}

/* d = -H g */
static void find_direction(gr__lbfgs *l, const double *g)
{
    int n = (int)l->now.pairs;
    scale(l, l->d, -1, g);
    for (int i = n - 1; i >= 0; i--) {
        int k = place_of(l, i);
        l->alpha[i] = gr__lbfgs_dot(l, pair_s(l, k), l->d) * l->rho[k];
        add(l, l->d, -l->alpha[i], pair_y(l, k));
    }
    scale(l, l->d, l->now.start, l->d);
    for (int i = 0; i < n; i++) {
        int k = place_of(l, i);
        double beta = gr__lbfgs_dot(l, pair_y(l, k), l->d) * l->rho[k];
        add(l, l->d, l->alpha[i] - beta, pair_s(l, k));
    }
}

/* --- a step --- */

static gr_status take_memory(gr__lbfgs *l, int64_t n)
{
    size_t vector = (size_t)n, pairs = 2 * (size_t)l->o.history_size;
    double *lasting = gr__calloc((pairs + 2) * vector * sizeof *lasting + 1);
    double *scratch = gr__alloc(6 * vector * sizeof *scratch + 1);
    if (!lasting || !scratch) {
        gr__free(lasting);
        gr__free(scratch);
        return GR_ERR_MEMORY;
    }
    l->n = n;
    l->d = lasting;
    l->before = lasting + vector;
    l->history = lasting + 2 * vector;
    l->x = scratch;
    l->moved = scratch + vector;
    for (int k = 0; k < 4; k++) l->g[k] = scratch + (size_t)(k + 2) * vector;
    return GR_OK;
}

gr_status gr__lbfgs_need(gr_optimizer *opt)
{
    int64_t n = 0;
    gr__lbfgs *l = opt->lbfgs;
    gr_status status = gr__need_slots(opt);
    if (status) return status;
    for (int i = 0; i < opt->n_slots; i++)
        if (!gr_param_frozen(opt->slots[i].param))
            n += gr_shape_numel(gr_param_shape(opt->slots[i].param));
    l->partials = opt->partials;
    if (!l->d) return take_memory(l, n);
    if (n == l->n) return GR_OK;
    return gr__fail(GR_ERR_STATE,
                    "lbfgs: the model has %lld trainable elements, expected the %lld of "
                    "the first step",
                    (long long)n, (long long)l->n);
}

/* One iteration from the parameters as they are, where the loss is *f and the gradient g[0]. `last`:
 * nobody asks for the loss at its end. */
static gr_status iterate(gr__search *s, double *f, bool last, bool *done)
{
    gr__lbfgs *l = s->opt->lbfgs;
    double *g = l->g[0], lr = s->opt->groups[0].lr, before = *f;
    if (l->now.iterations++ > 0) remember(l, g);
    find_direction(l, g);
    memcpy(l->before, g, (size_t)l->n * sizeof *g);
    l->now.t = l->now.iterations == 1 ? fmin(1, 1 / sum_of_sizes(l, g)) * lr : lr;
    double slope = gr__lbfgs_dot(l, g, l->d);
    *done = slope > -l->o.tolerance_change;
    if (*done) return GR_OK;
    read_params(s->opt, l->x);
    gr_status status = GR_OK;
    if (l->o.strong_wolfe) {
        status = gr__strong_wolfe(s, f, slope);
        if (!status) move(s, l->now.t);
    } else {
        move(s, l->now.t);
        if (!last) status = evaluate(s, f, g);
    }
    if (status) write_params(s->opt, l->x);
    *done = last || s->evaluations >= l->o.max_eval ||
            gr__lbfgs_largest(l, g) <= l->o.tolerance_grad ||
            gr__lbfgs_largest(l, l->d) * fabs(l->now.t) <= l->o.tolerance_change ||
            fabs(*f - before) < l->o.tolerance_change;
    return status;
}

gr_status gr__lbfgs_step(gr_optimizer *opt, gr_closure *closure, void *user, double *loss)
{
    gr__search s = {opt, closure, user, 0};
    gr__lbfgs *l = opt->lbfgs;
    gr_status status = gr__lbfgs_need(opt);
    if (!status) status = evaluate(&s, loss, l->g[0]);
    if (status) return status;
    gr__optimizer_rates(opt);
    double f = *loss;
    bool done = gr__lbfgs_largest(l, l->g[0]) <= l->o.tolerance_grad;
    for (int i = 1; !done && !status; i++) status = iterate(&s, &f, i == l->o.max_iter, &done);
    if (status) return status;
    opt->steps++;
    return gr_zero_grad(opt);
}

/* --- lifetime --- */

void gr__lbfgs_free(gr__lbfgs *l)
{
    if (!l) return;
    gr__free(l->d);
    gr__free(l->x);
    gr__free(l->rho);
    gr__free(l);
}

static gr__lbfgs *lbfgs_new(gr_lbfgs_options o)
{
    gr__lbfgs *l = gr__calloc(sizeof *l);
    double *rho = gr__calloc(2 * (size_t)o.history_size * sizeof *rho);
    if (!l || !rho) {
        gr__free(l);
        gr__free(rho);
        return NULL;
    }
    *l = (gr__lbfgs){.o = o, .rho = rho, .alpha = rho + o.history_size, .now.start = 1};
    return l;
}

/* Limited-memory BFGS over all parameters as one vector; gr_step_closure makes its steps, each of
 * several iterations.
 *
 * o.lr                0 or more; 0 counts as 1: how far along the direction; with strong_wolfe where
 *                     the search begins
 * o.max_iter          0 counts as 20
 * o.max_eval          0 counts as 5/4 of max_iter
 * o.tolerance_grad    0 counts as 1e-7
 * o.tolerance_change  0 counts as 1e-9
 * o.history_size      0 counts as 100; the first step allocates 2 history_size + 8 float64 vectors
 *                     of all elements
 * o.strong_wolfe      searches for a step that meets the strong Wolfe conditions
 *
 * Groups, clipping and decay do not apply. The closure must give the same loss for the same
 * parameters: one batch, no dropout. Free with gr_optimizer_free. */
gr_optimizer *gr_lbfgs(gr_model *m, gr_lbfgs_options o)
{
    const gr_rule rule = {.name = "lbfgs",
                          .formula = "d = -H g, H from the last differences of w and g; w += t d",
                          .tile = GR__TILES(sgd)};
    if (o.max_iter == 0) o.max_iter = 20;
    if (o.max_eval == 0) o.max_eval = (int)((int64_t)o.max_iter * 5 / 4);
    if (o.history_size == 0) o.history_size = 100;
    o.tolerance_grad = gr__or(o.tolerance_grad, 1e-7);
    o.tolerance_change = gr__or(o.tolerance_change, 1e-9);
    gr_optimizer *bad = GR__OUT_OF_BOUNDS("lbfgs", {"max_iter", o.max_iter, GR__POSITIVE},
                                          {"max_eval", o.max_eval, GR__POSITIVE},
                                          {"history_size", o.history_size, GR__POSITIVE},
                                          {"tolerance_grad", o.tolerance_grad, GR__POSITIVE},
                                          {"tolerance_change", o.tolerance_change, GR__POSITIVE});
    if (bad) return bad;
    gr_optimizer *opt = gr_optimizer_new(m, &rule, gr__or(o.lr, 1), NULL);
    if (opt->status) return opt;
    opt->lbfgs = lbfgs_new(o);
    if (opt->lbfgs) return opt;
    gr_optimizer_free(opt);
    return gr__optimizer_inert(GR_ERR_MEMORY, "lbfgs: out of memory");
}

/* raw.c - calling a user's forward and backward, and watching what they touch.
 *
 * Every array lies between two canaries and in a copy of its own. Canaries are ordinary numbers,
 * near 0.2, so that adding to one shows; what the functions have to write starts as a NaN that no
 * arithmetic makes.
 */
/* SPDX-License-Identifier: MIT */
#include "raw.h"
#include "stages.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { GUARD = 1024, ALIGN = 64, UNWRITTEN = 0xff };
static const int64_t MOST_ELEMENTS = INT64_C(1) << 32;

static bool fault(gr__raw *r, const char *stage, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(r->f.fault, sizeof r->f.fault, format, args);
    va_end(args);
    r->f.fault_stage = stage;
    return false;
}

/* --- elements --- */

static double get(const gr__raw *r, const void *data, int64_t i)
{
    return r->size == sizeof(float) ? (double)((const float *)data)[i] : ((const double *)data)[i];
}

static void put(const gr__raw *r, void *data, int64_t i, double value)
{
    if (r->size == sizeof(float)) ((float *)data)[i] = (float)value;
    else ((double *)data)[i] = value;
}

static void load(const gr__raw *r, gr__raw_buffer *b, const double *values)
{
    for (int64_t i = 0; i < b->n; i++) put(r, b->data, i, values[i]);
    memcpy(b->copy, b->data, (size_t)b->n * r->size);
}

static void store(const gr__raw *r, const gr__raw_buffer *b, double *values)
{
    for (int64_t i = 0; i < b->n; i++) values[i] = get(r, b->data, i) - r->start;
}

static void fill(const gr__raw *r, gr__raw_buffer *b, bool unwritten)
{
    if (unwritten) memset(b->data, UNWRITTEN, (size_t)b->n * r->size);
    else
        for (int64_t i = 0; i < b->n; i++) put(r, b->data, i, r->start);
}

static bool written(const gr__raw *r, const gr__raw_buffer *b, int64_t i)
{
    const unsigned char *p = (const unsigned char *)b->data + (size_t)i * r->size;
    for (size_t k = 0; k < r->size; k++)
        if (p[k] != UNWRITTEN) return true;
    return false;
}

static int64_t first_unwritten(const gr__raw *r, const gr__raw_buffer *b)
{
    for (int64_t i = 0; i < b->n; i++)
        if (!written(r, b, i)) return i;
    return -1;
}

/* --- canaries --- */

static double canary(const gr__raw *r)
{
    return r->other_canary ? -0.3717 : 0.2019;
}

static void seal(const gr__raw *r, gr__raw_buffer *b)
{
    char *behind = b->data + (size_t)b->n * r->size;
    for (int64_t i = 0; i < (int64_t)(GUARD / r->size); i++) {
        put(r, b->data - GUARD, i, canary(r));
        put(r, behind, i, canary(r));
    }
}

static bool sealed(const gr__raw *r, const char *guard)
{
    char want[sizeof(double)];
    put(r, want, 0, canary(r));
    for (size_t i = 0; i < GUARD; i += r->size)
        if (memcmp(guard + i, want, r->size) != 0) return false;
    return true;
}

/* Calls visit for each buffer up to the first that gives false. */
static bool each_buffer(gr__raw *r, bool (*visit)(gr__raw *r, gr__raw_buffer *b, const char *by),
                        const char *by)
{
    for (int i = 0; i < r->n_in; i++)
        if (!visit(r, &r->x[i], by) || !visit(r, &r->dx[i], by)) return false;
    return visit(r, &r->y, by) && visit(r, &r->dy, by);
}

static bool seal_one(gr__raw *r, gr__raw_buffer *b, const char *by)
{
    (void)by;
    seal(r, b);
    return true;
}

static bool inside(gr__raw *r, gr__raw_buffer *b, const char *by)
{
    if (!sealed(r, b->data - GUARD))
        return fault(r, "S0e", "%s wrote in front of element 0 of %s", by, b->name);
    if (!sealed(r, b->data + (size_t)b->n * r->size))
        return fault(r, "S0e", "%s wrote behind the last of the %lld elements of %s", by,
                     (long long)b->n, b->name);
    return true;
}

static bool unchanged(gr__raw *r, gr__raw_buffer *b, const char *by)
{
    for (int64_t i = 0; b->copy && i < b->n; i++)
        if (memcmp(b->data + (size_t)i * r->size, b->copy + (size_t)i * r->size, r->size) != 0)
            return fault(r, "S0e", "%s changed element %lld of its input %s", by, (long long)i,
                         b->name);
    return true;
}

/* --- calls --- */

static bool run_forward(gr__raw *r, const double *x)
{
    for (int i = 0; i < r->n_in; i++)
        if (r->x[i].first >= 0) load(r, &r->x[i], x + r->x[i].first);
    each_buffer(r, seal_one, NULL);
    fill(r, &r->y, true);
    r->f.evaluations++;
    r->user->forward((const void *const *)r->px, r->y.data, r->user->user);
    memcpy(r->y.copy, r->y.data, (size_t)r->y.n * r->size);
    if (!each_buffer(r, inside, "forward") || !each_buffer(r, unchanged, "forward")) return false;
    int64_t hole = first_unwritten(r, &r->y);
    if (hole < 0) return true;
    return fault(r, "S0e",
                 "forward did not write element %lld of y, or added to it without setting it",
                 (long long)hole);
}

static bool run_backward(gr__raw *r, bool unwritten)
{
    for (int i = 0; i < r->n_in; i++) fill(r, &r->dx[i], unwritten);
    each_buffer(r, seal_one, NULL);
    r->user->backward((const void *const *)r->px, r->y.data, r->dy.data, r->pdx, r->user->user);
    return each_buffer(r, inside, "backward") && each_buffer(r, unchanged, "backward");
}

/* A hole in a gradient: is it left out, or added to? */
static bool blame_hole(gr__raw *r, const gr__raw_buffer *b, int64_t hole)
{
    if (!run_backward(r, false)) return false;
    bool adds = get(r, b->data, hole) != r->start;
    return fault(r, "S0e", "backward %s element %lld of %s%s", adds ? "adds to" : "did not write",
                 (long long)hole, b->name,
                 adds ? " instead of setting it (if so it shall be: .adds)" : "");
}

static bool eval(gr__function *f, const double *x, double *y, gr_branch *side)
{
    gr__raw *r = (gr__raw *)f;
    if (!run_forward(r, x)) return false;
    for (int64_t i = 0; i < r->y.n; i++) y[i] = get(r, r->y.data, i);
    if (side) *side = (gr_branch){0, INFINITY};
    return true;
}

static bool vjp(gr__function *f, const double *x, const double *v, double *dx)
{
    gr__raw *r = (gr__raw *)f;
    if (!run_forward(r, x)) return false;
    load(r, &r->dy, v);
    if (!run_backward(r, !r->user->adds)) return false;
    for (int i = 0; i < r->n_in; i++) {
        if (r->dx[i].first < 0) continue;
        int64_t hole = r->user->adds ? -1 : first_unwritten(r, &r->dx[i]);
        if (hole >= 0) return blame_hole(r, &r->dx[i], hole);
        store(r, &r->dx[i], dx + r->dx[i].first);
    }
    return true;
}

/* --- life --- */

static void name_input(const gr_raw_input *in, int i, char *text, size_t size)
{
    if (in->name && in->name[0]) snprintf(text, size, "%.60s", in->name);
    else snprintf(text, size, "input %d", i);
}

static bool valid(gr__raw *r)
{
    const gr_raw *u = r->user;
    if (!u->forward || !u->backward)
        return fault(r, "S0", "%s is NULL", u->forward ? "backward" : "forward");
    if (u->out < 0 || u->out > MOST_ELEMENTS)
        return fault(r, "S0", "out: %lld elements cannot be", (long long)u->out);
    while (r->n_in < GR_RAW_INPUTS && (u->in[r->n_in].n || u->in[r->n_in].name)) r->n_in++;
    bool active = false;
    for (int i = 0; i < r->n_in; i++) {
        if (u->in[i].n < 0 || u->in[i].n > MOST_ELEMENTS)
            return fault(r, "S0", "in[%d]: %lld elements cannot be", i, (long long)u->in[i].n);
        active |= !u->in[i].constant;
    }
    return active || fault(r, "S0", "no input to differentiate by");
}

static bool make_buffer(gr__raw *r, gr__raw_buffer *b, int64_t n, bool copy)
{
    size_t bytes = (size_t)n * r->size;
    char *p = gr__arena_alloc(&r->f.arena, bytes + 2 * GUARD + ALIGN);
    b->n = n;
    b->copy = copy ? gr__arena_alloc(&r->f.arena, bytes + 1) : NULL;
    if (!p || (copy && !b->copy)) return fault(r, "S0", "out of memory");
    if (copy) memset(b->copy, 0, bytes);
    b->data = p + GUARD + (ALIGN - (uintptr_t)p % ALIGN) % ALIGN;
    memset(b->data, 0, bytes);
    return true;
}

static bool make_input(gr__raw *r, int i)
{
    const gr_raw_input *in = &r->user->in[i];
    gr__raw_buffer *x = &r->x[i], *dx = &r->dx[i];
    name_input(in, i, x->name, sizeof x->name);
    snprintf(dx->name, sizeof dx->name, "the gradient of %.60s", x->name);
    if (!make_buffer(r, x, in->n, true) || !make_buffer(r, dx, in->constant ? 0 : in->n, false))
        return false;
    r->px[i] = x->data;
    r->pdx[i] = in->constant ? NULL : dx->data;
    x->first = dx->first = -1;
    if (in->constant) return true;
    gr__part *part = &r->f.parts[r->f.n_parts++];
    memcpy(part->name, x->name, sizeof part->name - 1);
    part->n = in->n;
    x->first = dx->first = part->first = r->f.n_x;
    r->f.n_x += in->n;
    return true;
}

static bool choose_point(gr__raw *r, int i, uint64_t seed)
{
    const gr_raw_input *in = &r->user->in[i];
    gr__raw_buffer *x = &r->x[i];
    const bool range = in->low != 0 || in->high != 0;
    double *values = x->first >= 0 ? r->f.x + x->first : gr__doubles(&r->f, in->n);
    if (!values) return fault(r, "S0", "out of memory");
    if (!in->at)
        gr__draw_apart(gr__hash_join(seed, (uint64_t)i), values, in->n, range ? in->low : -1,
                       range ? in->high : 1);
    for (int64_t k = 0; in->at && k < in->n; k++) values[k] = get(r, in->at, k);
    load(r, x, values);
    return true;
}

bool gr__raw_init(gr__raw *r, const gr_raw *user, uint64_t seed)
{
    *r = (gr__raw){.f = {.eval = eval, .vjp = vjp, .single = user->float32}, .user = user};
    r->size = user->float32 ? sizeof(float) : sizeof(double);
    snprintf(r->y.name, sizeof r->y.name, "y");
    snprintf(r->dy.name, sizeof r->dy.name, "dy");
    if (!valid(r)) return false;
    r->f.parts = gr__arena_alloc(&r->f.arena, GR_RAW_INPUTS * sizeof *r->f.parts);
    if (!r->f.parts) return fault(r, "S0", "out of memory");
    memset(r->f.parts, 0, GR_RAW_INPUTS * sizeof *r->f.parts);
    r->f.n_y = user->out;
    if (!make_buffer(r, &r->y, user->out, true) || !make_buffer(r, &r->dy, user->out, true))
        return false;
    for (int i = 0; i < r->n_in; i++)
        if (!make_input(r, i)) return false;
    r->f.x = gr__doubles(&r->f, r->f.n_x);
    if (!r->f.x) return fault(r, "S0", "out of memory");
    for (int i = 0; i < r->n_in; i++)
        if (!choose_point(r, i, seed)) return false;
    return true;
}

void gr__raw_release(gr__raw *r)
{
    gr__arena_release(&r->f.arena);
}

/* --- what users call --- */

/* Checks that backward is the derivative of forward, at the point given or drawn. Both are called
 * some 60 times, in float32 a few hundred times, on arrays of their own:
 *
 *   S0  called twice, bit by bit the same; a zero dy gives a zero gradient; linear in dy; all of y
 *       and dx is written, nothing else is, and nothing outside the arrays is read; backward with
 *       .adds adds to what dx holds
 *   S1  the gradient along random directions against differences with an error estimate
 *
 * forward gets y full of NaN, backward gets x and y as forward left them and dx full of NaN (with
 * .adds: any numbers). Nothing is known of forward's kinks, so x should keep away from them.
 *
 * In float32 differences are noisy: steps are large and a polynomial is fitted to many values. PASS
 * then means right to a thousandth, INCONCLUSIVE that float32 cannot tell; smaller errors need the
 * double version of the functions.
 *
 * Second derivatives cannot be had from a backward in C: order 2 checks the first alone. Both
 * functions run in this process; `gradus check --so` shields it from their crashes. report may be
 * NULL. */
gr_verdict gr_gradcheck_raw(const gr_raw *raw, gr_check_options o, gr_check_report *report)
{
    gr_check_report own;
    gr__raw r;
    if (!report) report = &own;
    *report = (gr_check_report){.verdict = GR_PASS};
    if (!raw) gr__report(report, GR_FAIL, "S0", "the pair of functions is NULL");
    if (!raw) return report->verdict;
    if (!gr__raw_init(&r, raw, o.seed)) gr__report_fault(report, &r.f);
    else if (gr__check_raw_structure(&r, o.seed, report)) gr__check_gradient(&r.f, "S1", o, report);
    report->order = 1;
    report->seed = o.seed;
    report->evaluations = r.f.evaluations;
    gr__raw_release(&r);
    return report->verdict;
}

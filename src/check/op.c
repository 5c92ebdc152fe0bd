/* op.c - checking an op by its samples, in every layout. */
/* SPDX-License-Identifier: MIT */
#include "evidence.h"
#include "layout.h"
#include "projected.h"
#include "sample.h"
#include "stages.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { REDRAWS = 16, ALIASED = 9 /* counts as a layout */ };

static const double AWAY = 1e-3; /* how far samples stay from kinks */

/* One sample in one layout; with `alias` one tensor stands for all inputs that are alike. */
typedef struct op_case {
    const gr_op *op;
    const gr_sample *sample;
    const gr__layout *layout;
    bool alias;
    int leaf_of[GR_SAMPLE_INPUTS]; /* which leaf an input is a view of */
    gr__input leaf[GR_SAMPLE_INPUTS];
    int n_leaves;
    gr__arena arena;
    const void *site; /* who asked for the check: errors point there */
} op_case;

/* --- recording --- */

/* Sets y[0..] to what the sample checks: returns how many. */
static int apply(gr_graph *g, gr_tensor *const *x, const op_case *c, gr_tensor **y)
{
    gr_tensor *in[GR_SAMPLE_INPUTS];
    for (int i = 0; i < c->sample->n_in; i++) {
        const gr_shape *shape = &c->sample->in[i].shape;
        gr_shape unused;
        in[i] = x[c->leaf_of[i]];
        if (c->layout->leaf(shape, &unused)) in[i] = c->layout->view(in[i], shape);
    }
    gr_site_begin(g, c->site);
    int n = gr__sample_record(g, c->op, c->sample, in, y);
    gr_site_end(g);
    return n;
}

/* All outputs; what is not floating is cast, as a function whose derivative is zero. */
static int record_op(gr_graph *g, gr_tensor *const *x, gr_tensor **y, void *user)
{
    const op_case *c = user;
    int n = apply(g, x, c, y);
    for (int i = 0; i < n; i++) {
        gr_dtype dtype = gr_dtype_of(y[i]);
        if (dtype != GR_F32 && dtype != GR_F64) y[i] = gr_cast(y[i], GR_F64);
    }
    return n;
}

/* --- drawing --- */

static bool alike(const gr_sample_input *a, const gr_sample_input *b)
{
    return gr__sample_dtype(a) == GR_F64 && gr__sample_dtype(b) == GR_F64 &&
           gr_shape_equal(&a->shape, &b->shape);
}

/* False: memory is out. */
static bool draw_leaves(op_case *c, uint64_t seed)
{
    c->n_leaves = 0;
    for (int i = 0; i < c->sample->n_in; i++) {
        const gr_sample_input *in = &c->sample->in[i];
        c->leaf_of[i] = c->n_leaves;
        for (int j = 0; j < i && c->alias; j++)
            if (alike(&c->sample->in[j], in)) c->leaf_of[i] = c->leaf_of[j];
        if (c->leaf_of[i] < c->n_leaves) continue;
        gr__input *leaf = &c->leaf[c->n_leaves++];
        *leaf = (gr__input){.dtype = gr__sample_dtype(in), .shape = in->shape};
        gr_shape shape;
        if (c->layout->leaf(&in->shape, &shape)) leaf->shape = shape;
        int64_t n = gr_shape_numel(&leaf->shape);
        uint64_t stream = gr__hash_join(seed, (uint64_t)i);
        leaf->data = gr__sample_draw(in, n, stream, &c->arena);
        if (!leaf->data) return false;
    }
    return true;
}

/* --- one case --- */

static void check_constant(gr__recorded *r, gr_check_report *report)
{
    gr__function *f = &r->f;
    double *v = gr__doubles(f, f->n_y), *dx = gr__doubles(f, f->n_x);
    if (!v || !dx) {
        gr__report(report, GR_FAIL, "S0", "out of memory");
        return;
    }
    gr__draw_signs(r->seed + 5, v, f->n_y);
    if (!f->vjp(f, f->x, v, dx)) gr__report_fault(report, f);
    for (int64_t i = 0; i < f->n_x && !f->fault[0]; i++)
        if (dx[i] != 0)
            gr__report(report, GR_FAIL, "S0b", "an op without gradient passes %g back", dx[i]);
}

static bool differentiable_twice(const gr_op *op)
{
    return op->vjp || op->define || !op->backward[GR_F64];
}

static void check_recorded_op(gr__recorded *r, const op_case *c, gr_check_options o,
                              gr_check_report *report)
{
    const bool plain = c->layout == gr__layouts && !c->alias;
    o.separate |= plain;
    if (!differentiable_twice(c->op)) o.order = 1;
    r->f.floor = 1; /* samples are numbers of order one */
    if (c->op->flags & GR_OP_CONSTANT) check_constant(r, report);
    if (!o.stages) o.stages = plain ? GR_CHECK_ALL : GR_CHECK_STRUCTURE | GR_CHECK_GRADIENT;
    bool by_decree = (c->op->flags & GR_OP_CONSTANT) &&
                     c->op->view; /* detach: y moves all the same */
    if (report->verdict == GR_PASS && !by_decree) gr__check_stages(r, o, report);
    else report->evaluations = r->f.evaluations;
}

/* Draws until the sample keeps its distance from kinks; what never does is checked as it is. */
static void run_case(op_case *c, gr_check_options o, gr_check_report *report)
{
    for (int attempt = 0; attempt < REDRAWS; attempt++) {
        gr__recorded r;
        gr__arena_reset(&c->arena);
        uint64_t seed = gr__hash_join(o.seed, (uint64_t)attempt);
        if (!draw_leaves(c, seed)) {
            gr__report(report, GR_FAIL, "S0", "out of memory");
            return;
        }
        bool fine = gr__recorded_init(&r, c->leaf, c->n_leaves, record_op, c, seed);
        bool away = r.side.gap >= AWAY || attempt == REDRAWS - 1;
        if (!fine) gr__report_fault(report, &r.f);
        else if (away) check_recorded_op(&r, c, o, report);
        gr__recorded_release(&r);
        if (!fine || away) return;
    }
}

/* Recording must fail, for the reason given, and leave the graph usable after a reset. */
static void run_error(op_case *c, gr_check_options o, gr_check_report *report)
{
    gr_graph *g = gr_graph_new();
    gr_tensor *x[GR_SAMPLE_INPUTS], *y[GR_MAX_OUTPUTS];
    gr_graph_set_eager(g, true);
    bool drawn = draw_leaves(c, o.seed);
    for (int i = 0; i < c->n_leaves && drawn; i++)
        x[i] = gr_from_data(g, c->leaf[i].dtype, c->leaf[i].shape, c->leaf[i].data);
    if (drawn) apply(g, x, c, y);
    const char *error = gr_graph_error(g);
    if (!drawn) gr__report(report, GR_FAIL, "S0f", "out of memory");
    else if (!error)
        gr__report(report, GR_FAIL, "S0f", "expected the error '%s', got none", c->sample->error);
    else if (!strstr(error, c->sample->error))
        gr__report(report, GR_FAIL, "S0f", "expected the error '%s', got '%s'", c->sample->error,
                   error);
    gr_graph_reset(g);
    if (gr_item(gr_shift(gr_scalar(g, GR_F64, 1), 1)) != 2)
        gr__report(report, GR_FAIL, "S0f", "the graph is not usable after the error");
    report->evaluations++;
    gr_graph_free(g);
}

/* --- all cases of an op --- */

static bool layout_matters(const gr__layout *layout, const gr_sample *s)
{
    gr_shape leaf;
    for (int i = 0; i < s->n_in; i++)
        if (layout->leaf(&s->in[i].shape, &leaf)) return true;
    return false;
}

static bool alias_matters(const gr_sample *s)
{
    for (int i = 1; i < s->n_in; i++)
        for (int j = 0; j < i; j++)
            if (alike(&s->in[i], &s->in[j])) return true;
    return false;
}

/* The op is right for row-major inputs of their own: then what is wrong is how it uses these. */
static void blame_arrangement(const op_case *c, gr_check_report *r)
{
    const bool numeric = r->stage[0] == 'S' && r->stage[1] != '0';
    if (r->verdict != GR_FAIL || !numeric || (c->layout == gr__layouts && !c->alias)) return;
    r->diagnosis[0] = 0;
    if (c->alias)
        gr__report_diagnosis(r, "contribution",
                             "right for two tensors, wrong for one passed twice: a contribution "
                             "is missing");
    else
        gr__report_diagnosis(r, "stride",
                             "right for row-major inputs, wrong for %s ones: a stride "
                             "is ignored",
                             c->layout->name);
}

static void add_case(op_case *c, const char *layout, int number, gr_check_options o,
                     gr_check_report *report)
{
    gr_check_report one = {.verdict = GR_PASS};
    if (c->sample->error) run_error(c, o, &one);
    else run_case(c, o, &one);
    gr__arena_release(&c->arena);
    if (report->verdict == GR_PASS) blame_arrangement(c, &one);
    one.sample = number;
    one.layout = c->alias ? ALIASED : (int)(c->layout - gr__layouts) + 1;
    snprintf(one.op, sizeof one.op, "%s", c->op->name);
    one.site[0] = 0; /* recorded here */
    gr__report_merge(report, &one, "%s, sample '%s', %s%s%s", c->op->name, c->sample->name, layout,
                     one.input[0] ? ", " : "", one.input);
}

static bool chosen(int option, int number)
{
    return option == 0 || option == number;
}

static void run_sample(const gr_op *op, const gr_sample *s, gr_check_options o,
                       gr_check_report *report, const void *site)
{
    const int number = (int)(s - op->samples) + 1;
    op_case c = {.op = op, .sample = s, .layout = gr__layouts, .site = site};
    if (!chosen(o.sample, number)) return;
    if (chosen(o.layout, 1)) add_case(&c, c.layout->name, number, o, report);
    if (s->error) return;
    for (c.layout++; c.layout->name; c.layout++)
        if (layout_matters(c.layout, s) && chosen(o.layout, (int)(c.layout - gr__layouts) + 1))
            add_case(&c, c.layout->name, number, o, report);
    c.layout = gr__layouts;
    c.alias = true;
    if (alias_matters(s) && chosen(o.layout, ALIASED))
        add_case(&c, "one tensor twice", number, o, report);
}

/* Checks an op, the library's or yours, at values drawn for each of its samples: as gr_gradcheck
 * does, each input on its own, with row-major, transposed, sliced and expanded inputs and one
 * tensor passed twice; with row-major inputs in all stages; samples with an error must fail with it. Ops
 * without gradient must pass none. An op whose backward is C code has no second derivative, so
 * order 2 checks its first alone. The seed chooses the values; report may be NULL. */
gr_verdict gr_gradcheck_op(const gr_op *op, gr_check_options o, gr_check_report *report)
{
    gr_check_report own;
    if (!report) report = &own;
    *report = (gr_check_report){.verdict = GR_PASS};
    if (!op) gr__report(report, GR_FAIL, "S0", "the op is NULL");
    if (!op) return report->verdict;
    if (!op->name) gr__report(report, GR_FAIL, "S0", "the op has no name");
    if (!op->name) return report->verdict;
    const bool source = op->n_in == 0; /* leaf, fill: nothing to differentiate by */
    if (!source && (!op->samples || !op->samples[0].name))
        gr__report(report, GR_FAIL, "S0", "%s: the op has no samples to be checked with", op->name);
    for (const gr_sample *s = op->samples; s && s->name && report->verdict != GR_FAIL; s++)
        run_sample(op, s, o, report, GR_HERE);
    if (report->evaluations == 0 && (o.sample || o.layout))
        gr__report(report, GR_INCONCLUSIVE, "S0", "%s has no sample %d in layout %d", op->name,
                   o.sample, o.layout);
    report->order = o.order == 2 && differentiable_twice(op) ? 2 : 1;
    report->seed = o.seed;
    return report->verdict;
}

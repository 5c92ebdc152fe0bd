/* loss_ctc_states.c - ctc's targets as chains of states, and the loss recorded step by step.
 *
 * The kernels of loss_ctc.c are fast and differentiable once. Their backward is differentiated by
 * way of the same sum over paths made of ops: with a row of probabilities alpha [N,L] over the
 * states of all targets,
 *
 *   alpha <- (alpha + alpha one state before + alpha two before, where that may be skipped) share_t
 */
/* SPDX-License-Identifier: MIT */
#include "loss_ctc.h"

/* --- checks --- */

bool gr__ctc_targets_fit(gr_infer *c, int first, int64_t batch)
{
    static const char *const names[] = {"targets", "input_lengths", "target_lengths"};
    for (int i = 0; i < 3; i++) {
        const gr_shape *s = gr_shape_of(c->in[first + i]);
        if (!gr__infer_index(c, first + i, names[i])) return false;
        if (s->rank == (i == 0 ? 2 : 1) && s->dim[0] == batch) continue;
        return gr_infer_fail(c, "expected %s %s for a batch of %lld, got %s", names[i],
                             i == 0 ? "[N,S]" : "[N]", (long long)batch,
                             gr_infer_shape(c, first + i));
    }
    return true;
}

gr_status gr__ctc_check_targets(gr_exec *e, int first, int64_t steps, int64_t classes)
{
    const gr_shape *shape = e->in[first].shape;
    const int64_t *target = e->in[first].data, *size = e->in[first + 2].data;
    if (gr__check_index(e, first + 1, "input_lengths", steps + 1) ||
        gr__check_index(e, first + 2, "target_lengths", shape->dim[1] + 1))
        return GR_ERR_ARGUMENT;
    for (int64_t n = 0; n < shape->dim[0]; n++)
        for (int64_t s = 0; s < size[n]; s++) {
            int64_t label = target[n * shape->dim[1] + s];
            if (label >= 0 && label < classes) continue;
            return gr_exec_fail(e, "targets[%lld,%lld] is %lld, expected 0 <= targets < %lld",
                                (long long)n, (long long)s, (long long)label, (long long)classes);
        }
    return GR_OK;
}

/* --- ctc_states: the targets as a chain of states --- */

typedef struct states_attrs {
    int64_t blank, steps;
} states_attrs;

static const gr_field states_fields[] = {
    GR_FIELD(states_attrs, blank, GR_FIELD_I64),
    GR_FIELD(states_attrs, steps, GR_FIELD_I64),
    {0},
};

static bool ctc_states_infer(gr_infer *c)
{
    const gr_shape *target = gr_shape_of(c->in[0]);
    const states_attrs *a = c->attrs;
    if (!gr__ctc_targets_fit(c, 0, target->rank == 2 ? target->dim[0] : 0)) return false;
    if (a->steps < 0 || a->blank < 0)
        return gr_infer_fail(c, "neither %lld steps nor the blank %lld may be negative",
                             (long long)a->steps, (long long)a->blank);
    for (int i = 0; i < 3; i++) c->shape[i].dim[1] = 2 * target->dim[1] + 1;
    c->shape[3] = GR_SHAPE(a->steps, target->dim[0]);
    for (int i = 1; i < 4; i++) c->dtype[i] = GR_BOOL;
    return true;
}

/* As many steps as labels, and one between equal ones. */
static bool feasible(const gr__ctc *c, int64_t n)
{
    int64_t needed = c->target_size[n];
    for (int64_t s = 3; s < gr__ctc_states(c, n); s += 2) needed += !gr__ctc_may_skip(c, n, s);
    return c->n_steps[n] >= needed && c->n_steps[n] > 0;
}

static gr_status ctc_states_forward(gr_exec *e)
{
    const states_attrs *a = e->attrs;
    const gr_shape *shape = e->out[0].shape;
    gr__ctc c = {.steps = a->steps, .batch = shape->dim[0], .width = e->in[0].shape->dim[1],
             .blank = a->blank, .target = e->in[0].data, .n_steps = e->in[1].data,
             .target_size = e->in[2].data};
    int64_t *label = e->out[0].data;
    uint8_t *skip = e->out[1].data, *final = e->out[2].data, *active = e->out[3].data;
    if (gr__ctc_check_targets(e, 0, c.steps, INT64_MAX)) return GR_ERR_ARGUMENT;
    for (int64_t n = 0, at = 0; n < c.batch; n++) {
        const bool possible = feasible(&c, n);
        for (int64_t s = 0, last = gr__ctc_states(&c, n); s < shape->dim[1]; s++, at++) {
            label[at] = s < last ? gr__ctc_label(&c, n, s) : c.blank;
            skip[at] = s < last && gr__ctc_may_skip(&c, n, s);
            final[at] = !possible || (s < last && s >= last - 2);
        }
        for (int64_t t = 0; t < c.steps; t++)
            active[t * c.batch + n] = possible && t < c.n_steps[n];
    }
    return GR_OK;
}

static const gr_sample ctc_states_samples[] = {
    {.name = "batch", .in = {TARGETS, STEPS, SIZES}, .n_in = 3, .attrs = &(const states_attrs){0, 4}},
    {.name = "other blank", .in = {TARGETS, STEPS, ONES}, .n_in = 3, .attrs = &(const states_attrs){3, 6}},
    {.name = "too many steps", .in = {TARGETS, LONG, SIZES}, .n_in = 3, .attrs = &(const states_attrs){0, 4}, .error = "input_lengths[1] is 5, expected 0 <= input_lengths < 5"},
    {.name = "wrong count", .in = {TARGETS, {.shape = {1, {3}}, .integer = true, .high = 2}, SIZES}, .n_in = 3, .attrs = &(const states_attrs){0, 4}, .error = "expected input_lengths [N] for a batch of 2, got [3]"},
    {.name = "negative", .in = {TARGETS, STEPS, SIZES}, .n_in = 3, .attrs = &(const states_attrs){0, -1}, .error = "neither -1 steps"},
    {0},
};

static const gr_op ctc_states_op = {
    .name = "ctc_states",
    .family = "loss_ctc",
    .formula = "y = the labels l_s; whether s may follow s - 2; whether a path may end in s; "
               "whether step t counts",
    .derivation = "labels have no derivative: no gradient",
    .n_in = 3,
    .n_out = 4,
    .flags = GR_OP_CONSTANT,
    .attrs_size = sizeof(states_attrs),
    .fields = states_fields,
    .infer = ctc_states_infer,
    .forward = {[GR_I64] = ctc_states_forward},
    .samples = ctc_states_samples,
};

/* --- the loss as recorded ops, for its higher derivatives --- */

typedef struct chain {
    gr_tensor *skip, *final; /* [N,L], 0 or 1 */
    gr_tensor *active;       /* [T,N,1], bool */
    gr_tensor *share;        /* [T,N,L]: exp(x[t][l_s]), scaled */
    gr_shape row;            /* [N,L] */
} chain;

static chain record_chain(gr_tensor *x, gr_tensor *const *targets, int64_t blank)
{
    const gr_shape *s = gr_shape_of(x);
    states_attrs a = {blank, s->dim[0]};
    gr_tensor *label = gr__apply(NULL, &ctc_states_op, targets, 3, &a, GR_HERE);
    chain c = {.row = *gr_shape_of(label)};
    if (gr__is_nil(label)) return c;
    gr_shape all = GR_SHAPE(s->dim[0], c.row.dim[0], c.row.dim[1]);
    gr_tensor *score = gr_gather(x, 2, gr_expand(label, all));
    c.skip = gr_cast(gr_output(label, 1), gr_dtype_of(x));
    c.final = gr_cast(gr_output(label, 2), gr_dtype_of(x));
    c.active = gr_reshape(gr_output(label, 3), GR_SHAPE(s->dim[0], s->dim[1], 1));
    c.share = gr_exp(gr_sub(score, gr_detach(gr_logsumexp(score, GR_AXES(2), true))));
    return c;
}

/* alpha of the states `by` before, 0 in front. */
static gr_tensor *shifted(const chain *c, gr_tensor *alpha, int64_t by)
{
    const int64_t n = c->row.dim[0], width = c->row.dim[1];
    if (by >= width) return gr_zeros(gr_graph_of(c->skip), gr_dtype_of(c->skip), c->row);
    gr_tensor *front = gr_zeros(gr_graph_of(c->skip), gr_dtype_of(c->skip), GR_SHAPE(n, by));
    gr_tensor *parts[2] = {front, gr_slice(alpha, 1, 0, width - by, 1)};
    return gr_concat(parts, 2, 1);
}

/* 1 for the two states in which a path may begin. */
static gr_tensor *beginning(const chain *c)
{
    const int64_t n = c->row.dim[0], width = c->row.dim[1], open = width < 2 ? width : 2;
    gr_graph *g = gr_graph_of(c->skip);
    gr_dtype dtype = gr_dtype_of(c->skip);
    gr_tensor *parts[2] = {gr_ones(g, dtype, GR_SHAPE(n, open)),
                           gr_zeros(g, dtype, GR_SHAPE(n, width - open))};
    return gr_concat(parts, 2, 1);
}

/* The loss [N] but for a constant, by probabilities alpha that are scaled to sum to 1 at each step:
 * no logarithm of 0 on the way, so that it can be differentiated any number of times. The scale
 * counts as a constant, since its derivative would cancel. Impossible targets give a constant. */
gr_tensor *gr__ctc_recorded_loss(gr_tensor *x, gr_tensor *const *targets, int64_t blank)
{
    chain c = record_chain(x, targets, blank);
    if (!c.share) return gr__loss_failed(x);
    gr_tensor *alpha = beginning(&c), *one = gr__loss_number(x, 1);
    for (int64_t t = 0; t < gr_shape_of(x)->dim[0]; t++) {
        gr_tensor *from = alpha, *active = gr_select(c.active, 0, t);
        if (t > 0) {
            from = gr_add(from, shifted(&c, alpha, 1));
            from = gr_add(from, gr_mul(c.skip, shifted(&c, alpha, 2)));
        }
        from = gr_mul(from, gr_select(c.share, 0, t));
        gr_tensor *sum = gr_where(active, gr_sum(from, GR_AXES(1), true), one);
        alpha = gr_where(active, gr_div(from, gr_detach(sum)), alpha);
    }
    return gr_neg(gr_log(gr_sum(gr_mul(alpha, c.final), GR_AXES(1), false)));
}

const gr_op *const gr__loss_ctc_states_ops[] = {&ctc_states_op, NULL};

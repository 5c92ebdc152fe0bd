/* step.c - runs a rule over all parameters of a model in one threaded pass.
 *
 * Around the rule comes what its group asks for. Most of that happens tile by tile, while a piece of
 * the parameter is in cache; only norms of rows need a look at whole rows, after the pass.
 */
/* SPDX-License-Identifier: MIT */
#include "optimizer.h"

#include <math.h>

enum { TILE = 512 }; /* elements of a tuned gradient, on the stack */

/* --- rows: w[i], or all of a vector --- */

static bool without_gradient(const gr__slot *s, int64_t row)
{
    int64_t length = gr__row_length(s);
    size_t offset = (size_t)(row * length) * gr_dtype_size(s->dtype);
    return gr__around_of(s->dtype)->all_zero(length, (const char *)s->whole.g + offset);
}

typedef struct row_pass {
    const gr__slot *slot;
    const gr_param_group *settings;
    int64_t length;
} row_pass;

static void constrain_row(const row_pass *r, int64_t row)
{
    const gr__around *around = gr__around_of(r->slot->dtype);
    size_t bytes = (size_t)r->length * gr_dtype_size(r->slot->dtype);
    char *w = (char *)r->slot->whole.w + (size_t)row * bytes;
    double norm = sqrt(around->sum_squares(r->length, w)), most = r->settings->max_norm;
    if (most > 0 && norm > most) around->scale(r->length, w, most / norm);
    else if (r->settings->unit_norm && norm > 0) around->scale(r->length, w, 1 / norm);
}

static void constrain_range(void *ctx, int64_t begin, int64_t end)
{
    const row_pass *r = ctx;
    const gr__slot *s = r->slot;
    bool skips = r->settings->sparse_rows && !s->rows;
    for (int64_t i = begin; i < end; i++)
        if (!skips || !without_gradient(s, i)) constrain_row(r, s->rows ? s->rows[i] : i);
}

static void constrain(const gr_optimizer *opt, const gr__slot *s)
{
    const gr_param_group *settings = &opt->groups[s->group].settings;
    if (s->count == 0 || !(settings->max_norm > 0 || settings->unit_norm)) return;
    row_pass r = {s, settings, gr__row_length(s)};
    gr__parallel_for(s->count / r.length, 1 + GR__CHUNK / r.length, constrain_range, &r);
}

/* --- a piece of one parameter --- */

/* Elements begin .. end. */
static gr_update piece_of(const gr_optimizer *opt, const gr__slot *s, int64_t begin, int64_t end)
{
    size_t offset = (size_t)begin * gr_dtype_size(s->dtype);
    gr_update u = s->whole;
    u.n = end - begin;
    u.w = (char *)u.w + offset;
    u.g = (const char *)u.g + offset;
    for (int k = 0; k < opt->rule.n_states; k++) u.state[k] = (char *)u.state[k] + offset;
    return u;
}

static void update_tuned(const gr_optimizer *opt, const gr__slot *s, int64_t begin, int64_t end)
{
    union {
        double f64[TILE];
        float f32[TILE];
    } tuned;
    const gr__group *group = &opt->groups[s->group];
    const gr__around *around = gr__around_of(s->dtype);
    for (int64_t at = begin; at < end; at += TILE) {
        gr_update u = piece_of(opt, s, at, at + TILE < end ? at + TILE : end);
        around->tune(&group->tuning, u.n, u.g, u.w, &tuned);
        u.g = &tuned;
        opt->rule.tile[s->dtype](&u);
        if (group->settings.non_negative) around->cut_negative(u.n, u.w);
    }
}

static void update_piece(const gr_optimizer *opt, const gr__slot *s, int64_t begin, int64_t end)
{
    if (begin == end) return;
    if (!opt->groups[s->group].tuning.plain) {
        update_tuned(opt, s, begin, end);
    } else if (end - begin == s->whole.n) {
        opt->rule.tile[s->dtype](&s->whole);
    } else {
        gr_update u = piece_of(opt, s, begin, end);
        opt->rule.tile[s->dtype](&u);
    }
}

/* Runs of rows that have a gradient, where the parameter does not know them; a row at either end may
 * reach beyond the piece. */
static void update_rows(const gr_optimizer *opt, const gr__slot *s, int64_t begin, int64_t end)
{
    int64_t length = gr__row_length(s), from = begin;
    for (int64_t row = begin / length; row * length < end; row++) {
        int64_t first = row * length, next = first + length;
        if (!without_gradient(s, row)) continue;
        if (first > from) update_piece(opt, s, from, first);
        from = next < end ? next : end;
    }
    update_piece(opt, s, from, end);
}

/* What of the slot lies at begin .. end of the line. */
static void update_slot(const gr_optimizer *opt, const gr__slot *s, int64_t begin, int64_t end)
{
    bool looks = opt->groups[s->group].settings.sparse_rows && !s->rows;
    int64_t at = begin > s->first ? begin - s->first : 0;
    int64_t to = end - s->first < s->count ? end - s->first : s->count;
    if (!looks && !s->rows) {
        update_piece(opt, s, at, to);
        return;
    }
    for (int64_t from, until; at < to;) {
        at = gr__run_at(s, at, to, &from, &until);
        if (looks) update_rows(opt, s, from, until);
        else update_piece(opt, s, from, until);
    }
}

static void update_range(void *ctx, int64_t begin, int64_t end)
{
    const gr_optimizer *opt = ctx;
    for (int i = gr__slot_at(opt, begin); i < opt->n_slots && opt->slots[i].first < end; i++)
        update_slot(opt, &opt->slots[i], begin, end);
}

/* --- a step --- */

static gr__tuning tuning_of(const gr__group *group, double clip)
{
    const gr_param_group *o = &group->settings;
    gr__tuning t = {.scale = o->maximize ? -clip : clip,
                    .limit = o->clip_value > 0 ? o->clip_value : INFINITY,
                    .decay = o->weight_decay,
                    .l1 = o->l1,
                    .keep = 1 - group->lr * o->decoupled_decay};
    t.plain = t.scale == 1 && !(o->clip_value > 0) && t.decay == 0 && t.l1 == 0 && t.keep == 1 &&
              !o->non_negative;
    return t;
}

static void begin_update(const gr_optimizer *opt, gr__slot *s)
{
    gr_update *u = &s->whole;
    const gr__group *group = &opt->groups[s->group];
    size_t bytes = (size_t)u->n * gr__dtype_bytes[s->dtype];
    u->w = gr_param_write(s->param);
    u->lr = group->lr;
    u->momentum = group->momentum;
    u->step = ++s->steps;
    u->scalar = s->scalars;
    u->options = opt->options;
    for (int k = 0; k < opt->rule.n_states; k++)
        u->state[k] = (char *)s->states + (size_t)k * bytes;
    if (opt->rule.begin) opt->rule.begin(u, s->scalars);
}

/* As PyTorch's clip_grad_norm_: down to clip_norm, never up. */
static double clip_of(gr_optimizer *opt, int64_t length)
{
    if (!(opt->clip_norm > 0)) return 1;
    double factor = opt->clip_norm / (gr__line_norm(opt, length) + 1e-6);
    return factor > 1 ? 1 : factor;
}

gr_status gr__step_check(gr_optimizer *opt, const char *name)
{
    gr_status status = gr__optimizer_check(opt, name);
    if (status) return status;
    if (opt->lbfgs)
        return gr__fail(GR_ERR_STATE,
                        "%s: lbfgs evaluates the loss several times; use gr_step_closure", name);
    return gr__need_slots(opt);
}

void gr__step_prepare(gr_optimizer *opt, double clip)
{
    gr__optimizer_rates(opt);
    for (int k = 0; k < opt->n_groups; k++)
        opt->groups[k].tuning = tuning_of(&opt->groups[k], clip);
}

void gr__step_line(gr_optimizer *opt, int64_t length)
{
    for (int i = 0; i < opt->n_slots; i++)
        if (opt->slots[i].whole.n) begin_update(opt, &opt->slots[i]);
    gr__parallel_for(length, GR__CHUNK, update_range, opt);
    for (int i = 0; i < opt->n_slots; i++) constrain(opt, &opt->slots[i]);
}

typedef struct slot_pass {
    const gr_optimizer *opt;
    const gr__slot *slot;
} slot_pass;

static void update_alone(void *ctx, int64_t begin, int64_t end)
{
    const slot_pass *p = ctx;
    update_slot(p->opt, p->slot, begin, end);
}

void gr__step_slot(gr_optimizer *opt, gr__slot *s)
{
    slot_pass p = {opt, s};
    begin_update(opt, s);
    gr__parallel_for(s->count, GR__CHUNK, update_alone, &p);
    constrain(opt, s);
}

gr_status gr__step_end(gr_optimizer *opt)
{
    opt->steps++;
    return gr_zero_grad(opt);
}

/* Updates every parameter that has a gradient and is not frozen by the rule, at the rate of the
 * schedule if there is one, then clears all gradients. Without any gradient it is an error: a
 * gr_backward is missing. The first step allocates the rule's states; no other step allocates. */
gr_status gr_step(gr_optimizer *opt)
{
    gr_status status = gr__step_check(opt, "gr_step");
    if (status) return status;
    int64_t length = gr__line_up(opt);
    if (length < 0)
        return gr__fail(GR_ERR_STATE, "gr_step: no parameter has a gradient; call gr_backward "
                                      "before, and see that not all are frozen");
    gr__step_prepare(opt, clip_of(opt, length));
    gr__step_line(opt, length);
    return gr__step_end(opt);
}

/* One step of an optimizer that may ask for the loss more than once.
 *
 * closure  records a forward, calls gr_backward and gives the loss; gradients are clear when it is
 *          called. What it returns other than GR_OK ends the step and is returned
 * loss     NULL, or gets the loss before the step
 *
 * For every other optimizer than gr_lbfgs: one call of the closure, then gr_step. */
gr_status gr_step_closure(gr_optimizer *opt, gr_closure *closure, void *user, double *loss)
{
    double unused;
    if (!closure) return gr__fail(GR_ERR_ARGUMENT, "gr_step_closure: the closure is NULL");
    gr_status status = gr_zero_grad(opt);
    if (status) return status;
    if (!loss) loss = &unused;
    if (opt->lbfgs) return gr__lbfgs_step(opt, closure, user, loss);
    status = closure(user, loss);
    return status ? status : gr_step(opt);
}

/* Forgets the gradients of all parameters. */
gr_status gr_zero_grad(gr_optimizer *opt)
{
    gr_status status = gr__optimizer_check(opt, "gr_zero_grad");
    if (status) return status;
    for (int i = 0; i < gr_model_params(opt->model); i++)
        gr_param_clear_grad(gr_model_param(opt->model, i));
    return GR_OK;
}

/* The norm of all gradients as one vector, before any clipping; 0 where there are none, NaN after
 * an error. */
double gr_optimizer_grad_norm(gr_optimizer *opt)
{
    gr_status status = gr__optimizer_check(opt, "gr_optimizer_grad_norm");
    if (!status) status = gr__need_slots(opt);
    return status ? NAN : gr__line_norm(opt, gr__line_up(opt));
}

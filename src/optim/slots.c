/* slots.c - what an optimizer keeps for each parameter, and the line on which they all lie.
 *
 * The elements of all parameters that have a gradient are thought of as one line, which is cut into
 * chunks: few large and many small parameters are the same work, and small models stay on one
 * thread.
 */
/* SPDX-License-Identifier: MIT */
#include "optimizer.h"

#include <math.h>

/* --- states --- */

static gr_status fill_slot(gr__slot *s, const gr_rule *rule, gr_model *m, int i)
{
    gr_param *p = gr_model_param(m, i);
    gr_dtype dtype = gr_param_dtype(p);
    int64_t n = gr_shape_numel(gr_param_shape(p));
    size_t bytes = (size_t)n * gr_dtype_size(dtype);
    if (!rule->tile[dtype])
        return gr__fail(GR_ERR_ARGUMENT, "%s: no rule for %s, which parameter '%s' is", rule->name,
                        gr_dtype_name(dtype), gr_model_param_name(m, i));
    char *states = gr__calloc((size_t)rule->n_states * bytes + 1);
    if (!states) return GR_ERR_MEMORY;
    for (int k = 0; k < rule->n_states; k++)
        if (rule->state_start[k] != 0)
            gr__around_of(dtype)->fill(n, states + (size_t)k * bytes, rule->state_start[k]);
    *s = (gr__slot){.param = gr_param_retain(p), .states = states, .numel = n, .dtype = dtype};
    return GR_OK;
}

/* '*' stands for any text; after a mismatch the last one takes one character more. */
static bool fits(const char *pattern, const char *name)
{
    const char *star = NULL, *held = name;
    while (*name) {
        if (*pattern == '*') {
            star = pattern++;
            held = name;
        } else if (*pattern == *name) {
            pattern++;
            name++;
        } else if (star) {
            pattern = star + 1;
            name = ++held;
        } else return false;
    }
    while (*pattern == '*') pattern++;
    return !*pattern;
}

/* The number of parameters that fit. */
static int give_group(gr_optimizer *opt, int group)
{
    int n = 0;
    for (int i = 0; i < opt->n_slots; i++) {
        if (!fits(opt->groups[group].pattern, gr_model_param_name(opt->model, i))) continue;
        opt->slots[i].group = group;
        n++;
    }
    return n;
}

static gr_status add_slots(gr_optimizer *opt, int n)
{
    gr__slot *slots = gr__grow(opt->slots, (size_t)opt->n_slots * sizeof *slots,
                               (size_t)n * sizeof *slots);
    if (!slots) return GR_ERR_MEMORY;
    opt->slots = slots;
    for (int i = opt->n_slots; i < n; i++) {
        gr_status status = fill_slot(&slots[i], &opt->rule, opt->model, i);
        if (status) return status;
        opt->n_slots = i + 1;
    }
    return GR_OK;
}

static gr_status need_partials(gr_optimizer *opt)
{
    int64_t chunks = gr_model_numel(opt->model) / GR__CHUNK + 1;
    double *partials = gr__alloc((size_t)chunks * sizeof *partials);
    if (!partials) return GR_ERR_MEMORY;
    gr__free(opt->partials);
    opt->partials = partials;
    return GR_OK;
}

gr_status gr__need_slots(gr_optimizer *opt)
{
    int n = gr_model_params(opt->model);
    if (opt->n_slots == n && !opt->regroup) return GR_OK;
    opt->regroup = true; /* until all went well */
    gr_status status = opt->n_slots < n ? add_slots(opt, n) : GR_OK;
    if (!status) status = need_partials(opt);
    if (status) return status;
    for (int i = 0; i < n; i++) opt->slots[i].group = 0;
    if (opt->n_groups > 1 && n > 0 && !*gr_model_param_name(opt->model, 0))
        return GR_ERR_MEMORY; /* names could not be put together */
    for (int k = 1; k < opt->n_groups; k++)
        if (!give_group(opt, k))
            return gr__fail(GR_ERR_ARGUMENT,
                            "gr_optimizer_group: no parameter's name fits '%s'; "
                            "expected one such as '%s'",
                            opt->groups[k].pattern, n ? gr_model_param_name(opt->model, 0) : "");
    opt->regroup = false;
    return GR_OK;
}

/* --- the line --- */

int64_t gr__row_length(const gr__slot *s)
{
    const gr_shape *shape = gr_param_shape(s->param);
    int64_t n = gr_shape_numel(shape);
    return shape->rank > 1 && n > 0 ? n / shape->dim[0] : n;
}

/* All elements, or where rows without gradient stay and the parameter knows the others, those. */
void gr__slot_place(const gr_optimizer *opt, gr__slot *s, int64_t first)
{
    int64_t n_rows;
    s->first = first;
    s->rows = NULL;
    s->whole.g = gr_param_frozen(s->param) ? NULL : gr_param_grad(s->param);
    s->count = s->whole.n = s->whole.g ? s->numel : 0;
    if (!s->whole.n || !opt->groups[s->group].settings.sparse_rows) return;
    s->rows = gr_param_grad_rows(s->param, &n_rows);
    if (s->rows) s->count = n_rows * gr__row_length(s);
}

int64_t gr__line_up(gr_optimizer *opt)
{
    int64_t length = 0;
    bool any = false;
    for (int i = 0; i < opt->n_slots; i++) {
        gr__slot *s = &opt->slots[i];
        gr__slot_place(opt, s, length);
        length += s->count;
        any |= s->whole.n > 0;
    }
    return any ? length : -1;
}

int64_t gr__run_at(const gr__slot *s, int64_t at, int64_t to, int64_t *begin, int64_t *end)
{
    int64_t next = to;
    *begin = at;
    if (s->rows) {
        int64_t length = gr__row_length(s), row = at / length;
        if ((row + 1) * length < to) next = (row + 1) * length;
        *begin = s->rows[row] * length + at % length;
    }
    *end = *begin + (next - at);
    return next;
}

int gr__slot_at(const gr_optimizer *opt, int64_t at)
{
    int low = 0, high = opt->n_slots;
    while (high - low > 1) {
        int middle = low + (high - low) / 2;
        if (opt->slots[middle].first <= at) low = middle;
        else high = middle;
    }
    return low;
}

static void sum_range(void *ctx, int64_t begin, int64_t end)
{
    const gr_optimizer *opt = ctx;
    double sum = 0;
    for (int i = gr__slot_at(opt, begin); i < opt->n_slots && opt->slots[i].first < end; i++) {
        const gr__slot *s = &opt->slots[i];
        int64_t at = begin > s->first ? begin - s->first : 0;
        int64_t to = end - s->first < s->count ? end - s->first : s->count;
        for (int64_t from, until; at < to;) {
            at = gr__run_at(s, at, to, &from, &until);
            const char *g = (const char *)s->whole.g + (size_t)from * gr_dtype_size(s->dtype);
            sum += gr__around_of(s->dtype)->sum_squares(until - from, g);
        }
    }
    opt->partials[begin / GR__CHUNK] = sum;
}

double gr__line_norm(gr_optimizer *opt, int64_t length)
{
    double sum = 0;
    gr__parallel_for(length, GR__CHUNK, sum_range, opt);
    for (int64_t c = 0; c * GR__CHUNK < length; c++) sum += opt->partials[c];
    return sqrt(sum);
}

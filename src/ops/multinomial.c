/* multinomial.c - drawing indices with given weights.
 *
 *   with replacement:     the first k whose sum w_0 + ... + w_k exceeds u sum(w), u in [0, 1)
 *   without replacement:  the n smallest of e_k / w_k, in order, e_k exponential
 *
 * The smallest of exponentials with rates w_k is k with probability w_k / sum(w), and those that
 * remain begin anew: so their order is that of drawing one after the other without putting back.
 *
 * Source: Efraimidis, Spirakis, "Weighted random sampling with a reservoir", 2006.
 */
/* SPDX-License-Identifier: MIT */
#include "axes.h"
#include "base.h"
#include "random.h"

#include <math.h>

typedef struct multinomial_attrs {
    int64_t n;
    bool replacement;
    int64_t seed;
} multinomial_attrs;

static const gr_field multinomial_fields[] = {
    GR_FIELD(multinomial_attrs, n, GR_FIELD_I64),
    GR_FIELD(multinomial_attrs, replacement, GR_FIELD_BOOL),
    GR_FIELD(multinomial_attrs, seed, GR_FIELD_I64),
    {0},
};

static bool multinomial_infer(gr_infer *c)
{
    const multinomial_attrs *a = c->attrs;
    const int last = c->shape[0].rank - 1;
    if (last < 0) return gr_infer_fail(c, "expected weights [..., C], got %s", gr_infer_shape(c, 0));
    if (!gr__is_float(c->dtype[0]))
        return gr_infer_fail(c, "not defined for %s", gr_dtype_name(c->dtype[0]));
    if (a->n < 0 || (!a->replacement && a->n > c->shape[0].dim[last]))
        return gr_infer_fail(c, "cannot draw %lld of %lld", (long long)a->n,
                             (long long)c->shape[0].dim[last]);
    c->shape[0].dim[last] = a->n;
    c->dtype[0] = GR_I64;
    return true;
}

/* --- one row --- */

typedef struct candidate {
    double key;
    int64_t index;
} candidate;

typedef struct multinomial_job {
    const multinomial_attrs *attrs;
    gr_value w;
    int64_t count, stop; /* weights in a row; rows */
    double *sums;        /* [rows, count], with replacement */
    candidate *heaps;    /* [rows, count], without */
    int64_t *y;
} multinomial_job;

static void draw_with(const multinomial_job *job, int64_t row)
{
    const int64_t count = job->count, n = job->attrs->n;
    double *sums = job->sums + row * count, sum = 0;
    int64_t last = 0; /* the last of positive weight */
    for (int64_t k = 0; k < count; k++) {
        const double w = gr__real_at(&job->w, row * count + k);
        if (w > 0) last = k;
        sums[k] = sum += w;
    }
    for (int64_t i = row * n; i < (row + 1) * n; i++) {
        const double at = gr__random_uniform((uint64_t)job->attrs->seed, (uint64_t)i) * sum;
        int64_t low = 0, high = last;
        while (low < high) {
            const int64_t middle = low + (high - low) / 2;
            if (sums[middle] > at) high = middle;
            else low = middle + 1;
        }
        job->y[i] = low;
    }
}

/* Restores a heap, the smallest key first, below `at`. */
static void sift_down(candidate *heap, int64_t n, int64_t at)
{
    const candidate moved = heap[at];
    for (int64_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && heap[child + 1].key < heap[child].key) child++;
        if (moved.key <= heap[child].key) break;
        heap[at] = heap[child];
    }
    heap[at] = moved;
}

static void draw_without(const multinomial_job *job, int64_t row)
{
    const int64_t count = job->count, n = job->attrs->n;
    candidate *heap = job->heaps + row * count;
    for (int64_t k = 0; k < count; k++) {
        const int64_t i = row * count + k;
        const double w = gr__real_at(&job->w, i);
        const double e = -log(gr__random_uniform((uint64_t)job->attrs->seed, (uint64_t)i));
        heap[k] = (candidate){w > 0 ? e / w : INFINITY, k};
    }
    for (int64_t k = count / 2; k-- > 0;) sift_down(heap, count, k);
    for (int64_t i = 0; i < n; i++) {
        job->y[row * n + i] = heap[0].index;
        heap[0] = heap[count - 1 - i];
        sift_down(heap, count - 1 - i, 0);
    }
}

static void draw_rows(void *ctx, int64_t begin, int64_t end)
{
    const multinomial_job *job = ctx;
    for (int64_t row = begin; row < end; row++) {
        if (job->attrs->replacement) draw_with(job, row);
        else draw_without(job, row);
    }
}

/* --- all rows --- */

static gr_status check_weights(gr_exec *e, const multinomial_job *job)
{
    for (int64_t row = 0; row < job->stop; row++) {
        int64_t positive = 0;
        double sum = 0;
        for (int64_t k = 0; k < job->count; k++) {
            const double w = gr__real_at(&job->w, row * job->count + k);
            if (!(w >= 0 && isfinite(w)))
                return gr_exec_fail(e, "weight %lld of row %lld is %g, expected 0 <= w < inf",
                                    (long long)k, (long long)row, w);
            sum += w;
            positive += w > 0;
        }
        if (!isfinite(sum))
            return gr_exec_fail(e, "the weights of row %lld add up to %g", (long long)row, sum);
        if (positive < (job->attrs->replacement ? 1 : job->attrs->n))
            return gr_exec_fail(e, "%lld are to be drawn of row %lld, which has %lld positive weights",
                                (long long)job->attrs->n, (long long)row, (long long)positive);
    }
    return GR_OK;
}

static gr_status multinomial_forward(gr_exec *e)
{
    const multinomial_attrs *a = e->attrs;
    const gr_shape *w = e->in[0].shape;
    const int64_t n = gr_shape_numel(e->out[0].shape), numel = gr_shape_numel(w);
    multinomial_job job = {.attrs = a, .w = e->in[0], .count = w->dim[w->rank - 1],
                           .stop = a->n ? n / a->n : 0, .y = e->out[0].data};
    const size_t size = a->replacement ? sizeof *job.sums : sizeof *job.heaps;
    if (n == 0) return GR_OK;
    if (check_weights(e, &job)) return GR_ERR_ARGUMENT;
    void *scratch = gr_exec_scratch(e, (size_t)numel * size);
    if (!scratch) return GR_ERR_MEMORY;
    if (a->replacement) job.sums = scratch;
    else job.heaps = scratch;
    gr__parallel_for(job.stop, 1 + 4096 / (job.count + a->n), draw_rows, &job);
    return GR_OK;
}

/* Which indices were drawn; how far the weights are from another draw is not told. */
static void multinomial_branch(const gr_exec *e, gr_branch *b)
{
    const int64_t *y = e->out[0].data;
    for (int64_t i = 0, n = gr_shape_numel(e->out[0].shape); i < n; i++)
        gr_branch_add(b, (uint64_t)y[i], INFINITY);
}

#define W(...) {.shape = __VA_ARGS__, .low = 0.2, .high = 1.5}
#define NUMBERS(n, replacement) &(const multinomial_attrs){n, replacement, 7}

static const gr_sample multinomial_samples[] = {
    {.name = "rows", .in = {W({2, {3, 4}})}, .n_in = 1, .attrs = NUMBERS(6, true)},
    {.name = "without replacement", .in = {W({2, {3, 5}})}, .n_in = 1, .attrs = NUMBERS(3, false)},
    {.name = "all of them", .in = {W({1, {4}})}, .n_in = 1, .attrs = NUMBERS(4, false)},
    {.name = "no rows", .in = {W({2, {0, 4}})}, .n_in = 1, .attrs = NUMBERS(2, true)},
    {.name = "none", .in = {W({1, {4}})}, .n_in = 1, .attrs = NUMBERS(0, false)},
    {.name = "scalar", .in = {W({0, {0}})}, .n_in = 1, .attrs = NUMBERS(1, true), .error = "expected weights [..., C], got []"},
    {.name = "too many", .in = {W({2, {3, 4}})}, .n_in = 1, .attrs = NUMBERS(5, false), .error = "cannot draw 5 of 4"},
    {.name = "fewer than none", .in = {W({2, {3, 4}})}, .n_in = 1, .attrs = NUMBERS(-1, true), .error = "cannot draw -1 of 4"},
    {.name = "of nothing", .in = {W({2, {3, 0}})}, .n_in = 1, .attrs = NUMBERS(1, true), .error = "1 are to be drawn of row 0, which has 0 positive weights"},
    {.name = "negative weights", .in = {{.shape = {1, {3}}, .low = -2, .high = -1}}, .n_in = 1, .attrs = NUMBERS(1, true), .error = "expected 0 <= w < inf"},
    {.name = "integers", .in = {{.shape = {1, {3}}, .integer = true, .high = 3}}, .n_in = 1, .attrs = NUMBERS(1, true), .error = "not defined for int64"},
    {0},
};

static const gr_op multinomial_op = {
    .name = "multinomial",
    .family = "multinomial",
    .formula = "y_i = k with probability w_k / sum(w), int64",
    .derivation = "an index stays when the weights move a little: no gradient",
    .ties = "0 where the index changes, as everywhere",
    .n_in = 1,
    .flags = GR_OP_RANDOM | GR_OP_CONSTANT,
    .attrs_size = sizeof(multinomial_attrs),
    .fields = multinomial_fields,
    .infer = multinomial_infer,
    .forward = {[GR_F32] = multinomial_forward, [GR_F64] = multinomial_forward},
    .branch = multinomial_branch,
    .samples = multinomial_samples,
};

/* n indices for each row of weights [..., C], int64 [..., n]: k with probability w_k / sum(w). Without
 * replacement no index comes twice, in the order in which they would be drawn. Weights need not add
 * up to 1. When the value is computed, a negative or infinite weight, or fewer positive ones than are
 * to be drawn (one, with replacement), is an error. */
gr_tensor *gr_multinomial(gr_tensor *w, int64_t n, bool replacement)
{
    const multinomial_attrs attrs = {n, replacement,
                                     (int64_t)gr_next_seed(w ? gr_graph_of(w) : NULL)};
    return gr__unary(&multinomial_op, w, &attrs, GR_HERE);
}

const gr_op *const gr__multinomial_ops[] = {&multinomial_op, NULL};

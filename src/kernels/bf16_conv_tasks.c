/* bf16_conv_tasks.c - blocks of y, dx and dw of a convolution of rounded operands. */
/* SPDX-License-Identifier: MIT */
#include "base.h"
#include "bf16_conv.h"

enum { LANES = GR__BF16_LANES, COLUMNS = GR__BF16_COLUMNS, UNITS = GR__BF16_UNITS };

/* --- weights --- */

/* Panels of 16 result channels: the units of a pair of channels are its taps. */
static void pack_weights(void *ctx, int64_t begin, int64_t end)
{
    gr__bf16_conv *job = ctx;
    const gr__conv *c = &job->c;
    const int64_t taps = gr__bf16_taps(c), panels = gr__up_div(c->out, LANES);
    const bool dx = job->kind == GR__CONV_INPUT_GRAD;
    const int64_t row = dx ? taps : c->in * taps, channel = dx ? c->out * taps : taps;
    for (int64_t i = begin; i < end; i++) {
        const int64_t from = i % panels * LANES;
        const float *w = job->b + i / panels * c->out * c->in * taps + from * row;
        bool finite = true;
        for (int64_t p = 0; p < job->pairs; p++) {
            const gr__bf16_source s = {.x = w + 2 * p * channel,
                                       .row = row,
                                       .step = 1,
                                       .second = channel,
                                       .rows = gr__least(LANES, c->out - from),
                                       .units = taps,
                                       .whole = 2 * p + 1 < c->in ? taps : 0};
            finite &= job->kernels->pack(&s, job->panels + (i * job->terms + p * taps) * LANES);
        }
        if (!finite) __atomic_store_n(&job->infinite, true, __ATOMIC_RELAXED);
    }
}

bool gr__bf16_pack_weights(gr__bf16_conv *job)
{
    const gr__conv *c = &job->c;
    gr__parallel_for(c->groups * gr__up_div(c->out, LANES), 1, pack_weights, job);
    return !job->infinite;
}

/* --- y and dx --- */

/* All channels of the tile's columns, by its units from `term` on. */
static void multiply_rows(const gr__bf16_conv *job, int64_t group, int64_t term, gr__bf16_tile *t,
                          float *sum)
{
    const int64_t out = job->c.out, panels = gr__up_div(out, LANES);
    for (int64_t o = 0; o < out; o += GR__BF16_ROWS) {
        t->panel = job->panels + o % LANES +
                   ((group * panels + o / LANES) * job->terms + term) * LANES;
        t->c = sum + o * COLUMNS;
        t->add = term ? t->c : NULL;
        job->kernels->tile(t);
    }
}

/* Sums of n results from `first` on, to the images they belong to. */
static void write_results(const gr__bf16_conv *job, int64_t group, int64_t first, int64_t n,
                          const float *sum)
{
    const gr__conv *c = &job->c;
    const int64_t results = gr__bf16_results(c);
    for (int64_t at = 0; at < n;) {
        const int64_t image = (first + at) / results, i = (first + at) % results;
        const int64_t length = gr__least(n - at, results - i);
        for (int64_t o = 0; o < c->out; o++) {
            const int64_t channel = group * c->out + o;
            const float bias = job->bias ? job->bias[channel] : 0, *from = sum + o * COLUMNS + at;
            float *y = job->y + (image * c->groups * c->out + channel) * results + i;
            for (int64_t j = 0; j < length; j++) y[j] = from[j] + bias;
        }
        at += length;
    }
}

/* Whether every vector of results lies in one row, so that it can be read from the planes. */
static bool in_rows(const gr__bf16_segment *s, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (s[i].to % LANES || (s[i].count % LANES && i + 1 < n)) return false;
    return true;
}

static void read_vectors(const uint32_t *from, const gr__bf16_segment *s, int64_t n,
                         gr__bf16_tile *t)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < s[i].count; j += LANES)
            t->b[(s[i].to + j) / LANES] = from + s[i].from + j;
}

void gr__bf16_results_task(const gr__bf16_conv *job, int64_t task, const gr__bf16_space *s)
{
    const gr__conv *c = &job->c;
    const int64_t group = task % c->groups, first = task / c->groups * COLUMNS;
    const int64_t group_size = job->pairs * job->set;
    const uint32_t *planes = job->planes + group * group_size;
    gr__bf16_segment segment[COLUMNS];
    gr__bf16_tile t = {
        .b = {s->gathered, s->gathered + LANES, s->gathered + 2 * LANES},
        .b_step = COLUMNS,
        .add_row = COLUMNS,
        .ldc = COLUMNS,
        .rows = GR__BF16_ROWS,
        .columns = gr__least(COLUMNS, c->batch * gr__bf16_results(c) - first),
    };
    gr__bf16_gather g = {.from = planes, .segment = segment, .y = s->gathered, .y_step = COLUMNS};
    g.segments = gr__bf16_segments(job, first, t.columns, c->groups * group_size, segment);
    const bool direct = in_rows(segment, g.segments);
    if (direct) read_vectors(planes, segment, g.segments, &t);
    for (int64_t term = 0; term < job->terms; term += UNITS) {
        g.offset = job->offset + term;
        g.rows = t.units = gr__least(UNITS, job->terms - term);
        if (direct) t.offset = g.offset;
        else job->kernels->gather(&g);
        multiply_rows(job, group, term, &t, s->sum);
    }
    write_results(job, group, first, t.columns, s->sum);
}

/* --- dw --- */

/* Panels of n results from `first` on, of the out channels from `channel` on, pairs of images. */
static void pack_cotangent(const gr__bf16_conv *job, int64_t channel, int64_t channels,
                           int64_t first, int64_t n, uint32_t *panels)
{
    const gr__conv *c = &job->c;
    const int64_t results = gr__bf16_results(c), image = c->groups * c->out * results;
    for (int64_t at = 0; at < n;) {
        const int64_t pair = (first + at) / results, i = (first + at) % results;
        const int64_t length = gr__least(n - at, results - i);
        for (int64_t o = 0; o < channels; o += LANES) {
            const gr__bf16_source s = {
                .x = job->b + 2 * pair * image + (channel + o) * results + i,
                .row = results,
                .step = 1,
                .second = image,
                .rows = gr__least(LANES, channels - o),
                .units = length,
                .whole = 2 * pair + 1 < c->batch ? length : 0,
            };
            job->kernels->pack(&s, panels + o * UNITS + at * LANES);
        }
        at += length;
    }
}

static void multiply_taps(const gr__bf16_conv *job, gr__bf16_gather *g, int64_t n, int64_t columns,
                          bool add, const gr__bf16_space *s, float *partial)
{
    for (int64_t k = 0; k < job->terms; k += GR__BF16_ROWS) {
        g->offset = job->offset + k;
        g->rows = gr__least(GR__BF16_ROWS, job->terms - k);
        job->kernels->gather(g);
        gr__bf16_tile t = {
            .b = {s->dy, s->dy + LANES * UNITS, s->dy + 2 * LANES * UNITS},
            .add = add ? partial + k * COLUMNS : NULL,
            .c = partial + k * COLUMNS,
            .b_step = LANES,
            .add_row = COLUMNS,
            .ldc = COLUMNS,
            .units = n,
            .rows = g->rows,
            .columns = columns,
        };
        for (int r = 0; r < GR__BF16_ROWS; r++) t.a[r] = s->gathered + r % g->rows * g->y_step;
        job->kernels->tile(&t);
    }
}

void gr__bf16_weights_task(const gr__bf16_conv *job, int64_t task, const gr__bf16_space *s)
{
    const gr__conv *c = &job->c;
    const int64_t group = task % c->groups, block = task / c->groups % job->blocks;
    const int64_t chunk = task / c->groups / job->blocks, results = gr__bf16_results(c);
    const int64_t begin = chunk * job->per_chunk * results, channel = block * COLUMNS;
    const int64_t end = gr__least(job->pairs, (chunk + 1) * job->per_chunk) * results;
    const int64_t channels = gr__least(COLUMNS, c->out - channel);
    float *partial = job->partial +
                     ((chunk * c->groups + group) * job->blocks + block) * job->terms * COLUMNS;
    for (int64_t first = begin; first < end; first += UNITS) {
        const int64_t n = gr__least(UNITS, end - first);
        gr__bf16_segment segment[UNITS];
        gr__bf16_gather g = {
            .from = job->planes + group * c->in * job->set,
            .segment = segment,
            .segments = gr__bf16_segments(job, first, n, c->groups * c->in * job->set, segment),
            .y = s->gathered,
            .y_step = UNITS,
        };
        pack_cotangent(job, group * c->out + channel, channels, first, n, s->dy);
        multiply_taps(job, &g, n, channels, first > begin, s, partial);
    }
}

/* Blocks of 16 terms: their partial sums, in order, turned. */
static void finish_weights(void *ctx, int64_t begin, int64_t end)
{
    const gr__bf16_conv *job = ctx;
    const gr__conv *c = &job->c;
    const int64_t across = gr__up_div(job->terms, LANES),
                  tiles = job->blocks * job->terms * COLUMNS;
    for (int64_t i = begin; i < end; i++) {
        const int64_t group = i / across, k = i % across * LANES;
        for (int64_t o = 0; o < c->out; o += LANES) {
            const gr__bf16_turn t = {
                .x = job->partial + group * tiles + (o / COLUMNS * job->terms + k) * COLUMNS +
                     o % COLUMNS,
                .x_step = COLUMNS,
                .part = c->groups * tiles,
                .parts = job->chunks,
                .y = job->y + (group * c->out + o) * job->terms + k,
                .y_step = job->terms,
                .rows = gr__least(LANES, c->out - o),
                .columns = gr__least(LANES, job->terms - k),
            };
            job->kernels->turn(&t);
        }
    }
}

void gr__bf16_finish_weights(const gr__bf16_conv *job)
{
    gr__parallel_for(job->c.groups * gr__up_div(job->terms, LANES), 4, finish_weights, (void *)job);
}

/* init_whole.c - initial values that depend on the place in the weight.
 *
 * Saxe, McClelland, Ganguli: Exact solutions to the nonlinear dynamics of learning, 2014.
 * Martens: Deep learning via Hessian-free optimization, 2010.
 */
/* SPDX-License-Identifier: MIT */
#include "init.h"

#include <math.h>

static void clear(gr_param *p, void *data)
{
    for (int64_t i = 0, n = gr_shape_numel(gr_param_shape(p)); i < n; i++)
        gr__init_store(p, data, i, 0);
}

/* --- orthogonal --- */

/* Q of a tall matrix of normal numbers, float64 [most, least], in the graph's memory. With R's diagonal
 * positive Q is uniform over the orthogonal matrices. NULL when memory is out. */
static const double *draw_q(gr_graph *g, int64_t most, int64_t least, uint64_t stream)
{
    double *x = gr__alloc((size_t)(most * least) * sizeof *x);
    if (!x) return NULL;
    for (int64_t i = 0; i < most * least; i++) x[i] = gr__random_normal(stream, (uint64_t)i);
    const double *q = gr_data(gr_qr(gr_from_data(g, GR_F64, (gr_shape){2, {most, least}}, x)));
    gr__free(x);
    return q;
}

const char *gr__init_orthogonal(gr_param *p, const gr__draw *d)
{
    const gr_shape *shape = gr_param_shape(p);
    int64_t rows = shape->dim[0], columns = gr_shape_numel(shape) / rows;
    bool wide = columns > rows;
    gr_graph *g = gr_graph_new();
    const double *q = draw_q(g, wide ? columns : rows, wide ? rows : columns, d->stream);
    if (q) {
        void *data = gr_param_write(p);
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = 0; j < columns; j++)
                gr__init_store(p, data, i * columns + j,
                               d->scale * (wide ? q[j * rows + i] : q[i * columns + j]));
    }
    gr_graph_free(g);
    return q ? NULL : "out of memory";
}

/* --- sparse --- */

/* Of each column ceil(sparsity rows) elements are 0, each choice of rows as likely as any other: a row
 * is taken with probability (how many are wanted still) / (how many rows are left). */
const char *gr__init_sparse(gr_param *p, const gr__draw *d)
{
    const gr_shape *shape = gr_param_shape(p);
    int64_t rows = shape->dim[0], columns = shape->dim[1];
    uint64_t choices = gr__hash_join(d->stream, 1);
    if (!(d->init->sparsity >= 0 && d->init->sparsity <= 1))
        return "sparsity is a part, from 0 to 1";
    void *data = gr_param_write(p);
    for (int64_t j = 0; j < columns; j++) {
        int64_t wanted = (int64_t)ceil(d->init->sparsity * (double)rows);
        for (int64_t i = 0; i < rows; i++) {
            uint64_t at = (uint64_t)(i * columns + j);
            bool taken = gr__random_uniform(choices, at) * (double)(rows - i) < (double)wanted;
            wanted -= taken;
            gr__init_store(p, data, i * columns + j,
                           taken ? 0 : d->scale * gr__random_normal(d->stream, at));
        }
    }
    return NULL;
}

/* --- identities --- */

const char *gr__init_identity(gr_param *p, const gr__draw *d)
{
    const gr_shape *shape = gr_param_shape(p);
    void *data = gr_param_write(p);
    clear(p, data);
    for (int64_t i = 0; i < shape->dim[0] && i < shape->dim[1]; i++)
        gr__init_store(p, data, i * shape->dim[1] + i, d->scale);
    return NULL;
}

/* One tap in the middle of the window joins channel i of each group to output i of that group. */
const char *gr__init_dirac(gr_param *p, const gr__draw *d)
{
    const gr_shape *shape = gr_param_shape(p);
    int64_t groups = d->init->groups ? d->init->groups : 1, out = shape->dim[0];
    int64_t in = shape->dim[1], window = 1, middle = 0;
    if (groups < 1 || out % groups) return "dirac needs groups that divide the channels";
    for (int i = 2; i < shape->rank; i++) {
        window *= shape->dim[i];
        middle = middle * shape->dim[i] + shape->dim[i] / 2;
    }
    void *data = gr_param_write(p);
    clear(p, data);
    for (int64_t group = 0; group < groups; group++)
        for (int64_t i = 0; i < out / groups && i < in; i++)
            gr__init_store(p, data, ((group * (out / groups) + i) * in + i) * window + middle,
                           d->scale);
    return NULL;
}

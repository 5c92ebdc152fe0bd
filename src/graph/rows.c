/* rows.c - gradients of tables, by rows: what an embedding touches, not the whole table.
 *
 * The cotangent of a table of which few rows were read (an op with GR_OP_ROWS) is not computed:
 * gr_backward adds its rows right into the parameter's gradient, which is known to be 0 elsewhere.
 * The sums are taken in the order of the index, as the op's kernel takes them: the same bits.
 */
/* SPDX-License-Identifier: MIT */
#include "rows.h"
#include "strided.h"

#include <string.h>

enum { PIECE = 256 }; /* elements read at a time */

static size_t bytes_of(const gr_param *p)
{
    return (size_t)gr_shape_numel(&p->shape) * gr_dtype_size(p->dtype);
}

/* Few rows, all of them there: else the op's kernel does it, and says what is wrong. */
bool gr__rows_apply(const gr_param *p, const gr_tensor *dx)
{
    if (!(dx->node->op->flags & GR_OP_ROWS) || dx->data || (dx->flags & GR__KEEP)) return false;
    const gr_tensor *index = dx->node->in[1];
    int64_t n = gr_shape_numel(index->shape);
    if (!index->data || !(index->flags & GR__KEEP) || !gr__tensor_contiguous(index)) return false;
    if (2 * n > p->shape.dim[0]) return false;
    for (int64_t i = 0; i < n; i++) {
        int64_t row = ((const int64_t *)index->data)[i];
        if (row < 0 || row >= p->shape.dim[0]) return false;
    }
    return true;
}

/* From now on the gradient is a list of rows, none as yet; false where memory is out. */
static bool begin_rows(gr_param *p)
{
    size_t rows = (size_t)p->shape.dim[0];
    if (!p->rows) p->rows = gr__alloc(rows * sizeof *p->rows);
    if (!p->seen) p->seen = gr__calloc(rows * sizeof *p->seen);
    if (!p->rows || !p->seen) return false;
    if (!p->by_rows) {
        memset(p->grad, 0, bytes_of(p));
        p->n_rows = 0;
    }
    p->by_rows = true;
    return true;
}

static void note_row(gr_param *p, int64_t row)
{
    if (p->seen[row]) return;
    p->seen[row] = true;
    p->rows[p->n_rows++] = row;
}

static void add_piece(gr_dtype dtype, char *y, const void *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (dtype == GR_F64) ((double *)y)[i] += ((const double *)x)[i];
        else ((float *)y)[i] += ((const float *)x)[i];
}

void gr__rows_add(gr_param *p, gr_tensor *dx)
{
    union {
        double f64[PIECE];
        float f32[PIECE];
    } piece;
    gr_tensor *dy = dx->node->in[0];
    int64_t columns = p->shape.dim[1];
    const int64_t *index = dx->node->in[1]->data, n = gr_shape_numel(dx->node->in[1]->shape);
    const gr_value v = gr__tensor_value(dy);
    const gr__strided s = gr__strided_of(&v);
    if (!p->has_grad && !begin_rows(p)) memset(p->grad, 0, bytes_of(p));
    p->has_grad = true;
    for (int64_t i = 0; i < n; i++) {
        if (p->by_rows) note_row(p, index[i]);
        for (int64_t at = 0; at < columns; at += PIECE) {
            int64_t part = columns - at < PIECE ? columns - at : PIECE;
            size_t offset = (size_t)(index[i] * columns + at) * gr_dtype_size(p->dtype);
            gr__strided_read(&s, i * columns + at, part, &piece);
            add_piece(p->dtype, (char *)p->grad + offset, &piece, part);
        }
    }
}

void gr__rows_clear(gr_param *p)
{
    size_t bytes = (size_t)p->shape.dim[1] * gr_dtype_size(p->dtype);
    for (int64_t i = 0; i < p->n_rows; i++) {
        memset((char *)p->grad + (size_t)p->rows[i] * bytes, 0, bytes);
        p->seen[p->rows[i]] = false;
    }
    p->n_rows = 0;
}

void gr__rows_forget(gr_param *p)
{
    for (int64_t i = 0; i < p->n_rows; i++) p->seen[p->rows[i]] = false;
    p->n_rows = 0;
    p->by_rows = false;
}

/* The rows of a table's gradient that may differ from 0, each once, in no order: *n of them, until
 * the gradient is cleared. NULL where all may, or there is no gradient; gr_param_grad has the whole
 * in either case. So it is where all uses of a table since the last clearing were by gr_embedding,
 * one in each graph, of less than half of its rows. */
const int64_t *gr_param_grad_rows(const gr_param *p, int64_t *n)
{
    const bool known = p && p->has_grad && p->by_rows;
    if (n) *n = known ? p->n_rows : 0;
    return known && n ? p->rows : NULL;
}

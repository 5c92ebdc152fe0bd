/* shapes.c - random steps that move elements about. */
/* SPDX-License-Identifier: MIT */
#include "program.h"

/* y[index] = x[f(index)], -1 for a zero. */
typedef int64_t place_fn(const array *x, const int64_t *index, const int64_t *how);

static array rearranged(const array *x, int rank, const int64_t *dim, place_fn *f,
                        const int64_t *how)
{
    int64_t index[RANK] = {0};
    array y = array_new(rank, dim);
    for (int64_t i = 0; i < array_numel(&y); i++, advance_index(rank, dim, index)) {
        int64_t from = f(x, index, how);
        y.at[i] = from < 0 ? variable(0) : x->at[from];
    }
    return y;
}

/* --- the same elements in another shape --- */

static void step_reshape(program *p)
{
    const value *x = draw_value(p);
    int64_t n = array_numel(&x->a), dim[RANK], rest = n;
    int rank = (int)draw(p, RANK) + 1;
    for (int i = 0; i < rank; i++) {
        int64_t part = i == rank - 1 ? rest : 1;
        for (int64_t d = 2; d <= 4 && i < rank - 1 && rest; d++)
            if (rest % d == 0 && draw(p, 2)) part = d;
        dim[i] = part;
        if (part) rest /= part;
    }
    array y = array_new(rank, dim);
    if (array_numel(&y) != n) return;
    for (int64_t i = 0; i < n; i++) y.at[i] = x->a.at[i];
    keep(p, "reshape", gr_reshape(x->t, shape_of(&y)), y);
}

static int64_t permuted(const array *x, const int64_t *index, const int64_t *axes)
{
    int64_t own[RANK];
    for (int i = 0; i < x->rank; i++) own[axes[i]] = index[i];
    return offset_of(x, own);
}

static void step_permute(program *p)
{
    const value *x = draw_value(p);
    int64_t axes[RANK] = {0, 1, 2, 3}, dim[RANK];
    if (x->a.rank == 0) return;
    gr_axes by = {x->a.rank, {0}};
    for (int i = x->a.rank - 1; i > 0; i--) {
        int64_t j = draw(p, i + 1), kept = axes[i];
        axes[i] = axes[j];
        axes[j] = kept;
    }
    for (int i = 0; i < x->a.rank; i++) dim[i] = x->a.dim[axes[i]], by.axis[i] = (int)axes[i];
    keep(p, "permute", gr_permute(x->t, by), rearranged(&x->a, x->a.rank, dim, permuted, axes));
}

static int64_t stretched(const array *x, const int64_t *index, const int64_t *rank)
{
    int64_t own[RANK];
    for (int i = 0; i < x->rank; i++) own[i] = x->dim[i] == 1 ? 0 : index[*rank - x->rank + i];
    return offset_of(x, own);
}

static void step_expand(program *p)
{
    const value *x = draw_value(p);
    int64_t dim[RANK], rank = x->a.rank + (x->a.rank < RANK ? draw(p, 2) : 0);
    if (array_numel(&x->a) > 500) return;
    for (int i = 0; i < rank; i++) {
        int64_t own = i < rank - x->a.rank ? 1 : x->a.dim[i - (rank - x->a.rank)];
        dim[i] = own == 1 ? draw(p, 4) : own;
    }
    array y = rearranged(&x->a, (int)rank, dim, stretched, &rank);
    keep(p, "expand", gr_expand(x->t, shape_of(&y)), y);
}

/* --- parts --- */

static int64_t sliced(const array *x, const int64_t *index, const int64_t *how)
{
    int64_t own[RANK];
    for (int i = 0; i < x->rank; i++) own[i] = i == how[0] ? how[1] + how[2] * index[i] : index[i];
    return offset_of(x, own);
}

static void step_slice(program *p)
{
    const value *x = draw_value(p);
    if (x->a.rank == 0) return;
    int64_t dim[RANK], axis = draw(p, x->a.rank), n = x->a.dim[axis];
    int64_t start = draw(p, n + 1), stop = start + draw(p, n - start + 1), step = 1 + draw(p, 2);
    for (int i = 0; i < x->a.rank; i++) dim[i] = x->a.dim[i];
    dim[axis] = (stop - start + step - 1) / step;
    array y = rearranged(&x->a, x->a.rank, dim, sliced, (const int64_t[]){axis, start, step});
    keep(p, "slice", gr_slice(x->t, (int)axis, start, stop, step), y);
}

static void step_flip(program *p)
{
    const value *x = draw_value(p);
    if (x->a.rank == 0) return;
    int64_t axis = draw(p, x->a.rank);
    const int64_t how[] = {axis, x->a.dim[axis] - 1, -1};
    keep(p, "flip", gr_flip(x->t, GR_AXES((int)axis)),
         rearranged(&x->a, x->a.rank, x->a.dim, sliced, how));
}

/* --- more than there was --- */

static int64_t padded(const array *x, const int64_t *index, const int64_t *before)
{
    int64_t own[RANK];
    for (int i = 0; i < x->rank; i++) {
        own[i] = index[i] - before[i];
        if (own[i] < 0 || own[i] >= x->dim[i]) return -1;
    }
    return offset_of(x, own);
}

static void step_pad(program *p)
{
    const value *x = draw_value(p);
    gr_pad_options o = {.value = 0};
    int64_t dim[RANK];
    if (array_numel(&x->a) > 500) return;
    for (int i = 0; i < x->a.rank; i++) {
        o.before[i] = draw(p, 3);
        o.after[i] = draw(p, 2);
        dim[i] = x->a.dim[i] + o.before[i] + o.after[i];
    }
    keep(p, "pad", gr_pad(x->t, o), rearranged(&x->a, x->a.rank, dim, padded, o.before));
}

static void step_concat(program *p)
{
    const value *x = draw_value(p), *z = draw_value(p);
    if (x->a.rank == 0 || array_numel(&x->a) > 500) return;
    int64_t axis = draw(p, x->a.rank), dim[RANK], index[RANK] = {0}, own[RANK];
    bool fits = z->a.rank == x->a.rank;
    for (int i = 0; i < x->a.rank && fits; i++) fits = i == axis || x->a.dim[i] == z->a.dim[i];
    if (!fits) z = x;
    for (int i = 0; i < x->a.rank; i++) dim[i] = x->a.dim[i];
    dim[axis] += z->a.dim[axis];
    array y = array_new(x->a.rank, dim);
    for (int64_t i = 0; i < array_numel(&y); i++, advance_index(y.rank, dim, index)) {
        const bool second = index[axis] >= x->a.dim[axis];
        for (int k = 0; k < y.rank; k++) own[k] = index[k];
        if (second) own[axis] -= x->a.dim[axis];
        const array *from = second ? &z->a : &x->a;
        y.at[i] = from->at[offset_of(from, own)];
    }
    gr_tensor *both[] = {x->t, z->t};
    keep(p, "concat", gr_concat(both, 2, (int)axis), y);
}

static int64_t on_diagonal(const array *x, const int64_t *index, const int64_t *unused)
{
    int64_t own[RANK];
    (void)unused;
    for (int i = 0; i < x->rank - 1; i++) own[i] = index[i];
    own[x->rank - 1] = index[x->rank - 2];
    return offset_of(x, own);
}

static void step_diagonal(program *p)
{
    const value *x = draw_value(p);
    const int rank = x->a.rank;
    int64_t dim[RANK];
    if (rank < 2) return;
    for (int i = 0; i < rank - 1; i++) dim[i] = x->a.dim[i];
    if (x->a.dim[rank - 1] < dim[rank - 2]) dim[rank - 2] = x->a.dim[rank - 1];
    keep(p, "diagonal", gr_diagonal(x->t, 0, -2, -1),
         rearranged(&x->a, rank - 1, dim, on_diagonal, NULL));
}

step_fn *const shape_steps[] = {step_reshape, step_permute, step_expand,   step_slice, step_flip,
                                step_pad,     step_concat,  step_diagonal, NULL};

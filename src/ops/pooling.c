/* pooling.c - options, geometry and checks of pooling over windows of 1, 2 and 3 axes. */
/* SPDX-License-Identifier: MIT */
#include "pooling.h"

#include <stdio.h>
#include <string.h>

/* --- options --- */

#define FIELDS(type, n)                                          \
    {                                                            \
        GR_FIELD_ARRAY(type, kernel, GR_FIELD_INT, n),           \
            GR_FIELD_ARRAY(type, stride, GR_FIELD_INT, n),       \
            GR_FIELD_ARRAY(type, padding, GR_FIELD_INT, n),      \
            GR_FIELD_ARRAY(type, dilation, GR_FIELD_INT, n),     \
            GR_FIELD(type, ceil_mode, GR_FIELD_BOOL),            \
            GR_FIELD(type, exclude_padding, GR_FIELD_BOOL), {0}, \
    }

const gr_field gr__pool1d_fields[] = FIELDS(gr_pool1d_options, 1);
const gr_field gr__pool2d_fields[] = FIELDS(gr_pool2d_options, 2);
const gr_field gr__pool3d_fields[] = FIELDS(gr_pool3d_options, 3);

/* The options of every rank are read through the same table of names. */
static const gr_field *const fields_of[] = {NULL, gr__pool1d_fields, gr__pool2d_fields,
                                            gr__pool3d_fields};

/* The n-th field, an int per axis, into the last places of `to`. */
static void read_axes(const void *options, int rank, int n, int *to)
{
    memcpy(to + 3 - rank, (const char *)options + fields_of[rank][n].offset,
           (size_t)rank * sizeof *to);
}

static bool read_flag(const void *options, int rank, int n)
{
    return *(const bool *)((const char *)options + fields_of[rank][n].offset);
}

gr__windows gr__windows_of(const void *options, int rank)
{
    gr__windows w = {.rank = rank, .o = {.kernel = {1, 1, 1}}};
    read_axes(options, rank, 0, w.o.kernel);
    read_axes(options, rank, 1, w.o.stride);
    read_axes(options, rank, 2, w.o.padding);
    read_axes(options, rank, 3, w.o.dilation);
    w.o.ceil_mode = read_flag(options, rank, 4);
    w.o.exclude_padding = read_flag(options, rank, 5);
    for (int i = 0; i < 3; i++) {
        if (w.o.stride[i] == 0) w.o.stride[i] = w.o.kernel[i];
        if (w.o.dilation[i] == 0) w.o.dilation[i] = 1;
    }
    return w;
}

int gr__windows_rank(const gr_op *op)
{
    return op->fields[0].count ? op->fields[0].count : 1;
}

/* --- geometry --- */

static gr__pool_axis axis_of(const gr_shape *x, const gr__windows *w, int i)
{
    int at = x->rank - 3 + i;
    int64_t in = i < 3 - w->rank ? 1 : x->dim[at];
    return gr__pool_axis_of(in, w->o.kernel[i], w->o.stride[i], w->o.padding[i], w->o.dilation[i],
                            w->o.ceil_mode);
}

gr__pooling gr__windows_pool(const gr_shape *x, const gr__windows *w)
{
    return (gr__pooling){
        .planes = x->dim[0] * x->dim[1],
        .d = axis_of(x, w, 0),
        .h = axis_of(x, w, 1),
        .w = axis_of(x, w, 2),
        .exclude_padding = w->o.exclude_padding,
    };
}

int64_t gr__plane_size(const gr_shape *s)
{
    int64_t n = 1;
    for (int i = 2; i < s->rank; i++) n *= s->dim[i];
    return n;
}

/* --- checks --- */

bool gr__windows_check_input(gr_infer *c, int i, int rank, const char *what)
{
    static const char *const axes[2][4] = {{"", "L", "H,W", "D,H,W"},
                                           {"", "OL", "OH,OW", "OD,OH,OW"}};
    if (gr_shape_of(c->in[i])->rank == rank + 2) return true;
    return gr_infer_fail(c, "expected %s of [N,C,%s], got %s", what, axes[what[0] == 'd'][rank],
                         gr_infer_shape(c, i));
}

/* "[2,3]", of the last `rank` of three. */
static const char *list(const int v[3], int rank, char text[48])
{
    static const char *const format[] = {"", "[%d]", "[%d,%d]", "[%d,%d,%d]"};
    const int *own = v + 3 - rank;
    snprintf(text, 48, format[rank], own[0], own[rank > 1], own[rank - 1]);
    return text;
}

static bool all_positive(const int v[3])
{
    return v[0] > 0 && v[1] > 0 && v[2] > 0;
}

bool gr__windows_check_options(gr_infer *c, const gr__windows *w)
{
    const gr_pool3d_options *o = &w->o;
    char a[48], b[48];
    const struct {
        const char *name;
        const int *v;
    } positive[] = {{"kernel", o->kernel}, {"stride", o->stride}, {"dilation", o->dilation}};
    for (int i = 0; i < 3; i++)
        if (!all_positive(positive[i].v))
            return gr_infer_fail(c, "%s %s must be positive", positive[i].name,
                                 list(positive[i].v, w->rank, a));
    for (int i = 0; i < 3; i++)
        if (o->padding[i] < 0 || o->padding[i] > o->kernel[i] / 2)
            return gr_infer_fail(c, "padding %s must be from 0 to half of the kernel %s",
                                 list(o->padding, w->rank, a), list(o->kernel, w->rank, b));
    return true;
}

/* Whether a plane has elements, and few enough for the numbers of the kernels. */
static bool check_size(gr_infer *c, const gr_shape *x, const gr__windows *w)
{
    char text[GR_SHAPE_TEXT];
    double span = 0; /* of a window, in elements of the plane */
    for (int i = 2; i < x->rank; i++) {
        int at = i + 3 - x->rank;
        if (x->dim[i] < 1)
            return gr_infer_fail(c, "images of %s have no elements", gr_shape_text(x, text));
        span = span * (double)x->dim[i] + (double)w->o.kernel[at] * w->o.dilation[at];
        if (x->dim[i] > INT32_MAX || span > INT32_MAX)
            return gr_infer_fail(c, "images of %s are too large", gr_shape_text(x, text));
    }
    return true;
}

/* A window that begins in the padding must not step over all of the input. */
static bool check_dilation(gr_infer *c, const gr__windows *w, const gr__pool_axis *axis[3])
{
    char a[48];
    for (int i = 0; i < 3; i++)
        if (axis[i]->padding > 0 && axis[i]->in < axis[i]->dilation)
            return gr_infer_fail(c, "dilation %s steps over an axis of %lld elements",
                                 list(w->o.dilation, w->rank, a), (long long)axis[i]->in);
    return true;
}

bool gr__windows_check_geometry(gr_infer *c, const gr_shape *x, const gr__windows *w, gr_shape *y)
{
    char a[48], b[GR_SHAPE_TEXT];
    if (!check_size(c, x, w)) return false;
    gr__pooling p = gr__windows_pool(x, w);
    const gr__pool_axis *axis[3] = {&p.d, &p.h, &p.w};
    gr_shape padded = {.rank = w->rank};
    *y = *x;
    bool fits = true;
    for (int i = 3 - w->rank, k = 0; i < 3; i++, k++) {
        padded.dim[k] = axis[i]->in + 2 * axis[i]->padding;
        y->dim[2 + k] = axis[i]->out;
        fits &= axis[i]->out > 0;
    }
    if (fits) return check_dilation(c, w, axis);
    return gr_infer_fail(c, "a kernel of %s is larger than the padded input of %s",
                         list(w->o.kernel, w->rank, a), gr_shape_text(&padded, b));
}

/* --- running --- */

gr_status gr__windows_run(gr_exec *e, const gr__pooling *p, gr__pool_fn *plane, int64_t *index)
{
    gr__pool_run(p, plane, e->out[0].dtype, e->in[0].data, index, e->out[0].data,
                 gr__plane_size(e->in[0].shape), gr__plane_size(e->out[0].shape),
                 p->d.out * p->h.out * p->w.out);
    return GR_OK;
}

/* shape.c - dtypes and shapes. */
/* SPDX-License-Identifier: MIT */
#include "base.h"

#include <stdio.h>

const uint8_t gr__dtype_bytes[GR_DTYPES] = {4, 8, 8, 1, 1};

static const char *const dtype_names[GR_DTYPES] = {
    [GR_F32] = "float32", [GR_F64] = "float64", [GR_I64] = "int64",
    [GR_U8] = "uint8",    [GR_BOOL] = "bool",
};

size_t gr_dtype_size(gr_dtype dtype)
{
    return (unsigned)dtype < GR_DTYPES ? gr__dtype_bytes[dtype] : 0;
}

const char *gr_dtype_name(gr_dtype dtype)
{
    return (unsigned)dtype < GR_DTYPES ? dtype_names[dtype] : "unknown";
}

/* NULL counts as the shape of a scalar, as it does for gr_numel. */
int64_t gr_shape_numel(const gr_shape *shape)
{
    int64_t n = 1;
    for (int i = 0; shape && i < shape->rank; i++) n *= shape->dim[i];
    return n;
}

bool gr_shape_equal(const gr_shape *a, const gr_shape *b)
{
    return a == b || (a && b && gr__shape_alike(a, b));
}

const char *gr_shape_text(const gr_shape *shape, char text[GR_SHAPE_TEXT])
{
    if (!shape || !text) return shape ? "" : "[?]";
    if (shape->rank < 0 || shape->rank > GR_MAX_RANK) {
        snprintf(text, GR_SHAPE_TEXT, "[rank %d]", shape->rank);
        return text;
    }
    int len = snprintf(text, GR_SHAPE_TEXT, "[");
    for (int i = 0; i < shape->rank && len < GR_SHAPE_TEXT - 1; i++)
        len += snprintf(text + len, (size_t)(GR_SHAPE_TEXT - len), "%s%lld", i ? "," : "",
                        (long long)shape->dim[i]);
    if (len < GR_SHAPE_TEXT - 1) snprintf(text + len, (size_t)(GR_SHAPE_TEXT - len), "]");
    return text;
}

bool gr__shape_broadcast(const gr_shape *a, const gr_shape *b, gr_shape *out)
{
    const gr_shape *longer = a->rank >= b->rank ? a : b, *shorter = longer == a ? b : a;
    int extra = longer->rank - shorter->rank;
    *out = *longer;
    for (int i = 0; i < shorter->rank; i++) {
        int64_t m = longer->dim[i + extra], n = shorter->dim[i];
        if (m != n && m != 1 && n != 1) return false;
        out->dim[i + extra] = m == 1 ? n : m;
    }
    return true;
}

bool gr__shape_valid(const gr_shape *shape)
{
    int64_t numel;
    return gr__shape_fits(shape, &numel);
}

/* shape.c - dtypes and shapes. */
/* SPDX-License-Identifier: MIT */
#include "base.h"

#include <stdio.h>

static const struct {
    const char *name;
    size_t size;
} dtypes[GR_DTYPES] = {
    [GR_F32] = {"float32", 4}, [GR_F64] = {"float64", 8}, [GR_I64] = {"int64", 8},
    [GR_U8] = {"uint8", 1},    [GR_BOOL] = {"bool", 1},
};

size_t gr_dtype_size(gr_dtype dtype)
{
    return (unsigned)dtype < GR_DTYPES ? dtypes[dtype].size : 0;
}

const char *gr_dtype_name(gr_dtype dtype)
{
    return (unsigned)dtype < GR_DTYPES ? dtypes[dtype].name : "unknown";
}

int64_t gr_shape_numel(const gr_shape *shape)
{
    int64_t n = 1;
    for (int i = 0; i < shape->rank; i++) n *= shape->dim[i];
    return n;
}

bool gr_shape_equal(const gr_shape *a, const gr_shape *b)
{
    if (a == b) return true;
    if (a->rank != b->rank) return false;
    for (int i = 0; i < a->rank; i++)
        if (a->dim[i] != b->dim[i]) return false;
    return true;
}

const char *gr_shape_text(const gr_shape *shape, char text[GR_SHAPE_TEXT])
{
    int len = snprintf(text, GR_SHAPE_TEXT, "[");
    int rank = shape->rank < 0 ? 0 : shape->rank > GR_MAX_RANK ? GR_MAX_RANK : shape->rank;
    for (int i = 0; i < rank && len < GR_SHAPE_TEXT - 1; i++)
        len += snprintf(text + len, (size_t)(GR_SHAPE_TEXT - len), "%s%lld", i ? "," : "",
                        (long long)shape->dim[i]);
    if (len < GR_SHAPE_TEXT - 1) snprintf(text + len, (size_t)(GR_SHAPE_TEXT - len), "]");
    return text;
}

void gr__shape_strides(const gr_shape *shape, int64_t *strides)
{
    int64_t step = 1;
    for (int i = shape->rank - 1; i >= 0; i--) {
        strides[i] = step;
        step *= shape->dim[i];
    }
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
    if (shape->rank < 0 || shape->rank > GR_MAX_RANK) return false;
    int64_t n = 1; /* of the non-zero sizes, so that strides fit as well */
    for (int i = 0; i < shape->rank; i++) {
        if (shape->dim[i] < 0) return false;
        if (shape->dim[i] && __builtin_mul_overflow(n, shape->dim[i], &n)) return false;
    }
    return n <= INT64_MAX / 64;
}

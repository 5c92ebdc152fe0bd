/* strided.c - reading arrays of any strides in row-major order. */
/* SPDX-License-Identifier: MIT */
#include "strided.h"
#include "base.h"

#include <string.h>

gr__strided gr__strided_of(const gr_value *v)
{
    gr__strided s = {.size = gr_dtype_size(v->dtype), .data = v->data};
    for (int i = 0; i < v->shape->rank; i++) {
        int64_t dim = v->shape->dim[i], stride = v->strides[i];
        if (dim == 1) continue;
        int last = s.rank - 1;
        if (s.rank && s.stride[last] == dim * stride) {
            s.dim[last] *= dim;
            s.stride[last] = stride;
        } else {
            s.dim[s.rank] = dim;
            s.stride[s.rank++] = stride;
        }
    }
    return s;
}

bool gr__strided_contiguous(const gr__strided *s)
{
    return s->rank == 0 || (s->rank == 1 && s->stride[0] == 1);
}

/* --- one run along the innermost axis --- */

/* Repeating one element is a loop of its own: without loads, the compiler makes vectors of it. */
#define RUN(NAME, T)                                                                    \
    static void NAME(const T *restrict src, int64_t stride, int64_t n, T *restrict dst) \
    {                                                                                   \
        const T same = *src;                                                            \
        for (int64_t i = 0; stride == 0 && i < n; i++) dst[i] = same;                   \
        for (int64_t i = 0; stride != 0 && i < n; i++) dst[i] = src[i * stride];        \
    }
RUN(run1, uint8_t)
RUN(run4, uint32_t)
RUN(run8, uint64_t)

static void run(const char *src, int64_t stride, int64_t n, char *dst, size_t size)
{
    if (stride == 1) memcpy(dst, src, (size_t)n * size);
    else if (size == 4) run4((const uint32_t *)src, stride, n, (uint32_t *)dst);
    else if (size == 8) run8((const uint64_t *)src, stride, n, (uint64_t *)dst);
    else run1((const uint8_t *)src, stride, n, (uint8_t *)dst);
}

void gr__strided_read(const gr__strided *s, int64_t first, int64_t n, void *dst)
{
    char *to = dst;
    if (n <= 0) return;
    if (s->rank == 0) {
        memcpy(to, s->data, s->size);
        return;
    }
    int64_t at[GR_MAX_RANK], rest = first, offset = 0;
    for (int i = s->rank - 1; i >= 0; i--) {
        at[i] = rest % s->dim[i];
        rest /= s->dim[i];
        offset += at[i] * s->stride[i];
    }
    int inner = s->rank - 1;
    while (n > 0) {
        int64_t m = s->dim[inner] - at[inner] < n ? s->dim[inner] - at[inner] : n;
        run(s->data + offset * (int64_t)s->size, s->stride[inner], m, to, s->size);
        to += (size_t)m * s->size;
        n -= m;
        offset -= at[inner] * s->stride[inner];
        at[inner] = 0;
        for (int i = inner - 1; i >= 0; i--) {
            offset += s->stride[i];
            if (++at[i] < s->dim[i]) break;
            offset -= s->dim[i] * s->stride[i];
            at[i] = 0;
        }
    }
}

/* --- whole arrays --- */

typedef struct pack {
    gr__strided s;
    char *dst;
} pack;

static void pack_range(void *ctx, int64_t begin, int64_t end)
{
    pack *p = ctx;
    gr__strided_read(&p->s, begin, end - begin, p->dst + (size_t)begin * p->s.size);
}

void gr__pack(const gr_value *v, void *dst)
{
    pack p = {gr__strided_of(v), dst};
    gr__parallel_for(gr_shape_numel(v->shape), 32768, pack_range, &p);
}

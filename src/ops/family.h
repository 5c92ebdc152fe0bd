/* family.h - what the op families share. A family file ends with its table of ops, declared in
 * families.c; nothing else names an op. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__FAMILY_H
#define GR__FAMILY_H

#include "clones.h"
#include "tape.h"
#include <gradus/ops.h>

/* The one-line table of element-wise functions: `expr` in x (and a, for the attribute) of type T
 * makes NAME_f32 and NAME_f64; LET(T) declares what it uses besides. */
#define GR__TILE1_LET(NAME, T, suffix, ATTR, LET, expr)                                            \
    GR__CLONES static void NAME##_##suffix(const gr_tile *t)                                       \
    {                                                                                              \
        const T *restrict px = t->x[0];                                                            \
        T *restrict py = t->y;                                                                     \
        ATTR(T)                                                                                    \
        for (int64_t i = 0; i < t->n; i++) {                                                       \
            const T x = px[i];                                                                     \
            LET(T)                                                                                 \
            py[i] = (T)(expr);                                                                     \
        }                                                                                          \
    }
#define GR__NOTHING(T)
#define GR__TILE1(NAME, T, suffix, ATTR, expr)                                                     \
    GR__TILE1_LET(NAME, T, suffix, ATTR, GR__NOTHING, expr)
#define GR__NO_ATTR(T)
#define GR__F64_ATTR(T) const T a = (T) * (const double *)t->attrs;
#define GR__UNARY(NAME, expr)                                                                      \
    GR__TILE1(NAME, float, f32, GR__NO_ATTR, expr)                                                 \
    GR__TILE1(NAME, double, f64, GR__NO_ATTR, expr)
#define GR__UNARY_LET(NAME, LET, expr)                                                             \
    GR__TILE1_LET(NAME, float, f32, GR__NO_ATTR, LET, expr)                                        \
    GR__TILE1_LET(NAME, double, f64, GR__NO_ATTR, LET, expr)
#define GR__UNARY_A(NAME, expr)                                                                    \
    GR__TILE1(NAME, float, f32, GR__F64_ATTR, expr)                                                \
    GR__TILE1(NAME, double, f64, GR__F64_ATTR, expr)

/* The same for two inputs, a and b; results of type R. */
#define GR__TILE2(NAME, T, R, suffix, expr)                                                        \
    GR__CLONES static void NAME##_##suffix(const gr_tile *t)                                       \
    {                                                                                              \
        const T *restrict pa = t->x[0], *restrict pb = t->x[1];                                    \
        R *restrict py = t->y;                                                                     \
        for (int64_t i = 0; i < t->n; i++) {                                                       \
            const T a = pa[i], b = pb[i];                                                          \
            py[i] = (R)(expr);                                                                     \
        }                                                                                          \
    }
#define GR__BINARY(NAME, expr)                                                                     \
    GR__TILE2(NAME, float, float, f32, expr)                                                       \
    GR__TILE2(NAME, double, double, f64, expr)

#define GR__TILES(NAME) {[GR_F32] = NAME##_f32, [GR_F64] = NAME##_f64}

static inline gr_tensor *gr__unary(const gr_op *op, gr_tensor *x, const void *attrs,
                                   const void *site)
{
    return gr__apply(NULL, op, &x, 1, attrs, site);
}

static inline gr_tensor *gr__binary(const gr_op *op, gr_tensor *a, gr_tensor *b, const void *site)
{
    gr_tensor *in[2] = {a, b};
    return gr__apply(NULL, op, in, 2, NULL, site);
}

/* Axis -1 is the last; false when out of range for the rank. */
static inline bool gr__axis(int *axis, int rank)
{
    if (*axis < 0) *axis += rank;
    return *axis >= 0 && *axis < rank;
}

extern const gr_field gr__no_fields[]; /* the end mark alone */

#endif

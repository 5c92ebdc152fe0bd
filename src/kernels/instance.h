/* instance.h - what the build defines for one instance of the kernels, and vectors made of it.
 *
 *   REAL        float or double
 *   BITS        the integer type of REAL's size
 *   REAL_BYTES  its size
 *   VEC_BYTES   bytes of the widest vector register: 16, 32 or 64
 *   INSTANCE    the name of the table
 *
 * Vectors are GCC's vector types, which clang has too; loads and stores need no alignment.
 */
/* SPDX-License-Identifier: MIT */
#ifndef GR__INSTANCE_H
#define GR__INSTANCE_H

#include <stdint.h>
#include <string.h>

typedef REAL vec __attribute__((vector_size(VEC_BYTES)));
typedef BITS vec_bits __attribute__((vector_size(VEC_BYTES)));

enum { VEC_LANES = VEC_BYTES / sizeof(REAL), VEC_REGISTERS = VEC_BYTES == 64 ? 32 : 16 };

#define ALWAYS_INLINE inline __attribute__((always_inline))

/* UNROLL: before a loop of constant length whose arrays are to live in registers. APART: before a loop
 * over many arrays, none of which overlap: it becomes vector code without a check of each pair. */
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#define APART _Pragma("clang loop vectorize(assume_safety)")
#else
#define UNROLL _Pragma("GCC unroll 32")
#define APART _Pragma("GCC ivdep")
#endif

static ALWAYS_INLINE vec vec_load(const REAL *p)
{
    vec v;
    memcpy(&v, p, sizeof v);
    return v;
}

static ALWAYS_INLINE void vec_store(REAL *p, vec v)
{
    memcpy(p, &v, sizeof v);
}

/* The lanes of v whose mask is all ones, 0 elsewhere (whatever v holds there). */
static ALWAYS_INLINE vec vec_masked(vec v, const BITS *mask)
{
    vec_bits m;
    memcpy(&m, mask, sizeof m);
    return (vec)((vec_bits)v & m);
}

/* a where the mask is all ones, b where it is zero. */
static ALWAYS_INLINE vec vec_choose(vec_bits mask, vec a, vec b)
{
    return (vec)((mask & (vec_bits)a) | (~mask & (vec_bits)b));
}

/* The lanes of a, then b, with even numbers, with odd ones. */
#if VEC_BYTES / REAL_BYTES == 16
#define EVEN_LANES 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
#define ODD_LANES 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31
#elif VEC_BYTES / REAL_BYTES == 8
#define EVEN_LANES 0, 2, 4, 6, 8, 10, 12, 14
#define ODD_LANES 1, 3, 5, 7, 9, 11, 13, 15
#elif VEC_BYTES / REAL_BYTES == 4
#define EVEN_LANES 0, 2, 4, 6
#define ODD_LANES 1, 3, 5, 7
#else
#define EVEN_LANES 0, 2
#define ODD_LANES 1, 3
#endif

static ALWAYS_INLINE vec vec_even(vec a, vec b)
{
    return __builtin_shufflevector(a, b, EVEN_LANES);
}

static ALWAYS_INLINE vec vec_odd(vec a, vec b)
{
    return __builtin_shufflevector(a, b, ODD_LANES);
}

/* Quarters of 16 bytes first, then their lanes from both ends: a fixed order. */
static ALWAYS_INLINE REAL vec_sum(vec v)
{
    typedef REAL quarter __attribute__((vector_size(16)));
    union {
        vec whole;
        quarter part[VEC_BYTES / 16];
    } u = {v};
    enum { LAST = 16 / sizeof(REAL) - 1 };
    quarter sum = u.part[0];
    UNROLL
    for (int i = 1; i < VEC_BYTES / 16; i++) sum += u.part[i];
    REAL total = sum[0] + sum[LAST];
    UNROLL
    for (int i = 1; i < LAST; i += 2) total += sum[i] + sum[i + 1];
    return total;
}

#endif

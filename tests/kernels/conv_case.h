/* conv_case.h - convolutions of every shape, for every instruction set. */
/* SPDX-License-Identifier: MIT */
#ifndef CONV_CASE_H
#define CONV_CASE_H

#include "conv_data.h"
#include "kernels.h"

static const char *const isas[] = {"baseline", "avx2", "avx512"};
enum { ISAS = sizeof isas / sizeof *isas };

/* --- cases --- */

typedef struct conv_case {
    const char *name;
    int batch, groups, in, out; /* channels are those of one group */
    axis h, w;
    bool winograd[GR__CONV_KINDS], lanes[GR__CONV_KINDS];
} conv_case;

#define ALL              \
    {                    \
        true, true, true \
    }
#define NOT_DX            \
    {                     \
        true, false, true \
    }
#define NONE                \
    {                       \
        false, false, false \
    }

static const conv_case cases[] = {
    {"padding 1", 2, 1, 16, 16, {9, 3, 1, 1, 1}, {11, 3, 1, 1, 1}, ALL, NONE},
    {"no padding", 3, 1, 16, 32, {10, 3, 1, 0, 1}, {7, 3, 1, 0, 1}, ALL, NONE},
    {"padding 2", 1, 1, 13, 14, {6, 3, 1, 2, 1}, {5, 3, 1, 2, 1}, ALL, NONE},
    {"padding 0 and 2", 2, 1, 24, 30, {8, 3, 1, 0, 1}, {9, 3, 1, 2, 1}, ALL, NONE},
    {"padding 2 and 1", 1, 1, 45, 12, {23, 3, 1, 2, 1}, {5, 3, 1, 1, 1}, ALL, NONE},
    {"tiles of four", 9, 1, 31, 47, {2, 3, 1, 1, 1}, {2, 3, 1, 1, 1}, ALL, NONE},
    {"one pixel", 5, 1, 14, 13, {1, 3, 1, 1, 1}, {1, 3, 1, 1, 1}, ALL, NONE},
    {"one pixel of result", 5, 1, 14, 13, {3, 3, 1, 0, 1}, {3, 3, 1, 0, 1}, ALL, NONE},
    {"a row", 2, 1, 16, 16, {1, 3, 1, 1, 1}, {37, 3, 1, 1, 1}, ALL, NONE},
    {"a column", 2, 1, 16, 16, {37, 3, 1, 1, 1}, {1, 3, 1, 1, 1}, ALL, NONE},
    {"blocks of images", 40, 1, 32, 16, {8, 3, 1, 1, 1}, {8, 3, 1, 1, 1}, ALL, NONE},
    {"blocks of rows", 1, 1, 16, 16, {66, 3, 1, 1, 1}, {70, 3, 1, 1, 1}, ALL, NONE},
    {"panels", 3, 1, 180, 200, {5, 3, 1, 1, 1}, {4, 3, 1, 1, 1}, ALL, NONE},
    {"panels of dw alone", 4, 1, 100, 90, {4, 3, 1, 1, 1}, {4, 3, 1, 1, 1}, ALL, NONE},
    {"stride 2", 2, 1, 16, 24, {13, 3, 2, 1, 1}, {10, 3, 2, 0, 1}, NOT_DX, NONE},
    {"stride 2, padding 2", 3, 1, 30, 13, {6, 3, 2, 2, 1}, {7, 3, 2, 2, 1}, ALL, NONE},
    {"stride 2, one row", 2, 1, 16, 16, {1, 3, 2, 1, 1}, {19, 3, 2, 1, 1}, NOT_DX, NONE},
    {"stride 2, panels", 9, 1, 330, 360, {5, 3, 2, 1, 1}, {4, 3, 2, 1, 1}, ALL, NONE},
    {"one tile", 1, 1, 32, 32, {4, 3, 1, 1, 1}, {4, 3, 1, 1, 1}, {false, false, true}, NONE},
    {"few channels", 2, 1, 3, 16, {8, 3, 1, 1, 1}, {8, 3, 1, 1, 1}, NONE, NONE},
    {"lanes half empty", 2, 1, 17, 17, {8, 3, 1, 1, 1}, {8, 3, 1, 1, 1}, NONE, NONE},
    {"padding 3", 2, 1, 16, 16, {6, 3, 1, 3, 1}, {6, 3, 1, 1, 1}, NONE, NONE},
    {"stride", 2, 1, 16, 16, {9, 3, 2, 1, 1}, {9, 3, 1, 1, 1}, NONE, NONE},
    {"dilation", 2, 1, 16, 16, {9, 3, 1, 1, 1}, {9, 3, 1, 1, 2}, NONE, NONE},
    {"groups", 2, 2, 16, 16, {8, 3, 1, 1, 1}, {8, 3, 1, 1, 1}, NONE, NONE},
    {"other taps", 2, 1, 16, 16, {8, 3, 1, 1, 1}, {8, 5, 1, 2, 1}, NONE, NONE},
    {"no images", 0, 1, 16, 16, {8, 3, 1, 1, 1}, {8, 3, 1, 1, 1}, NONE, NONE},
    {"only padding", 2, 1, 16, 16, {0, 3, 1, 2, 1}, {8, 3, 1, 1, 1}, NONE, NONE},
    {"stride 2, wide rows", 2, 1, 2, 3, {5, 3, 2, 1, 1}, {75, 3, 2, 1, 1}, NONE, NONE},
    {"stride 2, a vector", 2, 1, 2, 3, {5, 3, 2, 1, 1}, {32, 2, 2, 0, 1}, NONE, NONE},
    {"stride 2, and one more", 2, 1, 2, 3, {5, 3, 2, 1, 1}, {34, 2, 2, 0, 1}, NONE, NONE},
    {"many images", 48, 1, 2, 3, {9, 5, 1, 2, 1}, {7, 5, 1, 2, 1}, NONE, ALL},
    {"a group not full", 57, 1, 6, 9, {8, 5, 1, 0, 1}, {6, 3, 1, 0, 1}, NONE, ALL},
    {"many images, dilation", 48, 2, 3, 2, {9, 3, 1, 2, 2}, {8, 2, 1, 1, 3}, NONE, ALL},
    {"many images, far taps", 48, 1, 2, 2, {2, 5, 1, 4, 2}, {3, 3, 1, 1, 1}, NONE, ALL},
    {"many images, padding 3", 48, 1, 2, 2, {4, 3, 1, 3, 1}, {5, 3, 1, 1, 1}, NONE, NOT_DX},
    {"many images, 1x1", 48, 1, 5, 11, {5, 1, 1, 0, 1}, {4, 1, 1, 0, 1}, NONE, ALL},
    {"chunks of groups", 275, 1, 2, 3, {3, 2, 1, 0, 1}, {3, 2, 1, 1, 1}, NONE, ALL},
    {"many images, stride", 48, 1, 2, 2, {9, 3, 2, 1, 1}, {8, 3, 1, 1, 1}, NONE, NONE},
    {"two groups of images", 32, 1, 2, 2, {9, 3, 1, 1, 1}, {8, 3, 1, 1, 1}, NONE, NONE},
    {"a group near empty", 50, 1, 2, 2, {9, 3, 1, 1, 1}, {8, 3, 1, 1, 1}, NONE, NONE},
    {"large images", 48, 1, 2, 2, {90, 3, 1, 1, 1}, {40, 3, 1, 1, 1}, NONE, NONE},
};
enum { CASES = sizeof cases / sizeof *cases };

static inline gr__conv conv_of(const conv_case *c)
{
    return (gr__conv){c->batch, c->groups, c->in, c->out, axis_of(&c->h), axis_of(&c->w)};
}

/* --- running --- */

static inline void with_every_isa(void (*check)(void))
{
    for (int i = 0; i < ISAS; i++)
        if (gr__kernels_force(isas[i])) check();
    gr__kernels_force(NULL);
}

#endif

/* types.c - the types of elements that safetensors knows. */
/* SPDX-License-Identifier: MIT */
#include "formats.h"

#include <string.h>

static const gr__type types[] = {
    {"F32", 32, GR_F32},       {"F64", 64, GR_F64},       {"I64", 64, GR_I64},
    {"U8", 8, GR_U8},          {"BOOL", 8, GR_BOOL},      {"F16", 16, GR_DTYPES},
    {"BF16", 16, GR_DTYPES},   {"I8", 8, GR_DTYPES},      {"I16", 16, GR_DTYPES},
    {"I32", 32, GR_DTYPES},    {"U16", 16, GR_DTYPES},    {"U32", 32, GR_DTYPES},
    {"U64", 64, GR_DTYPES},    {"C64", 64, GR_DTYPES},    {"F8_E5M2", 8, GR_DTYPES},
    {"F8_E4M3", 8, GR_DTYPES}, {"F8_E8M0", 8, GR_DTYPES}, {"F6_E2M3", 6, GR_DTYPES},
    {"F6_E3M2", 6, GR_DTYPES}, {"F4", 4, GR_DTYPES},
};

const gr__type *gr__type_find(const char *name)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (!strcmp(types[i].name, name)) return &types[i];
    return NULL;
}

const gr__type *gr__type_of(gr_dtype dtype)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].dtype == dtype && dtype != GR_DTYPES) return &types[i];
    return NULL;
}

bool gr__type_bytes(const gr__type *type, const gr_shape *shape, size_t *bytes)
{
    int64_t bits;
    if (!gr__shape_valid(shape)) return false;
    if (__builtin_mul_overflow(gr_shape_numel(shape), (int64_t)type->bits, &bits)) return false;
    *bytes = (size_t)bits / 8;
    return bits % 8 == 0;
}

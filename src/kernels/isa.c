/* isa.c - which instruction set's kernels run. */
/* SPDX-License-Identifier: MIT */
#include "kernels.h"

#include <stdlib.h>
#include <string.h>

static const gr__isa *chosen; /* atomic; NULL until first asked for */

static const gr__isa *find(const char *name)
{
    for (int i = 0; i < gr__isa_count; i++)
        if (strcmp(gr__isas[i].name, name) == 0 && gr__isas[i].present()) return &gr__isas[i];
    return NULL;
}

static const gr__isa *best(void)
{
    int i = 0;
    while (i < gr__isa_count - 1 && !gr__isas[i].present()) i++;
    return &gr__isas[i];
}

/* Two threads may both choose: they choose the same. */
static const gr__isa *current(void)
{
    const gr__isa *isa = __atomic_load_n(&chosen, __ATOMIC_ACQUIRE);
    if (isa) return isa;
    const char *wish = getenv("GRADUS_ISA");
    if (wish) isa = find(wish);
    if (!isa) isa = best();
    __atomic_store_n(&chosen, isa, __ATOMIC_RELEASE);
    return isa;
}

const gr__kernels *gr__kernels_for(gr_dtype dtype)
{
    const gr__isa *isa = current();
    return dtype == GR_F64 ? isa->f64 : isa->f32;
}

const gr__bf16_kernels *gr__bf16(void)
{
    const gr__isa *isa = current();
    return isa->bf16 && isa->bf16->tile && isa->has_bf16() ? isa->bf16 : NULL;
}

const gr__winograd_kernels *gr__fixed(void)
{
    const gr__isa *isa = current();
    return isa->fixed && *isa->fixed && isa->has_fixed() ? *isa->fixed : NULL;
}

const char *gr__isa_name(void)
{
    return current()->name;
}

bool gr__kernels_force(const char *name)
{
    const gr__isa *isa = name ? find(name) : NULL;
    if (name && !isa) return false;
    __atomic_store_n(&chosen, isa, __ATOMIC_RELEASE);
    return true;
}

/* options.c - the bounds of an optimizer's options. */
/* SPDX-License-Identifier: MIT */
#include "optimizer.h"

#include <math.h>

/* From `low` to `high`; which of the two may be taken. Infinity never may. */
static const struct kind {
    const char *before, *after; /* the option's name, in the message */
    double low, high;
    bool low_too;
} kinds[] = {
    [GR__NOT_NEGATIVE] = {"", " >= 0", 0, INFINITY, true},
    [GR__POSITIVE] = {"", " > 0", 0, INFINITY, false},
    [GR__BELOW_ONE] = {"0 <= ", " < 1", 0, 1, true},
    [GR__FRACTION] = {"0 < ", " < 1", 0, 1, false},
};

gr_optimizer *gr__out_of_bounds(const char *name, const gr__bound *bounds, int n)
{
    for (int i = 0; i < n; i++) {
        const gr__bound *b = &bounds[i];
        const struct kind *k = &kinds[b->kind];
        if (b->value < k->high && (b->value > k->low || (k->low_too && b->value == k->low)))
            continue;
        return gr__optimizer_inert(GR_ERR_ARGUMENT, "%s: expected %s%s%s, got %g", name, k->before,
                                   b->name, k->after, b->value);
    }
    return NULL;
}

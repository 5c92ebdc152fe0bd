/* branch.c - the side of each kink, for the gradient check. */
/* SPDX-License-Identifier: MIT */
#include "tape.h"

/* Adds one predicate to the signature: `side` says which way it fell, `gap` how far the input is
 * from where it would fall the other way. */
void gr_branch_add(gr_branch *b, uint64_t side, double gap)
{
    if (gr__need("gr_branch_add", b, "branch")) return;
    b->hash = gr__hash_join(b->hash, side);
    if (gap < b->gap) b->gap = gap;
}

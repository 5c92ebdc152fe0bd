/* precision.c - to what the operands of products are rounded. */
/* SPDX-License-Identifier: MIT */
#include "bf16.h"
#include "tape.h"

/* GR_PRECISION_BFLOAT16: large products and convolutions of float32 tensors, in forward and
 * backward, round their operands to bfloat16 (8 bits of mantissa), or to what is more exact where
 * that is as fast (integers of 16 bits), and add up in float32.
 * Parameters, gradients, all other ops and float64 stay as they are. Where gr_has_bfloat16() is
 * false nothing changes. To be called before anything is recorded, so that all of a tape is of one
 * precision; else the graph is in error. */
void gr_graph_set_precision(gr_graph *g, gr_precision p)
{
    if (gr__lacks_graph(g, "gr_graph_set_precision") || p == (gr_precision)g->precision) return;
    if (p != GR_PRECISION_FLOAT32 && p != GR_PRECISION_BFLOAT16)
        gr__fail_at(g, GR_ERR_ARGUMENT, GR_HERE, "gr_graph_set_precision: no precision %d", (int)p);
    else if (g->last)
        gr__fail_at(g, GR_ERR_STATE, GR_HERE,
                    "gr_graph_set_precision: called after something was recorded; set it behind "
                    "gr_graph_new or gr_graph_reset");
    else g->precision = (uint8_t)p;
}

/* What products are computed in: what was set, unless the processor lacks it; float32 of NULL. */
gr_precision gr_graph_precision(const gr_graph *g)
{
    bool rounds = !gr__is_inert(g) && g->precision == GR_PRECISION_BFLOAT16 && gr_has_bfloat16();
    return rounds ? GR_PRECISION_BFLOAT16 : GR_PRECISION_FLOAT32;
}

/* True where the processor has AVX512-BF16 and GRADUS_ISA allows it. */
bool gr_has_bfloat16(void)
{
    return gr__bf16() != NULL;
}

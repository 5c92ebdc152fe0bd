/* evaluate.h - evaluation on a graph that is there already. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__EVALUATE_H
#define GR__EVALUATE_H

#include "pass.h"
#include <gradus/train.h>

/* gr_evaluate without its checks; errors stay in g. */
gr_status gr__evaluate_on(gr_graph *g, gr_module *net, const gr_dataset *d, const void *site,
                          gr_evaluation *e, int64_t *confusion);

#endif

/* evaluate.h - evaluation on a graph that is there already. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__EVALUATE_H
#define GR__EVALUATE_H

#include "pass.h"

/* gr_evaluate without its checks; errors stay in g. confusion may be NULL. */
gr_status gr__evaluate_on(gr_graph *g, gr_module *net, const gr_dataset *d, gr_loader *loader,
                          const void *site, const gr__measures *m, gr_evaluation *e,
                          int64_t *confusion);

/* The mean of metric i, as it is reported. */
double gr__finish_metric(const gr__measures *m, int i, double mean);

#endif

/* bare.h - what one writes without a library: the floor where neither products nor bytes count. */
/* SPDX-License-Identifier: MIT */
#ifndef BENCH_BARE_H
#define BENCH_BARE_H

double
bare_chain(void);       /* one step of the workload chain; gives its result, so that it is needed */
double bare_tiny(void); /* one step of tiny */

#endif

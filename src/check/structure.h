/* structure.h - stage S0: what needs no numerical derivative. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__STRUCTURE_H
#define GR__STRUCTURE_H

#include "recorded.h"

/* S0 a to d, with every kernel watched (e). False: the report says what failed. */
bool gr__check_structure(gr__recorded *r, uint64_t seed, gr_check_report *report);

#endif

/* attributes.h - an op's attributes as text. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__ATTRIBUTES_H
#define GR__ATTRIBUTES_H

#include "base.h"
#include <gradus/op.h>

/* Adds "stride 2,2  padding 1,1", leaving out what is zero and seeds; nothing for an op
 * without fields. */
void gr__attributes_add(gr__text *t, const gr_op *op, const void *attrs);

#endif

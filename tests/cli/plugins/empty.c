/* empty.c - its list has no functions. */
/* SPDX-License-Identifier: MIT */
#include <gradus/plugin.h>

const gr_abi gradus_abi = GR_ABI;
const gr_op *const gradus_ops[] = {NULL};

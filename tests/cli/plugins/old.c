/* old.c - compiled against a version that never was. */
/* SPDX-License-Identifier: MIT */
#include <gradus/plugin.h>

const gr_abi gradus_abi = {99, 1, 1};
const gr_op *const gradus_ops[] = {NULL};

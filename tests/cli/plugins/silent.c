/* silent.c - does not say what it was compiled against. */
/* SPDX-License-Identifier: MIT */
#include <gradus/plugin.h>

const gr_op *const gradus_ops[] = {NULL};

/* start.c - crashes while it is loaded. */
/* SPDX-License-Identifier: MIT */
#include <gradus/plugin.h>

__attribute__((constructor)) static void start(void)
{
    volatile int *volatile nowhere = (volatile int *)16; /* UBSan leaves it to the system */
    *nowhere = 1;
}

const gr_abi gradus_abi = GR_ABI;
const gr_op *const gradus_ops[] = {NULL};

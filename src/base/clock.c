/* clock.c - time that only goes forwards. */
/* SPDX-License-Identifier: MIT */
#include "base.h"

#include <time.h>

int64_t gr__nanoseconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

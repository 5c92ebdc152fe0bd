/* error.c - this thread's last error. */
/* SPDX-License-Identifier: MIT */
#include "base.h"

#include <stdio.h>

static _Thread_local char last_error[1024];

gr_status gr__fail(gr_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    /* Formatted aside, so that the old message may be an argument of the new one. */
    char text[sizeof last_error];
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    snprintf(last_error, sizeof last_error, "%s", text);
    return status;
}

gr_status gr__fail_memory(size_t bytes)
{
    return gr__fail(GR_ERR_MEMORY, "out of memory: %zu bytes could not be allocated", bytes);
}

gr_status gr__fail_null(const char *who, const char *what)
{
    return gr__fail(GR_ERR_ARGUMENT, "%s: the %s is NULL%s%s", who, what,
                    *last_error ? "; before: " : "", last_error);
}

const char *gr_last_error(void)
{
    return last_error;
}

void gr_clear_error(void)
{
    last_error[0] = 0;
}

const char *gr_version(void)
{
    return GRADUS_VERSION;
}

/* site_symbol.c - places in the user's program, without debug information: symbol and offset. */
/* SPDX-License-Identifier: MIT */
#include "base.h"
#include "site.h"

const char *gr__site_text(const void *address, char *text, size_t size)
{
    return gr__site_symbol(address, text, size);
}

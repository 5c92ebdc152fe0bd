/* site.h - the last resort of gr__site_text. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__SITE_H
#define GR__SITE_H

#include <stddef.h>

/* "symbol+0x1f" or "program+0x1f" from the dynamic loader; "?" for NULL. */
const char *gr__site_symbol(const void *address, char *text, size_t size);

#endif

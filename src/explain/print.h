/* print.h - what the printers of tensors and of tapes share. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__PRINT_H
#define GR__PRINT_H

#include "text.h"
#include <gradus/explain.h>

/* Prints the text and a newline, and releases it. Returns `status`, unless that fails. */
gr_status gr__print_text(FILE *out, gr__text *t, const char *name, gr_status status);

#endif

/* text.h - small helpers that every text format here needs. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__TEXT_H
#define GR__TEXT_H

#include "base.h"

/* --- UTF-8 (RFC 3629: no surrogates, no overlong forms, at most U+10FFFF) --- */

/* Bytes of the sequence at `text`, which has n > 0 bytes; 0 when it is not valid. */
size_t gr__utf8_step(const char *text, size_t n);
bool gr__utf8_valid(const char *text, size_t n);
size_t gr__utf8_length(const char *text, size_t n); /* characters; an invalid byte counts as one */
size_t gr__utf8_encode(uint32_t code, char out[4]); /* bytes written; code is a valid character */

/* --- numbers, with a point whatever the locale says --- */

#define GR__NUMBER_TEXT 48

/* Shortest decimal that reads back as x; "nan", "inf", "-inf". Gives text. */
const char *gr__number_text(double x, char text[GR__NUMBER_TEXT]);
/* The decimal number of n < GR__NUMBER_MAX bytes at `text`, already known to be well formed. */
#define GR__NUMBER_MAX 320
double gr__number_parse(const char *text, size_t n);
void gr__text_fixed(gr__text *t, double x, int decimals); /* 1.50; x finite */

/* --- files --- */

/* Saves complete text; fails with GR_ERR_MEMORY when an append had failed. */
gr_status gr__text_save(const gr__text *t, const char *path);

#endif

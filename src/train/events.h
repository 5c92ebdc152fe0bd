/* events.h - the event files that TensorBoard reads. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__EVENTS_H
#define GR__EVENTS_H

#include "base.h"

/* An event file is a row of records, each framed by its length and checksums (TFRecord); a record is
 * an Event in the encoding of protocol buffers. Each function appends one whole record. */
void gr__event_version(gr__text *out, double time); /* the first one of a file */
void gr__event_scalar(gr__text *out, double time, int64_t step, const char *tag, double value);
void gr__event_histogram(gr__text *out, double time, int64_t step, const char *tag, gr_dtype dtype,
                         const void *values, int64_t n); /* float32 or float64 */

uint32_t gr__crc32c(const void *bytes, size_t n); /* Castagnoli's polynomial */

#endif

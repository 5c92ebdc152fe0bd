/* evidence.h - a gradient that failed, element by element: which are wrong, and what that means. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__EVIDENCE_H
#define GR__EVIDENCE_H

#include "numeric.h"

enum { GR__SAMPLES = 256 }; /* inputs of so many elements are measured in full */

typedef struct gr__element {
    int64_t at;  /* in the part, row-major */
    double g, n; /* analytic, numeric */
    double off;  /* how far n may be from the truth */
} gr__element;

typedef struct gr__evidence {
    gr__probe *probe;  /* its v is the cotangent; u is ours */
    const double *all; /* vjp(v) */
    gr__part part;     /* what failed; its shape is that of its n elements */
    const double *g;   /* all + part.first */
    double ratio;      /* analytic / numeric where all rounds agree on it, else NaN */
    bool second;       /* derivatives of derivatives */

    gr__element e[GR__SAMPLES];
    int count;     /* of e; 0: nothing could be measured */
    bool whole;    /* e holds every element of the part, */
    bool few;      /* or every wrong one and nothing else */
    int64_t wrong; /* elements that are wrong, -1: unknown */
    bool estimated;
} gr__evidence;

/* --- locate.c --- */

/* Fills e. False: the function failed. */
bool gr__gather_evidence(gr__evidence *e, uint64_t seed);
bool gr__is_wrong(const gr__element *e);
void gr__index_of(const gr_shape *shape, int64_t at, int64_t index[GR_MAX_RANK]);
char *gr__index_text(const gr_shape *shape, int64_t at, char *text, size_t size); /* "[3,17]" */

/* --- diagnose.c --- */

/* Sets the report's diagnosis and explanation, if the evidence tells, and ends the message with
 * the latter. */
void gr__diagnose(const gr__evidence *e, gr_check_report *report);
/* The first diagnosis stays. */
void gr__report_diagnosis(gr_check_report *report, const char *word, const char *format, ...)
    GR_PRINTF(3, 4);

#endif

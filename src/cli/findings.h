/* findings.h - what a run of checks found, as a table, as JSON lines or as TAP. */
/* SPDX-License-Identifier: MIT */
#ifndef FINDINGS_H
#define FINDINGS_H

#include "table.h"

#include <gradus/check.h>

typedef enum format { AS_TABLE, AS_JSON, AS_TAP } format;

typedef struct findings {
    format as;
    const char *what, *plural;      /* "op", "ops" */
    int count[GR_INCONCLUSIVE + 1]; /* by verdict */
    double worst;
    gr__table table;
    gr__text failures; /* whole reports; of TAP all lines */
} findings;

void findings_begin(findings *f, format as, const char *what, const char *plural);
void findings_add(findings *f, const char *name, const gr_check_report *r);
int findings_finish(findings *f); /* prints, releases, gives the exit status */
void findings_release(findings *f);

#endif

/* tally.h - the kill table: per op, per class. */
/* SPDX-License-Identifier: MIT */
#ifndef TALLY_H
#define TALLY_H

#include "mutant.h"

typedef struct tally {
    int mutants;     /* alive for at least one seed */
    int runs;        /* checks in which they were alive, */
    int killed;      /* of which FAIL */
    int expected;    /* FAILs of classes with an expected diagnosis, */
    int diagnosed;   /* of which with it */
    int unchanged;   /* checks in which the damage changed no gradient */
    int by_stage[4]; /* FAILs in S0, S1, S3, others */
} tally;

void tally_add(tally *t, const mutation *m, const outcome *o);
void tally_sum(tally *whole, const tally *part);
void tally_head(const char *what);
void tally_print(const char *name, const tally *t);

#endif

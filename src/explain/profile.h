/* profile.h - what a profile has counted, as its reports read it. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__PROFILE_H
#define GR__PROFILE_H

#include "base.h"
#include <gradus/profile.h>

/* Rows by name and direction; index is a table of places in rows, by hash. */
typedef struct gr__tally {
    gr_profile_row *rows;
    int *index; /* -1: free */
    int n, cap, cap_index;
} gr__tally;

/* A node that was computed. */
typedef struct gr__event {
    int64_t begun, ended, peak, node;
    gr_shape shape; /* of its first output */
    int op, scope;  /* rows */
} gr__event;

struct gr_profile {
    gr__tally ops, scopes;
    gr__arena names;
    gr__event *events;
    int64_t n_events, cap_events, most_events;
    int64_t begun, ended; /* of the first node, of the last */
    gr_profile_row total;
    bool failed; /* memory was out: something was not counted */
};

/* What lies in scopes inside a scope, too. */
gr_profile_row gr__profile_inclusive(const gr_profile *p, const gr_profile_row *scope);

#endif

/* profile.h - where time and memory go: per op and per scope; and where gradients vanish. */
/* SPDX-License-Identifier: MIT */
#ifndef GRADUS_PROFILE_H
#define GRADUS_PROFILE_H

#include <gradus/op.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Counts what graphs compute. Free it after the graphs, or detach it from them first. */
typedef struct gr_profile gr_profile;

typedef struct gr_profile_options {
    int64_t events; /* so many nodes, from the first on, are kept for the trace (65536); negative: none */
} gr_profile_options;

typedef struct gr_profile_row {
    const char *name; /* of the op, or the path of the scope */
    bool backward;    /* recorded by backward rules */
    int64_t calls;
    double seconds;
    int64_t read, written; /* bytes */
    double flops;          /* floating-point operations, of ops that tell */
    int64_t peak;          /* bytes of large values that a graph held meanwhile, at most */
} gr_profile_row;

GR_API gr_profile *gr_profile_new(gr_profile_options o);
GR_API void gr_profile_free(gr_profile *p);
GR_API void gr_profile_reset(gr_profile *p);                  /* forgets what was counted */
GR_API void gr_graph_profile(gr_graph *g, gr_profile *p);     /* p counts what g computes; NULL: nobody does */
GR_API const gr_profile_row *gr_profile_ops(const gr_profile *p, int *n); /* in the order of their first call */
GR_API const gr_profile_row *gr_profile_scopes(const gr_profile *p, int *n); /* without what is in scopes inside */
GR_API gr_profile_row gr_profile_total(const gr_profile *p);
GR_API double gr_profile_seconds(const gr_profile *p);        /* from the first node to the last */
GR_API size_t gr_profile_text(const gr_profile *p, char *text, size_t size); /* tables; as snprintf */
GR_API gr_status gr_profile_write(const gr_profile *p, const char *path); /* JSON, and a trace for chrome://tracing */

#ifdef __cplusplus
}
#endif
#endif

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

/* --- where gradients vanish or explode --- */

typedef enum gr_flow_by {
    GR_FLOW_NODES,  /* every value between the inputs and the loss */
    GR_FLOW_SCOPES, /* the last value of each scope: what a layer gives */
    GR_FLOW_PARAMS
} gr_flow_by;

typedef enum gr_flow_state {
    GR_FLOW_FINE,
    GR_FLOW_VANISHING,
    GR_FLOW_EXPLODING,
    GR_FLOW_NONE,     /* the gradient is exactly 0, or the loss does not depend on it */
    GR_FLOW_NOT_FINITE /* NaN or Inf, in the value or the gradient */
} gr_flow_state;

typedef struct gr_flow_options {
    gr_flow_by by;
    double vanishing, exploding; /* gradients smaller (1e-4) or larger (1e4) than the last row's by these factors */
} gr_flow_options;

typedef struct gr_flow_row {
    char name[128]; /* "encoder/attn/softmax": scope and op, or parameter; or the scope alone */
    int64_t node, numel;
    double value, gradient; /* Euclidean norms; the gradient's is of d loss / d value */
    double zeros;           /* share of the value's elements that are 0 */
    double relative;        /* gradient over that of the last row of more than one element */
    gr_flow_state state;
} gr_flow_row;

typedef struct gr_flow {
    gr_flow_row *rows; /* in recording order */
    int n;
    int count[GR_FLOW_NOT_FINITE + 1]; /* rows by state */
} gr_flow;

GR_API gr_status gr_flow_measure(gr_tensor *loss, gr_flow_options o, gr_flow *f); /* before gr_backward */
GR_API void gr_flow_release(gr_flow *f);
GR_API const char *gr_flow_state_name(gr_flow_state state);                      /* "vanishing" */
GR_API size_t gr_flow_text(const gr_flow *f, char *text, size_t size);           /* a table; as snprintf */
GR_API gr_status gr_flow_plot(const gr_flow *f, const char *title, const char *path); /* bars, as SVG */

#ifdef __cplusplus
}
#endif
#endif

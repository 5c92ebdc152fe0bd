/* explain.h - pictures of a tape, the list of ops. */
/* SPDX-License-Identifier: MIT */
#ifndef GRADUS_EXPLAIN_H
#define GRADUS_EXPLAIN_H

#include <gradus/nn.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What to call a tensor in a picture: "loss", "d loss / d fc1.weight". */
typedef struct gr_label {
    const gr_tensor *tensor;
    const char *text;
} gr_label;

typedef struct gr_dot_options {
    const char *title;      /* NULL: "tape" */
    gr_model *model;        /* parameters get their full names, "fc1.weight"; NULL: their own, "weight" */
    const gr_label *labels; /* of what the user holds: results of gr_grad, a loss */
    int n_labels;
} gr_dot_options;

/* The tape as Graphviz DOT: ops with shapes, parameters by name, backward nodes set apart. */
GR_API gr_status gr_write_dot(const gr_graph *g, const char *path, gr_dot_options o);

/* {"ops":[{"name":"tanh", ...}]}: every op, or this one; as snprintf. */
GR_API size_t gr_ops_json(const gr_op *op, char *text, size_t size);
/* gr_apply_json(g, "conv2d", (gr_tensor *[]){x, w}, 2, "{\"stride\":[2,2]}") */
GR_API gr_tensor *gr_apply_json(gr_graph *g, const char *name, gr_tensor *const *in, int n, const char *json);

#ifdef __cplusplus
}
#endif
#endif

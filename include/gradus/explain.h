/* explain.h - a tape in a terminal and as a picture, the list of ops. */
/* SPDX-License-Identifier: MIT */
#ifndef GRADUS_EXPLAIN_H
#define GRADUS_EXPLAIN_H

#include <gradus/nn.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- in a terminal --- */

typedef struct gr_print_options {
    int precision; /* digits behind the point, at most; 0 counts as 8 */
    int threshold; /* more elements than so many are summarised; 0: 1000 */
    int edge;      /* what is shown of each end of an axis then; 0: 3 */
} gr_print_options;

GR_API gr_status gr_print(FILE *out, gr_tensor *x); /* dtype, shape and values, as NumPy writes them */
GR_API gr_status gr_print_with(FILE *out, gr_tensor *x, gr_print_options o);
GR_API size_t gr_tensor_text(gr_tensor *x, char *text, size_t size); /* as snprintf */
GR_API gr_status gr_print_node(FILE *out, const gr_node *node);      /* op, attributes, inputs, outputs, scope, place */
GR_API gr_status gr_print_tape(FILE *out, gr_graph *g);              /* a line per node */

/* --- as a picture --- */

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

/* --- the list of ops --- */

/* {"ops":[{"name":"tanh", ...}]}: every op, or this one; as snprintf. */
GR_API size_t gr_ops_json(const gr_op *op, char *text, size_t size);
/* gr_apply_json(g, "conv2d", (gr_tensor *[]){x, w}, 2, "{\"stride\":[2,2]}") */
GR_API gr_tensor *gr_apply_json(gr_graph *g, const char *name, gr_tensor *const *in, int n, const char *json);

#ifdef __cplusplus
}
#endif
#endif

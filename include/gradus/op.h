/* op.h - the op descriptor: all there is to know of an op, the library's and yours alike. */
/* SPDX-License-Identifier: MIT */
#ifndef GRADUS_OP_H
#define GRADUS_OP_H

#include <gradus/graph.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GR_MAX_OUTPUTS 4
#define GR_MAX_TILE_INPUTS 6

typedef struct gr_op gr_op;

/* --- what a shape rule sees --- */

typedef struct gr_infer {
    const gr_op *op;
    const void *attrs;
    gr_tensor *const *in;
    int n_in;
    gr_shape shape[GR_MAX_OUTPUTS]; /* to be set; starts as the shape of in[0] */
    gr_dtype dtype[GR_MAX_OUTPUTS]; /* to be set; starts as the dtype of in[0] */
    char *message;                  /* written by gr_infer_fail */
} gr_infer;

/* Returns false, with the text behind "name: "; %s of a shape: gr_infer_shape. */
GR_API bool gr_infer_fail(gr_infer *c, const char *format, ...) GR_PRINTF(2, 3);
GR_API bool gr_infer_same_dtype(gr_infer *c, int i, int j); /* of inputs i and j; else gr_infer_fail says how they differ */
GR_API const char *gr_infer_shape(gr_infer *c, int input); /* "[2,3]", valid until the next 8 calls */

/* --- what a kernel sees --- */

/* An array: element (i, j, ...) is data[i * strides[0] + j * strides[1] + ...]. */
typedef struct gr_value {
    gr_dtype dtype;
    const gr_shape *shape;
    const int64_t *strides; /* in elements */
    void *data;
} gr_value;

/* Inputs are row-major unless the op says GR_OP_STRIDED; outputs are row-major and uninitialised. */
typedef struct gr_exec {
    const gr_op *op;
    const void *attrs;
    const gr_value *in;
    gr_value *out;
    int n_in, n_out;
    void *internal;
} gr_exec;

GR_API void *gr_exec_scratch(gr_exec *e, size_t bytes); /* freed after the call; NULL when memory is out */
GR_API gr_status gr_exec_fail(gr_exec *e, const char *format, ...) GR_PRINTF(2, 3);

/* n elements of an element-wise op, contiguous; `first` is the index of the first in the whole. */
typedef struct gr_tile {
    int64_t n, first;
    const void *const *x;
    void *y;
    const void *attrs;
} gr_tile;

/* --- what a backward rule sees --- */

/* Given dy (NULL where an output has no cotangent), set dx[i] for each wanted input: a tensor of
 * the shape of x[i], made with ops. Left NULL it counts as zero. A rule whose contribution is
 * sparse may instead replace sum[i], what others contributed so far (NULL at first). */
typedef struct gr_pullback {
    gr_graph *graph;
    const void *attrs;
    gr_tensor *const *x, *const *y, *const *dy;
    gr_tensor **dx, **sum;
    const bool *wants;
    int n_in, n_out;
} gr_pullback;

/* --- kinks --- */

/* The side of each kink, and how far the nearest tie is in units of the input. */
typedef struct gr_branch {
    uint64_t hash;
    double gap;
} gr_branch;

GR_API void gr_branch_add(gr_branch *b, uint64_t side, double gap);

/* --- attributes by name --- */

typedef enum gr_field_type {
    GR_FIELD_BOOL, /* bool */
    GR_FIELD_INT,  /* int */
    GR_FIELD_I64,  /* int64_t */
    GR_FIELD_F64,  /* double */
    GR_FIELD_AXES, /* gr_axes */
    GR_FIELD_SHAPE,/* gr_shape */
    GR_FIELD_DTYPE,/* gr_dtype */
    GR_FIELD_ENUM, /* an enum, stored as int, counted from 0 in the order of `names` */
    GR_FIELD_TEXT  /* char[count], ends with a 0 */
} gr_field_type;

typedef struct gr_field {
    const char *name;
    gr_field_type type;
    size_t offset;
    int count;                /* elements of an array; 0 counts as 1 */
    const char *const *names; /* of the values of an enum; ends with NULL */
} gr_field;

GR_API const char *gr_field_type_name(gr_field_type type); /* "float64" */
GR_API const char *gr_field_text(const gr_field *f, char *text, size_t size); /* "2 of int" */

#define GR_FIELD(type, member, kind) {#member, kind, offsetof(type, member), 0, NULL}
#define GR_FIELD_ARRAY(type, member, kind, n) {#member, kind, offsetof(type, member), n, NULL}
#define GR_FIELD_NAMED(type, member, names) {#member, GR_FIELD_ENUM, offsetof(type, member), 0, names}

typedef struct gr_axes {
    int n; /* 0: all axes */
    int axis[GR_MAX_RANK];
} gr_axes;

/* --- samples: what the gradient check feeds an op --- */

#define GR_SAMPLE_INPUTS 8

typedef struct gr_sample_input {
    gr_shape shape;
    bool integer;     /* int64 drawn from [low, high), a constant to the check */
    bool boolean;     /* bool, a constant to the check */
    double low, high; /* floats drawn from (low, high); both 0: (-1, 1) */
    const int64_t *values; /* of an integer input, instead of drawn ones */
} gr_sample_input;

typedef struct gr_sample gr_sample;
struct gr_sample {
    const char *name;
    gr_sample_input in[GR_SAMPLE_INPUTS];
    int n_in;
    const void *attrs;
    const char *error; /* not NULL: recording or evaluation must fail with a message that contains this */
    /* What is checked instead of the outputs of op(x...): for inputs that need making (symmetric,
     * positive definite) and outputs known up to signs or order. Applies `op` with gr_apply, sets
     * y[0..] and returns how many, at most GR_MAX_OUTPUTS. */
    int (*record)(const gr_op *op, const gr_sample *s, gr_tensor *const *x, gr_tensor **y);
};

/* --- the descriptor --- */

enum {
    GR_OP_STRIDED = 1,  /* the kernel takes inputs of any strides */
    GR_OP_INPLACE = 2,  /* out[0] already holds in[0]; the kernel changes it */
    GR_OP_CONSTANT = 4, /* the derivative is zero wherever it exists: no gradient flows */
    GR_OP_RANDOM = 8,   /* depends on a seed among its attributes */
    GR_OP_LINEAR = 16,  /* linear in its inputs taken together: the second derivative is zero */
    GR_OP_CHEAP = 32,   /* not element-wise, yet cheaper to recompute than to store */
    GR_OP_ROWS = 64     /* out[0], [rows,columns], sums the rows in[0] at the places in[1]; the rest is 0 */
};

#define GR_READS_IN(i) (1u << (i))
#define GR_READS_OUT(i) (1u << (16 + (i)))

struct gr_op {
    const char *name;
    const char *family;
    const char *formula;    /* "y = tanh(x)" */
    const char *derivation; /* "dy/dx = 1 - y^2, so dx = dy (1 - y^2)" */
    const char *ties;       /* the derivative chosen at a kink; NULL for a smooth op */
    int n_in, n_out;        /* n_in -1: any number, at least one; n_out 0 counts as 1 */
    int optional;           /* so many of the last inputs may be left out */
    unsigned flags;
    unsigned reads;         /* what the VJP reads, of GR_READS_IN(i) | GR_READS_OUT(o) */

    size_t attrs_size;
    const gr_field *fields; /* ends with a NULL name; NULL without attributes */

    /* Shape rule. NULL: one output like in[0], all inputs of one shape and dtype. */
    bool (*infer)(gr_infer *c);

    /* Exactly one way to compute, chosen by the dtype of the first floating input (else of in[0]).
     * Where only float64 is given, float32 goes by conversion. */
    void (*tile[GR_DTYPES])(const gr_tile *t);          /* element-wise, on contiguous pieces */
    gr_status (*forward[GR_DTYPES])(gr_exec *e);        /* anything else */
    bool (*view)(const gr_exec *e, int64_t *strides, int64_t *offset); /* shares in[0]'s storage; false: needs it row-major */
    gr_tensor *(*define)(gr_tensor *const *x, int n, const void *attrs); /* recorded from other ops */

    /* Of an op whose out[0] sums in[0] over some axes: these, bit i for axis i. What makes in[0] may
     * then hand its terms over while they are in the cache, instead of `forward`: the same bits. */
    unsigned (*sums)(const void *attrs, int rank);

    /* Backward: as graph ops (differentiable again), or in C over raw buffers, with
     * in = x..., y..., dy... and out = dx... */
    void (*vjp)(gr_pullback *p);
    gr_status (*backward[GR_DTYPES])(gr_exec *e);

    void (*branch)(const gr_exec *e, gr_branch *b); /* for non-smooth ops; in and out row-major */
    double (*flops)(const gr_exec *e); /* operations of one call, by its shapes: there are no data.
                                        * NULL: one per element of an element-wise op, else unknown */
    const gr_sample *samples;                       /* ends with a NULL name */
};

/* --- applying --- */

/* Records op(in...), checks and infers at once; returns output 0. g may be NULL where an input
 * has a graph; attrs is copied. */
GR_API gr_tensor *gr_apply(gr_graph *g, const gr_op *op, gr_tensor *const *in, int n, const void *attrs);
GR_API gr_tensor *gr_output(gr_tensor *t, int index); /* another output of the node that made t */
GR_API gr_tensor *gr_fail(gr_graph *g, const char *format, ...) GR_PRINTF(2, 3); /* sets the sticky error, returns the inert tensor */
GR_API uint64_t gr_next_seed(gr_graph *g);            /* for a random op: a new stream of the graph's seed */

GR_API const gr_op *gr_op_find(const char *name);     /* NULL when there is none */
GR_API int gr_op_count(void);
GR_API const gr_op *gr_op_at(int index);              /* every op of the library, family by family */
GR_API bool gr_op_differentiable(const gr_op *op);    /* whether a gradient can flow through it */

/* The attributes of an op, set by name: for bindings and tools, which have no C structs. */
typedef struct gr_attrs gr_attrs;

GR_API gr_attrs *gr_attrs_new(const gr_op *op); /* all zero */
GR_API void gr_attrs_free(gr_attrs *a);
GR_API gr_status gr_attrs_set_ints(gr_attrs *a, const char *name, const int64_t *values, int n); /* bool, int, int64, axes, shape */
GR_API gr_status gr_attrs_set_numbers(gr_attrs *a, const char *name, const double *values, int n);
GR_API gr_status gr_attrs_set_text(gr_attrs *a, const char *name, const char *text); /* text, enum, dtype */
GR_API const char *gr_attrs_error(const gr_attrs *a); /* NULL, or what could not be set first */
GR_API gr_tensor *gr_apply_attrs(gr_graph *g, const gr_op *op, gr_tensor *const *in, int n, const gr_attrs *a);

/* --- looking at a tape --- */

typedef struct gr_node gr_node;

GR_API const gr_node *gr_node_first(const gr_graph *g); /* the oldest; NULL: an empty tape */
GR_API const gr_node *gr_node_next(const gr_node *node); /* in the order of recording; NULL after the newest */
GR_API const gr_node *gr_node_of(const gr_tensor *t); /* that made t; NULL for NULL, inert and stale tensors */
GR_API int64_t gr_node_id(const gr_node *node); /* 0, 1, 2, ... in recording order; -1 of NULL */
GR_API const gr_op *gr_node_op(const gr_node *node);
GR_API const void *gr_node_attrs(const gr_node *node); /* of the op's attributes type; NULL where it has none */
GR_API int gr_node_inputs(const gr_node *node); /* how many */
GR_API int gr_node_outputs(const gr_node *node); /* how many */
GR_API gr_tensor *gr_node_input(const gr_node *node, int i); /* the inert tensor when there is no i-th */
GR_API gr_tensor *gr_node_output(const gr_node *node, int i); /* likewise */
GR_API gr_param *gr_node_param(const gr_node *node);    /* of a leaf made by gr_use, else NULL */
GR_API bool gr_node_is_backward(const gr_node *node);   /* recorded by a VJP */
enum {
    GR_NODE_BACKWARD = 1,  /* recorded by a backward rule */
    GR_NODE_NO_GRAD = 2,   /* recorded in a no-grad scope */
    GR_NODE_GRADIENT = 4,  /* a trainable parameter feeds it */
    GR_NODE_COMPUTED = 8,  /* its output 0 has its value now */
    GR_NODE_KEPT = 16,     /* which stays until reset */
    GR_NODE_SAVED = 32     /* which stays until backward */
};
GR_API unsigned gr_node_flags(const gr_node *node);
GR_API const char *gr_node_site(const gr_node *node, char *text, size_t size); /* "model.c:42" or "symbol+0x1f" */
GR_API const char *gr_node_scope(const gr_node *node, char *text, size_t size); /* "encoder/attn"; "" outside of any */

/* Called after each node is evaluated, with row-major views of what it read and made. */
typedef void gr_observer(void *user, const gr_node *node, const gr_exec *e);
GR_API void gr_graph_observe(gr_graph *g, gr_observer *observer, void *user); /* NULL: none */

/* What computing a node took. */
typedef struct gr_run {
    int64_t begun, ended;  /* nanoseconds of the monotonic clock */
    int64_t read, written; /* bytes of its inputs and outputs; 0 for a view */
    int64_t peak;          /* bytes of large values that the graph held meanwhile, at most */
} gr_run;

typedef void gr_tracer(void *user, const gr_node *node, const gr_run *run);
GR_API void gr_graph_trace(gr_graph *g, gr_tracer *tracer, void *user); /* after each node is computed; NULL: none */
GR_API double gr_node_flops(const gr_node *node); /* floating-point operations; NaN: not known */

#ifdef __cplusplus
}
#endif
#endif

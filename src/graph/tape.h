/* tape.h - graph, node and tensor: the one data structure that everything works on.
 *
 * Recording appends nodes; the order of the tape is a topological order, so that evaluation is one
 * loop forwards and differentiation one loop backwards over it. A tensor whose data is NULL is
 * pending: it can be computed at any time from its node, because ops are pure.
 */
/* SPDX-License-Identifier: MIT */
#ifndef GR__TAPE_H
#define GR__TAPE_H

#include "base.h"
#include <gradus/op.h>

enum { GR__SCOPE_TEXT = 160 };

/* Values of at most so many bytes are computed when recorded, if their inputs are there. */
enum { GR__SMALL = 4096 };

/* --- parameters --- */

/* What every tensor's shape lies in: shared by all tensors alike. */
typedef struct gr__layout {
    gr_shape shape;
    int64_t strides[GR_MAX_RANK]; /* row-major */
} gr__layout;

struct gr_param {
    char *name;
    union {
        gr_shape shape;
        gr__layout layout;
    };
    int64_t numel;
    gr_dtype dtype;
    void *data;
    void *grad;    /* allocated at the first backward, then kept */
    bool has_grad; /* whether grad holds a sum; else its content means nothing */
    bool frozen;
    bool by_rows; /* grad is 0 but in rows[0 .. n_rows), also while has_grad is false (rows.c) */
    int64_t *rows, n_rows;
    bool *seen;       /* of each row: whether it is listed */
    uint64_t version; /* grows with each write */
    int refs;         /* atomic */
    int busy;         /* atomic: a backward is adding into grad */
};

/* --- tensors --- */

enum {
    GR__KEEP = 1,   /* a source, or read or asked for by the user: stays until reset */
    GR__SAVED = 2,  /* a VJP to come reads it: stays until backward */
    GR__GRAD = 4,   /* a trainable parameter feeds it */
    GR__BOUND = 8,  /* to be computed into scalar.target, memory of somebody else */
    GR__PARAM = 16, /* data lies in a parameter, whose version is to be checked */
    GR__LITTLE = 32 /* at most GR__SMALL bytes */
};

struct gr_tensor {
    _Alignas(16) gr_graph *graph; /* NULL: the inert tensor of no graph */
    gr_node *node;                /* that made it */
    const gr_shape *shape;        /* of a gr__layout */
    int64_t *strides;             /* in elements; NULL: row-major */
    void *data;                   /* first element; NULL while pending */
    gr__buffer *buffer; /* counted storage behind data; NULL for small and foreign memory */
    gr_tensor *cot;     /* cotangent so far, within a backward sweep */
    union {
        double f64;
        float f32;
        int64_t i64;
        uint8_t u8;
        void *target;
    } scalar;            /* storage of a single element, or GR__BOUND's target */
    uint32_t generation; /* of the graph when recorded: another one means stale */
    uint32_t epoch;      /* of the plan that `uses` belongs to */
    uint32_t reach;      /* the sweep in which it was found to depend on an x */
    int32_t uses;        /* reads still to come in the running plan */
    int32_t consumers;   /* nodes that read it */
    uint8_t dtype, index, flags;
    uint8_t unfit; /* in a graph that watches for anomalies: not all of it is finite */
    int64_t numel;
};

/* --- scopes --- */

/* One name within another, from one begin to its end; in the graph's arena. */
typedef struct gr__scope {
    const struct gr__scope *parent; /* NULL: the graph's root, which has no name */
    const char *name;
    const void *site; /* where it was begun */
} gr__scope;

/* --- nodes --- */

enum {
    GR__NO_GRAD = 1,  /* recorded in a no-grad scope */
    GR__BACKWARD = 2, /* recorded by a VJP */
    GR__USER = 4      /* a result of gr_grad: the user holds it, though a VJP recorded it */
};

struct gr_node {
    const gr_op *op;
    const void *attrs;
    const void *site;
    union {
        const gr__scope *scope; /* that was open */
        const gr_node *origin;  /* of a backward node: whose VJP recorded it */
    };
    gr_node *prev, *next;
    gr_tensor *out; /* n_out of them */
    uint32_t id, mark;
    int32_t n_in;
    uint8_t n_out, flags;
    gr_tensor *in[];
};

/* --- graph --- */

/* A parameter that the graph holds: used since the last reset, or between the two before. So a loop
 * of steps counts it once. */
typedef struct gr__use {
    gr_param *param;     /* counted; NULL: a free slot */
    gr_tensor *tensor;   /* its leaf, or what is bound to it */
    uint32_t generation; /* of the graph when it was used last */
} gr__use;

typedef struct gr__assign {
    gr_param *param;
    gr_tensor *value;
} gr__assign;

/* A stretch of the tape whose values are not kept for the VJPs, but recorded again. */
typedef struct gr__section {
    struct gr__section *older, *around; /* begun before it; that it lies in */
    gr_node *before;                    /* its first node; NULL: the first of the tape */
    uint32_t first, last;               /* its nodes by id; last is UINT32_MAX while it is open */
    gr_node **twin; /* of its first n_twins nodes, in the running sweep; NULL: none yet */
    uint32_t n_twins;
    bool again; /* some sweep has recorded it again, to be differentiated in its turn */
} gr__section;

/* What is outside of a scratch while it is open, and the memory of those that were; scratch.c. */
typedef struct gr__memory {
    gr__arena nodes, tensors;
} gr__memory;

typedef struct gr__scratch {
    gr__memory outer; /* of what is around it; while closed: for the next one to use */
    gr__memory ended; /* of the scratch before: nothing in it is overwritten yet */
    gr_node *last, *params;
    uint32_t first_id, n_deferred;
    const gr__scope *scope;
    gr__section *sections, *section;
    int no_grad_depth;
    const void *site; /* where it was begun */
} gr__scratch;

enum { GR__SCRATCHES = 8 };

struct gr_graph {
    gr__arena nodes, tensors; /* tensors apart: a stale pointer then still points at a tensor */
    gr__pool pool;
    gr_node *first, *last;
    gr_node *params; /* the newest leaf of a parameter; each knows the one before */
    gr_node *swept;  /* the last node when sinks were last collected */
    uint32_t n_nodes, generation, epoch;
    bool hooked;         /* a hook was called since gr_backward last looked */
    uint32_t sweep_from; /* the first node that the running sweep recorded; 0: none runs */
    uint32_t n_deferred; /* nodes since then that were not computed when recorded */
    gr_tensor nil;       /* what failed calls return */

    gr_status status;
    char message[640];
    const void *error_site;
    char error_scope[GR__SCOPE_TEXT];
    char details[1400]; /* lines behind the message */
    char text[2400];    /* all of it, made when asked for */

    const void *site; /* of the outermost open site */
    int site_depth, no_grad_depth;
    gr__scope root;
    const gr__scope *scope;             /* the innermost open one */
    int lost_scopes;                    /* open ones within it that could not be named */
    const gr_node *origin;              /* whose VJP is recording; NULL: none */
    int n_scratches, refused_scratches; /* open ones, those that were too many */
    bool eager;
    uint8_t precision; /* gr_precision that was asked for */
    bool guarded;      /* kernels are watched (guard.c) */
    bool anomaly;      /* results are watched (anomaly.c) */
    bool watched;      /* any of guarded, anomaly, observer, tracer: one branch when none is */
    bool single;       /* any of guarded, observer, tracer: nodes are to be seen one by one */
    bool running;      /* a plan is being run: `uses` counts */
    bool backward;     /* the running plan is gr_backward's: saved values go at their last use */
    struct gr__handover *handover; /* of the running gr_backward_each; NULL: none */
    uint64_t seed, stream;

    gr__use *uses;                   /* open addressing by the parameter's address */
    int n_uses, cap_uses, n_current; /* in the table; its slots; of those, used since the reset */
    gr__assign *assigns;
    int n_assigns, cap_assigns;
    gr__section *sections, *section; /* the newest; the innermost open one */
    int64_t buffers_held;            /* tensors with a buffer */

    gr_observer *observer;
    void *observer_user;
    gr_tracer *tracer;
    void *tracer_user;

    gr__scratch scratches[GR__SCRATCHES]; /* the outermost first */
};

/* --- across files of src/graph and src/ops --- */

/* The shape rule of ops that have none: inputs of one shape and dtype. */
bool gr__infer_same(gr_infer *c);
/* gr_infer_same_dtype of inputs that are there: small ops are recorded in no time. */
static inline bool gr__same_dtype(gr_infer *c, int i, int j)
{
    return c->in[i]->dtype == c->in[j]->dtype || gr_infer_same_dtype(c, i, j);
}

/* As gr_apply, recorded as called from `site` unless a site is open. */
gr_tensor *gr__apply(gr_graph *g, const gr_op *op, gr_tensor *const *in, int n, const void *attrs,
                     const void *site);
/* A tensor without inputs whose value the caller sets. */
gr_tensor *gr__leaf(gr_graph *g, const gr_op *op, gr_dtype dtype, const gr_shape *shape,
                    const void *attrs, size_t attrs_size, const void *site);
/* The same for a layout that is known to be usable; it is copied. */
gr_tensor *gr__leaf_laid_out(gr_graph *g, const gr_op *op, gr_dtype dtype, const gr__layout *layout,
                             int64_t numel, const void *attrs, size_t attrs_size, const void *site);
/* As gr_full. */
gr_tensor *gr__fill(gr_graph *g, gr_dtype dtype, const gr_shape *shape, double value,
                    const void *site);
gr_tensor *gr__fail_at(gr_graph *g, gr_status status, const void *site, const char *format, ...)
    GR_PRINTF(4, 5);
extern gr_tensor gr__nil; /* of no graph */

/* Recorded before its graph was reset, or inside a scratch that has ended. */
static inline bool gr__is_stale(const gr_tensor *t)
{
    return t->generation != t->graph->generation && t != &t->graph->nil;
}

/* The graph that stands in for one that could not be made, or NULL. */
static inline bool gr__is_inert(const gr_graph *g)
{
    return !g || !g->generation;
}

/* The same for a call that does something to a graph: of NULL it says so. */
static inline bool gr__lacks_graph(const gr_graph *g, const char *call)
{
    return gr__need(call, g, "graph") || gr__is_inert(g);
}

static inline bool gr__is_nil(const gr_tensor *t)
{
    return !t || !t->graph || t == &t->graph->nil;
}

static inline bool gr__is_float(gr_dtype dtype)
{
    return dtype == GR_F32 || dtype == GR_F64;
}

/* Whether the op has a tile for any dtype: some are over integers or truth values alone. One that
 * has a kernel has none. */
static inline bool gr__is_elementwise(const gr_op *op)
{
    if (op->tile[GR_F64] || op->forward[GR_F64]) return op->tile[GR_F64] != NULL;
    return op->tile[GR_F32] || op->tile[GR_I64] || op->tile[GR_U8] || op->tile[GR_BOOL];
}

/* --- scopes (scope.c) --- */

const gr__scope *gr__scope_of(const gr_node *node);
/* Path from the root, "encoder/attn"; gives text. */
const char *gr__scope_text(const gr__scope *scope, char *text, size_t size);
void gr__scope_blame(
    const gr_node *node);           /* the graph's error is of its scope, not of the open one */
void gr__scopes_reset(gr_graph *g); /* closes and forgets all */

/* --- parameters in use (sources.c) --- */

void gr__uses_reset(gr_graph *g);   /* lets go of those not used since the last reset */
void gr__uses_release(gr_graph *g); /* of all */

/* --- scratches (scratch.c) --- */

gr__arena *gr__scratch_arena(const gr_tensor *t);
void gr__scratches_close(gr_graph *g); /* puts the outermost arenas back */
void gr__scratches_release(gr_graph *g);
void gr__forget_use(gr_graph *g, const gr_node *leaf); /* gr_use makes another */

/* --- storage (storage.c) --- */

/* Gives a pending tensor memory: inside itself, in the arena, from the pool. */
bool gr__tensor_allocate(gr_tensor *t);
static inline bool gr__tensor_storage(gr_tensor *t)
{
    return t->data || gr__tensor_allocate(t);
}
void gr__tensor_drop(gr_tensor *t); /* back to pending */
bool gr__tensor_contiguous(const gr_tensor *t);
/* How its elements lie: copied, unless they lie row-major. False: out of memory. */
bool gr__tensor_set_strides(gr_tensor *t, const int64_t *strides);
/* Gives this description of a tensor row-major storage of its own, a copy; the old one is left
 * alone (pack) or dropped (repack). */
bool gr__tensor_pack(gr_tensor *t);
bool gr__tensor_repack(gr_tensor *t);
/* Of the shape of a tensor. */
static inline const int64_t *gr__row_major(const gr_shape *shape)
{
    return ((const gr__layout *)shape)->strides;
}

/* What a kernel is told of t. */
static inline gr_value gr__tensor_value(const gr_tensor *t)
{
    const int64_t *strides = t->strides ? t->strides : gr__row_major(t->shape);
    return (gr_value){(gr_dtype)t->dtype, t->shape, strides, t->data};
}
void gr__set_scalar(void *data, gr_dtype dtype, double value);
double gr__get_scalar(const void *data, gr_dtype dtype);

/* --- guards (guard.c) --- */

enum { GR__GUARD = 64 }; /* bytes of canary on each side */
void *gr__guard_prepare(void *block, size_t bytes);
void gr__guard_fill(gr_tensor *t);
uint64_t gr__guard_hash(gr_tensor *t);
bool gr__guard_verdict(const gr_node *node, const uint64_t *before);

/* --- anomalies (anomaly.c) --- */

bool gr__anomaly_verdict(gr_node *node); /* false, with the error set, when it made a NaN or Inf */
/* "div" or "div, recorded by the backward rule of sqrt"; gives text. */
const char *gr__node_title(const gr_node *node, char *text, size_t size);

/* --- precision (precision.c, run.c) --- */

/* Whether the kernel's large products of float32 are to be those of bf16.h. */
bool gr__exec_rounds(const gr_exec *e);

/* --- evaluation (elementwise.c, run.c, eval.c) --- */

/* By which an op's kernel is chosen: the dtype of the first floating input, else of in[0]; of an
 * op without inputs, the output's. */
static inline gr_dtype gr__kernel_dtype(gr_tensor *const *in, int n, gr_dtype output)
{
    for (int i = 0; i < n; i++)
        if (gr__is_float((gr_dtype)in[i]->dtype)) return (gr_dtype)in[i]->dtype;
    return n ? (gr_dtype)in[0]->dtype : output;
}
bool gr__run_elementwise(gr_node *node); /* false: out of memory */
bool gr__take_over(
    gr_node *node); /* out[0] gets the storage of in[0], if nobody else will read that */
bool gr__run_failed(gr_node *node);     /* no error yet: memory is out; it is the node's; false */
bool gr__params_current(gr_node *node); /* of all that it reads; false, with the error set: not */
bool gr__run(gr_node *node);            /* computes the outputs; all inputs must have data */
bool gr__run_known(gr_node *node, unsigned flags); /* the same; the flags of all inputs are known */
void gr__run_watch(gr_graph *g);                   /* after a change of who watches */
bool gr__run_traced(gr_node *node, bool (*run)(gr_node *)); /* the same, told to the tracer */
/* Computes the targets with all they need; `backward` lets saved values go. */
gr_status gr__evaluate(gr_graph *g, gr_tensor *const *targets, int n, bool backward);
bool gr__param_current(
    gr_tensor *t); /* false, with the error set, when its parameter has changed */

/* --- core ops (core_ops.c), and the one that recording needs from src/ops --- */

typedef struct gr__leaf_attrs {
    gr_param *param; /* NULL for data */
    uint64_t version;
    gr_node *older; /* the parameter leaf recorded before this one */
} gr__leaf_attrs;

static inline const gr__leaf_attrs *gr__leaf_of(const gr_node *node)
{
    return node->attrs;
}

/* The view rule of an op whose y is x as it lies. */
bool gr__view_whole(const gr_exec *e, int64_t *strides, int64_t *offset);

extern const gr_op gr__leaf_op, gr__fill_op, gr__acc_op, gr__detach_op;
extern const gr_op gr__expand_op;                /* broadcasting is a recorded expand */
extern const gr_op *const *const gr__families[]; /* each ends with NULL, as does the list */

#endif

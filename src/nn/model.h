/* model.h - what the files of src/nn share: a model, its tree of modules, what they own. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__MODEL_H
#define GR__MODEL_H

#include "base.h"
#include <gradus/nn.h>

/* Everything but the parameters lies in the model's arena and lives as long as the model. */
struct gr_module {
    gr_model *model;
    const char *type;
    const char *name; /* in its parent, or given for it; NULL: its number there */
    gr_module *parent, *sibling, *first_child, *last_child;
    gr_module *next; /* of the model, in order of creation */
    int n_children;
    int number;        /* among its parent's children */
    char digits[12];   /* of the number, for scopes: begun at every step */
    bool evaluating;   /* also while the model trains */
    bool checkpointed; /* a section of its own */
    char *path;        /* from the root; settled together with the names of parameters */
    gr_forward_fn *forward;
    size_t state_size;
    void *state;
};

/* A named parameter or buffer of a module. The model counts each of them, ties too. */
typedef struct gr__entry {
    gr_param *param;
    gr_module *owner;
    const char *local; /* its name in the owner */
    char *name;        /* full; settled when asked for */
} gr__entry;

/* In the order in which a file lists them, the last kind is in no file. */
typedef enum gr__kind { GR__PARAM, GR__BUFFER, GR__TIE, GR__UNSAVED, GR__KINDS } gr__kind;

typedef struct gr__entries {
    gr__entry *at;
    int n, cap;
} gr__entries;

/* Told of every module that begins (y NULL) or has computed y, while a summary is made. */
typedef void gr__trace_fn(void *user, gr_module *module, gr_tensor *y);

struct gr_model {
    gr__arena arena;
    gr_module *first, *last;
    gr__entries entries[GR__KINDS];
    bool settled; /* names and paths fit the tree */
    bool training;
    gr_dtype dtype;
    uint64_t seed;
    gr__trace_fn *trace; /* NULL: nobody listens */
    void *trace_user;
    gr_module nil; /* stands in for a module that could not be made */
    gr_status status;
    char message[512];
};

extern gr_model gr__no_model;   /* stands in for a model that could not be made */
extern gr_model gr__null_model; /* what NULL counts as, for a module too: its nil */

/* Neither of these two, which nobody changes. */
static inline bool gr__model_real(const gr_model *m)
{
    return m && m != &gr__no_model && m != &gr__null_model;
}

static inline const gr_model *gr__model_or_null(const gr_model *m)
{
    return m ? m : &gr__null_model;
}

static inline const gr_module *gr__module_or_nil(const gr_module *module)
{
    return module ? module : &gr__null_model.nil;
}

/* Sets the model's error, the first one wins, and this thread's. */
gr_status gr__model_fail(gr_model *m, gr_status status, const char *format, ...) GR_PRINTF(3, 4);
void *gr__model_alloc(gr_model *m, size_t bytes); /* zeroed; NULL with the model in error */
char *gr__model_strdup(gr_model *m, const char *text);

/* Whether a size can be one of a layer: small multiples of it do not overflow. */
static inline bool gr__is_size(int64_t n)
{
    return n >= 1 && n <= (int64_t)1 << 48;
}

static inline bool gr__is_float(gr_dtype dtype)
{
    return dtype == GR_F32 || dtype == GR_F64;
}

/* --- names.c --- */

/* Settles names and paths, if the tree has changed; false when memory is out. */
bool gr__model_settle(gr_model *m);
/* The module after `module` below `root`, a parent before its children; NULL at the end. */
gr_module *gr__module_next(const gr_module *root, const gr_module *module);
bool gr__module_within(const gr_module *root, const gr_module *module);

/* --- entries.c --- */

/* Adds p, whose count the model takes over, under a name of its owner; false, with the model in
 * error and p given back, when memory is out. */
bool gr__entry_add(gr_module *owner, gr__kind kind, const char *name, gr_param *p);
/* A buffer of any dtype, zeros where the dtype is no float; as gr_module_buffer otherwise. */
gr_param *gr__module_buffer(gr_module *module, gr__kind kind, const char *name, gr_dtype dtype,
                            gr_shape shape, gr_init init);

/* --- module.c --- */

/* For what a module does besides gr_forward: `call` is refused (false, with the error of x's graph
 * set) unless the module is of the kind that has this forward function; NULL: any. Errors of what
 * is recorded until gr__module_leave point to `site`. */
bool gr__module_enter(gr_module *module, const gr_tensor *x, const char *call, gr_forward_fn *kind,
                      const void *site);
gr_tensor *gr__inert(gr_tensor *x); /* what to return then; x may be NULL */
gr_tensor *gr__module_leave(gr_module *module, const gr_tensor *x, gr_tensor *y);

/* --- init.c --- */

/* Fills a parameter by `init`; `stream` is its own. False, with the reason, if that cannot be. */
bool gr__init_fill(gr_param *p, gr_init init, uint64_t stream, const char **problem);

#endif

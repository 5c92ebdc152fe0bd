/* model.h - what the files of src/nn share: a model, its tree of modules, its parameters. */
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
    int number; /* among its parent's children */
    char *path; /* from the root; settled together with the names of parameters */
    gr_forward_fn *forward;
    void *state;
};

typedef struct gr__entry {
    gr_param *param;
    gr_module *owner;
    char *name; /* full; settled when asked for */
} gr__entry;

struct gr_model {
    gr__arena arena;
    gr_module *first, *last;
    gr__entry *params;
    int n_params, cap_params;
    bool settled; /* names and paths fit the tree */
    bool training;
    gr_dtype dtype;
    uint64_t seed;
    gr_module nil; /* stands in for a module that could not be made */
    gr_status status;
    char message[512];
};

extern gr_model gr__no_model; /* stands in for a model that could not be made */

/* Sets the model's error, the first one wins, and this thread's. */
gr_status gr__model_fail(gr_model *m, gr_status status, const char *format, ...) GR_PRINTF(3, 4);
void *gr__model_alloc(gr_model *m, size_t bytes); /* zeroed; NULL with the model in error */
char *gr__model_strdup(gr_model *m, const char *text);

/* --- names.c --- */

/* Settles names and paths, if the tree has changed; false when memory is out. */
bool gr__model_settle(gr_model *m);

/* --- init.c --- */

/* Fills a parameter by `init`; `stream` is its own. False, with the reason, if that cannot be. */
bool gr__init_fill(gr_param *p, gr_init init, uint64_t stream, const char **problem);

#endif

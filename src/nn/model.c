/* model.c - the life of a model, its settings and its first error. */
/* SPDX-License-Identifier: MIT */
#include "model.h"

#include <stdio.h>
#include <string.h>

gr_model gr__no_model = {
    .nil = {.model = &gr__no_model, .type = "inert", .path = ""},
    .status = GR_ERR_MEMORY,
    .message = "out of memory: the model could not be allocated",
};

gr_model gr__null_model = {
    .nil = {.model = &gr__null_model, .type = "inert", .path = ""},
    .status = GR_ERR_ARGUMENT,
    .message = "the model is NULL",
};

/* --- lifetime --- */

/* Returns an empty model: float32, training, seed 0. To be freed with gr_model_free, after the
 * graphs that use it are no longer evaluated. Where memory is out, an inert one in error. */
gr_model *gr_model_new(void)
{
    gr_model *m = gr__calloc(sizeof *m);
    if (!m) return &gr__no_model;
    m->training = true;
    m->dtype = GR_F32;
    m->nil = (gr_module){.model = m, .type = "inert", .path = ""};
    return m;
}

static void release_entries(gr__entries *list)
{
    for (int i = 0; i < list->n; i++) {
        gr_param_release(list->at[i].param);
        gr__free(list->at[i].name);
    }
    gr__free(list->at);
}

/* Frees the model with its modules and gives back its parameters (a graph or an optimizer that
 * holds one keeps it alive); NULL is fine. */
void gr_model_free(gr_model *m)
{
    if (!gr__model_real(m)) return;
    for (int kind = 0; kind < GR__KINDS; kind++) release_entries(&m->entries[kind]);
    for (gr_module *module = m->first; module; module = module->next) gr__free(module->path);
    gr__arena_release(&m->arena);
    gr__free(m);
}

/* --- memory and errors --- */

static gr_status fail_with(gr_model *m, gr_status status, const char *format, va_list args)
{
    char message[sizeof m->message];
    if (m == &gr__null_model) return gr__fail(m->status, "%s", m->message);
    vsnprintf(message, sizeof message, format, args);
    if (!m->status) {
        m->status = status;
        memcpy(m->message, message, sizeof message);
    }
    return gr__fail(status, "%s", message);
}

gr_status gr__model_fail(gr_model *m, gr_status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fail_with(m, status, format, args);
    va_end(args);
    return status;
}

/* For constructors of layers: puts the model in error, the first one stays. Gives
 * GR_ERR_ARGUMENT. */
gr_status gr_model_fail(gr_model *m, const char *format, ...)
{
    if (gr__need("gr_model_fail", m, "model")) return GR_ERR_ARGUMENT;
    va_list args;
    va_start(args, format);
    gr_status status = fail_with(m, GR_ERR_ARGUMENT, format, args);
    va_end(args);
    return status;
}

void *gr__model_alloc(gr_model *m, size_t bytes)
{
    void *memory = gr__model_real(m) ? gr__arena_alloc(&m->arena, bytes) : NULL;
    if (memory) memset(memory, 0, bytes);
    else gr__model_fail(m, GR_ERR_MEMORY, "out of memory while the model was built");
    return memory;
}

char *gr__model_strdup(gr_model *m, const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *copy = gr__model_alloc(m, bytes);
    if (copy) memcpy(copy, text, bytes);
    return copy;
}

/* NULL while all went well; else the first thing that failed. A model in error can still be looked
 * at, but its modules refuse to run. */
const char *gr_model_error(const gr_model *m)
{
    m = gr__model_or_null(m);
    return m->status ? m->message : NULL;
}

gr_status gr_model_status(const gr_model *m)
{
    return gr__model_or_null(m)->status;
}

/* --- settings --- */

/* The initial values of a parameter depend on this seed and the parameter's number alone. */
void gr_model_seed(gr_model *m, uint64_t seed)
{
    if (!gr__need("gr_model_seed", m, "model") && gr__model_real(m)) m->seed = seed;
}

/* float32 or float64, for the parameters created from here on. */
void gr_model_dtype(gr_model *m, gr_dtype dtype)
{
    if (gr__need("gr_model_dtype", m, "model")) return;
    if (dtype != GR_F32 && dtype != GR_F64)
        gr__model_fail(m, GR_ERR_ARGUMENT, "gr_model_dtype: expected float32 or float64, got %s",
                       gr_dtype_name(dtype));
    else if (gr__model_real(m)) m->dtype = dtype;
}

/* Whether layers such as dropout and batch norm act as in training; at first they do. Modules that
 * gr_module_set_training took out stay in evaluation. */
void gr_model_set_training(gr_model *m, bool training)
{
    if (gr__need("gr_model_set_training", m, "model")) return;
    if (gr__model_real(m)) m->training = training;
}

bool gr_model_training(const gr_model *m)
{
    return gr__model_or_null(m)->training;
}

/* --- the tree --- */

gr_module *gr_model_module(gr_model *m, const char *path)
{
    if (!m || !path || !gr__model_settle(m)) return NULL;
    for (gr_module *module = m->first; module; module = module->next)
        if (!strcmp(module->path, path)) return module;
    return NULL;
}

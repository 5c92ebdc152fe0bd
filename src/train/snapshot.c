/* snapshot.c - a copy of all parameters and saved buffers of a model. */
/* SPDX-License-Identifier: MIT */
#include "snapshot.h"

#include <string.h>

static size_t bytes_of(const gr_param *p)
{
    return (size_t)gr_shape_numel(gr_param_shape(p)) * gr_dtype_size(gr_param_dtype(p));
}

gr_status gr__snapshot_init(gr__snapshot *s, gr_model *model)
{
    *s = (gr__snapshot){.model = model};
    for (int i = 0; i < gr_model_states(model); i++) s->bytes += bytes_of(gr_model_state(model, i));
    s->data = gr__alloc(s->bytes + 1);
    return s->data ? GR_OK : GR_ERR_MEMORY;
}

void gr__snapshot_take(gr__snapshot *s)
{
    char *to = s->data;
    for (int i = 0; i < gr_model_states(s->model); i++) {
        const gr_param *p = gr_model_state(s->model, i);
        memcpy(to, gr_param_data(p), bytes_of(p));
        to += bytes_of(p);
    }
    s->taken = true;
}

void gr__snapshot_restore(const gr__snapshot *s)
{
    const char *from = s->data;
    for (int i = 0; s->taken && i < gr_model_states(s->model); i++) {
        gr_param *p = gr_model_state(s->model, i);
        memcpy(gr_param_write(p), from, bytes_of(p));
        from += bytes_of(p);
    }
}

void gr__snapshot_release(gr__snapshot *s)
{
    gr__free(s->data);
    *s = (gr__snapshot){0};
}

/* snapshot.h - a copy of all parameters of a model, to go back to. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__SNAPSHOT_H
#define GR__SNAPSHOT_H

#include "base.h"
#include <gradus/nn.h>

/* Zeroed: empty. The model's parameters must stay the same ones while it is used. */
typedef struct gr__snapshot {
    gr_model *model;
    char *data; /* one after the other */
    size_t bytes;
    bool taken;
} gr__snapshot;

gr_status gr__snapshot_init(gr__snapshot *s, gr_model *model); /* gets the memory */
void gr__snapshot_take(gr__snapshot *s);
void gr__snapshot_restore(const gr__snapshot *s); /* if one was taken */
void gr__snapshot_release(gr__snapshot *s);

#endif

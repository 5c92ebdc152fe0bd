/* layer_table.h - every layer, the shape that it takes, and the one that it gives. */
/* SPDX-License-Identifier: MIT */
#ifndef LAYER_TABLE_H
#define LAYER_TABLE_H

#include <gradus/gradus.h>

typedef struct layer {
    const char *name;
    gr_module *(*make)(gr_model *m);
    gr_shape x, y;
} layer;

extern const layer every_layer[];
extern const int n_layers;

#endif

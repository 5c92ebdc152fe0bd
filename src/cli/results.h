/* results.h - the files that training leaves behind. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__RESULTS_H
#define GR__RESULTS_H

#include "networks.h"
#include "source.h"
#include <gradus/train.h>

typedef struct folder {
    char path[3072];
    size_t there; /* so many bytes of the path existed before */
} folder;

/* Makes a folder with its parents and sees that files can be made in it. */
gr_status folder_open(folder *f, const char *path);
/* Removes what folder_open made, where it is empty. */
void folder_undo(const folder *f);

typedef struct results {
    const network *network;
    variant variant;
    const char *data; /* "digits", or a folder */
    gr_model *model;
    gr_module *net;
    gr_history history;
    const split *split;
    int64_t *confusion; /* [classes, classes] of the test part */
    int batch;
} results;

/* Writes model.safetensors, history.csv, curves.svg, confusion.svg and tape.dot: all, or on failure
 * none. */
gr_status results_write(const results *r, const folder *f);

#endif

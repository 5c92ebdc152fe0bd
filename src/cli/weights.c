/* weights.c - a trained network, from the file that training wrote. */
/* SPDX-License-Identifier: MIT */
#include "weights.h"
#include "text.h"

#include <gradus/io.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- what the file says about itself --- */

static gr_status check_samples(const gr_safetensors *file, const char *path, const gr_dataset *d)
{
    char text[GR_SHAPE_TEXT];
    const char *sample = gr_safetensors_metadata(file, "sample");
    const char *classes = gr_safetensors_metadata(file, "classes");
    gr_shape_text(&d->shape, text);
    if (sample && strcmp(sample, text))
        return gr__fail(GR_ERR_FORMAT, "%s: trained on samples %s, the data has %s", path, sample,
                        text);
    if (classes && atoi(classes) != d->classes)
        return gr__fail(GR_ERR_FORMAT, "%s: trained for %s classes, the data has %d", path, classes,
                        d->classes);
    return GR_OK;
}

static gr_status find_network(const gr_safetensors *file, const char *path, const char *name,
                              const network **found)
{
    const char *own = gr_safetensors_metadata(file, "model");
    if (own && name && strcmp(own, name))
        return gr__fail(GR_ERR_ARGUMENT, "%s: expected the weights of %s, got those of %s", path,
                        name, own);
    if (!own && !name)
        return gr__fail(GR_ERR_FORMAT, "%s: the file does not say of which network it is", path);
    *found = network_find(own ? own : name);
    if (*found) return GR_OK;
    return gr__fail(GR_ERR_FORMAT, "%s: the weights of an unknown network '%s'; expected %s", path,
                    own ? own : name, network_names());
}

static gr_status read_number(const gr_safetensors *file, const char *path, const char *key,
                             double *value)
{
    const char *text = gr_safetensors_metadata(file, key);
    char *end;
    if (!text) return GR_OK;
    *value = strtod(text, &end);
    if (end != text && !*end && isfinite(*value)) return GR_OK;
    return gr__fail(GR_ERR_FORMAT, "%s: expected a number as its '%s', got '%s'", path, key, text);
}

static gr_status read_about(weights *w, const gr_safetensors *file, const char *path,
                            const char *name, const gr_dataset *d)
{
    const char *norm = gr_safetensors_metadata(file, "batch_norm");
    w->scaling = (scaling){0, 1};
    w->variant.batch_norm = norm && !strcmp(norm, "yes");
    gr_status status = find_network(file, path, name, &w->network);
    if (!status) status = check_samples(file, path, d);
    if (!status) status = read_number(file, path, "mean", &w->scaling.mean);
    if (!status) status = read_number(file, path, "std", &w->scaling.std);
    return status;
}

/* --- loading --- */

gr_status weights_load(weights *w, const char *path, const char *name, const gr_dataset *d)
{
    *w = (weights){.network = NULL};
    gr_safetensors *file = gr_safetensors_open(path);
    if (!file) return GR_ERR_FILE;
    gr_status status = read_about(w, file, path, name, d);
    gr_safetensors_close(file);
    if (status) return status;
    w->model = gr_model_new();
    w->net = w->network->build(w->model, &d->shape, d->classes, w->variant);
    gr_model_set_training(w->model, false);
    status = gr_load(w->model, path);
    if (status) weights_release(w);
    return status;
}

void weights_release(weights *w)
{
    gr_model_free(w->model);
    *w = (weights){.network = NULL};
}

/* io.h - weights to files and back. */
/* SPDX-License-Identifier: MIT */
#ifndef GRADUS_IO_H
#define GRADUS_IO_H

#include <gradus/optim.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- safetensors: named arrays in one file --- */

/* Reading checks every rule of the format before any tensor is believed. */
typedef struct gr_safetensors gr_safetensors;

typedef struct gr_array {
    const char *name;
    const char *dtype; /* as in the file: "F32", "F64", "I64", "U8", "BOOL", "BF16", ... */
    gr_shape shape;
    const void *data;  /* little-endian, row-major; in a file at any address, aligned or not */
    size_t bytes;
} gr_array;

GR_API gr_safetensors *gr_safetensors_open(const char *path); /* NULL on failure, with gr_last_error */
GR_API void gr_safetensors_close(gr_safetensors *file);
GR_API int gr_safetensors_count(const gr_safetensors *file);
GR_API const gr_array *gr_safetensors_at(const gr_safetensors *file, int i);
GR_API const gr_array *gr_safetensors_find(const gr_safetensors *file, const char *name);
GR_API const char *gr_safetensors_metadata(const gr_safetensors *file, const char *key); /* NULL when absent */

/* Written beside `path`, then renamed: complete or not there. metadata: key, value, key, value, NULL; or NULL. */
GR_API gr_status gr_safetensors_write(const char *path, const gr_array *arrays, int n, const char *const *metadata);

/* --- NumPy: one array (npy), and named ones in one file (npz) --- */

/* float32, float64, uint8, bool as they are, float16 as float32, other integers as int64; *data is
 * row-major, to be freed with gr_free_memory. */
GR_API gr_status gr_npy_read(const char *path, gr_dtype *dtype, gr_shape *shape, void **data);
GR_API gr_status gr_npy_write(const char *path, gr_dtype dtype, const gr_shape *shape, const void *data);

typedef struct gr_npz gr_npz;

GR_API gr_npz *gr_npz_open(const char *path); /* NULL on failure, with gr_last_error */
GR_API void gr_npz_close(gr_npz *file);
GR_API int gr_npz_count(const gr_npz *file);
GR_API const gr_array *gr_npz_at(const gr_npz *file, int i);
GR_API const gr_array *gr_npz_find(const gr_npz *file, const char *name);
GR_API gr_status gr_npz_write(const char *path, const gr_array *arrays, int n, bool compress);

/* --- models: parameters and saved buffers by their names --- */

GR_API gr_status gr_save(gr_model *m, const char *path, const char *const *metadata);
/* Every parameter must be there with its shape and dtype, and nothing else; otherwise the error
 * lists what is missing, unexpected, mismatched, and the model is unchanged. */
GR_API gr_status gr_load(gr_model *m, const char *path);

typedef struct gr_load_options {
    bool partial; /* take what fits, leave the rest of the model as it is */
    bool convert; /* from float32 to float64 and back */
} gr_load_options;
typedef struct gr_load_report {
    int loaded, missing, unexpected, mismatched; /* names */
    char text[1024]; /* "missing in the file: ...; not in the model: ...; different: ..." */
} gr_load_report;
GR_API gr_status gr_load_with(gr_model *m, const char *path, gr_load_options o, gr_load_report *report); /* report may be NULL */

/* --- optimizers and averages: with the weights, all that training needs to go on --- */

GR_API gr_status gr_save_optimizer(gr_optimizer *opt, const char *path);
GR_API gr_status gr_load_optimizer(gr_optimizer *opt, const char *path); /* as the file has it bit for bit, or unchanged */
GR_API gr_status gr_save_ema(gr_ema *e, const char *path);
GR_API gr_status gr_load_ema(gr_ema *e, const char *path);

/* Anything else that can show its arrays, as gr_optimizer_states does. */
typedef gr_status gr_states_fn(void *object, gr_visit *visit, void *user);
GR_API gr_status gr_save_states(gr_states_fn *show, void *object, const char *path, const char *kind);
GR_API gr_status gr_load_states(gr_states_fn *show, void *object, const char *path, const char *kind);

#ifdef __cplusplus
}
#endif
#endif

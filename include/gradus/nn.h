/* nn.h - models: a tree of modules that own named parameters. */
/* SPDX-License-Identifier: MIT */
#ifndef GRADUS_NN_H
#define GRADUS_NN_H

#include <gradus/ops.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Owns modules and parameters; the first error sticks to it. */
typedef struct gr_model gr_model;
/* A piece of a model with a forward function, parameters and children; belongs to its model. */
typedef struct gr_module gr_module;

/* --- model --- */

GR_API gr_model *gr_model_new(void);
GR_API void gr_model_free(gr_model *m);
GR_API const char *gr_model_error(const gr_model *m); /* NULL, or the first thing that failed */
GR_API gr_status gr_model_status(const gr_model *m);
GR_API void gr_model_seed(gr_model *m, uint64_t seed);       /* of the initialisers that follow */
GR_API void gr_model_dtype(gr_model *m, gr_dtype dtype);     /* of the parameters that follow; float32 */
GR_API void gr_model_set_training(gr_model *m, bool training); /* dropout acts only while training; true at first */
GR_API bool gr_model_training(const gr_model *m);
GR_API int gr_model_params(const gr_model *m);               /* number of parameters, in order of creation */
GR_API gr_param *gr_model_param(const gr_model *m, int i);
GR_API const char *gr_model_param_name(gr_model *m, int i);  /* "encoder.0.weight": the path from the root */
GR_API int gr_model_buffers(const gr_model *m);              /* state that no optimizer changes: running statistics */
GR_API gr_param *gr_model_buffer(const gr_model *m, int i);
GR_API int gr_model_states(const gr_model *m);               /* what a file holds: parameters, saved buffers, further names of shared ones */
GR_API gr_param *gr_model_state(const gr_model *m, int i);
GR_API const char *gr_model_state_name(gr_model *m, int i); /* its path from the root, as in the file */
GR_API gr_param *gr_model_find(gr_model *m, const char *name); /* of all that has a name; NULL when there is none */
GR_API gr_module *gr_model_module(gr_model *m, const char *path); /* "encoder.0", "" for a single root; NULL when there is none */
GR_API int64_t gr_model_numel(const gr_model *m);            /* elements of all parameters together */
GR_API gr_model *gr_model_copy(const gr_model *m);           /* with everything in it; to be freed */
GR_API gr_model *gr_model_convert(const gr_model *m, gr_dtype dtype); /* a copy in float32 or float64 */
/* A table: layer, type, output shape, parameters, FLOPs, of an input of this shape (and dtype int64
 * for indices). As snprintf: the length of the whole text is returned; 0 on failure. */
GR_API size_t gr_summary(gr_module *net, gr_dtype dtype, gr_shape input, char *buffer, size_t size);

/* --- initialisers (PyTorch's names and formulas) --- */

typedef enum gr_init_kind {
    GR_INIT_DEFAULT,          /* what the layer does by itself; zeros for a parameter of your own */
    GR_INIT_ZEROS,
    GR_INIT_ONES,
    GR_INIT_CONSTANT,         /* a */
    GR_INIT_UNIFORM,          /* U(-a, a) */
    GR_INIT_NORMAL,           /* N(0, a^2) */
    GR_INIT_TRUNCATED_NORMAL, /* N(0, a^2), drawn again beyond cut times a */
    GR_INIT_XAVIER_UNIFORM,   /* U(-b, b), b = gain sqrt(6 / (fan_in + fan_out)); Glorot, Bengio 2010 */
    GR_INIT_XAVIER_NORMAL,    /* N(0, s^2), s = gain sqrt(2 / (fan_in + fan_out)) */
    GR_INIT_KAIMING_UNIFORM,  /* U(-b, b), b = gain sqrt(3 / fan_in); He et al. 2015 */
    GR_INIT_KAIMING_NORMAL,   /* N(0, s^2), s = gain / sqrt(fan_in) */
    GR_INIT_LECUN_UNIFORM,    /* U(-b, b), b = sqrt(3 / fan_in); LeCun et al. 1998 */
    GR_INIT_LECUN_NORMAL,     /* N(0, 1 / fan_in), truncated as above */
    GR_INIT_ORTHOGONAL,       /* [out, rest]: rows or columns orthogonal, of norm gain; Saxe et al. 2014 */
    GR_INIT_SPARSE,           /* [out, in]: N(0, a^2) with a part of each column 0; Martens 2010 */
    GR_INIT_IDENTITY,         /* [out, in]: gain on the diagonal */
    GR_INIT_DIRAC             /* [out, in/groups, k...]: a convolution that gives gain x, channel by channel */
} gr_init_kind;

/* Of a weight [out, in, ...]: fan_in = in times the rest, fan_out = out times the rest. */
typedef struct gr_init {
    gr_init_kind kind;
    double a;        /* of CONSTANT, UNIFORM, the NORMALs; of SPARSE 0 counts as 0.01 */
    double gain;     /* 0 counts as 1; gr_gain(activation, ...) */
    double mean;     /* what UNIFORM and the NORMALs lie around; 0 */
    double cut;      /* in deviations; 0 counts as 2 */
    double sparsity; /* the part of SPARSE that is 0 */
    int groups;      /* of DIRAC; 0 counts as 1 */
    bool fan_out;    /* KAIMING keeps the size of gradients, not of values */
} gr_init;

GR_API double gr_gain(const char *activation, double slope); /* "tanh": 5/3, "relu": sqrt(2), "leaky_relu", "selu", ...; NaN: no such */
GR_API gr_status gr_init_param(gr_param *p, gr_init init, uint64_t seed); /* anew; DEFAULT is zeros */

/* --- modules --- */

typedef gr_tensor *gr_forward_fn(gr_module *self, gr_tensor *x);

/* A module of your own: `state_size` bytes of zeroed state come with it. */
GR_API gr_module *gr_module_new(gr_model *m, const char *type, gr_forward_fn *forward, size_t state_size);
GR_API void *gr_module_state(gr_module *module);      /* NULL only when memory is out */
GR_API gr_model *gr_module_model(gr_module *module);
GR_API const char *gr_module_type(const gr_module *module); /* "linear" */
GR_API const char *gr_module_path(gr_module *module); /* "encoder.0"; "" for a single root */
GR_API gr_param *gr_module_param(gr_module *module, const char *name, gr_shape shape, gr_init init);
GR_API gr_param *gr_module_buffer(gr_module *module, const char *name, gr_shape shape, gr_init init); /* no parameter, yet saved with them */
GR_API gr_param *gr_module_unsaved_buffer(gr_module *module, const char *name, gr_shape shape, gr_init init);
GR_API void gr_module_share(gr_module *module, const char *name, gr_param *p); /* a further name of a parameter: weight tying */
GR_API gr_module *gr_module_add(gr_module *parent, const char *name, gr_module *child); /* gives child; name NULL: its number */
GR_API int gr_module_children(const gr_module *module);
GR_API gr_module *gr_module_child(const gr_module *module, int i);
GR_API void gr_module_set_training(gr_module *module, bool training); /* of it and all below; acts while the model trains */
GR_API bool gr_module_training(const gr_module *module);
GR_API void gr_module_freeze(gr_module *module, bool frozen); /* its parameters and all below get no gradient */
GR_API void gr_module_checkpoint(gr_module *module, bool on); /* backward computes its values again instead of keeping them */
GR_API int64_t gr_module_numel(const gr_module *module);      /* elements of its parameters and of all below */
GR_API gr_module *gr_module_copy(gr_module *module);          /* a further one in the same model, with parameters of its own */
GR_API gr_tensor *gr_forward(gr_module *module, gr_tensor *x);
/* For layers of your own: forward refuses x (the graph's error is "type 'path': ..."), the
 * constructor its arguments (the model's error). */
GR_API gr_tensor *gr_module_fail(gr_module *module, const gr_tensor *x, const char *format, ...) GR_PRINTF(3, 4);
GR_API gr_status gr_model_fail(gr_model *m, const char *format, ...) GR_PRINTF(2, 3);

#ifndef __cplusplus
#define GR_LIST(...)                                                                               \
    (gr_module *const[]){__VA_ARGS__}, (int)(sizeof((gr_module *[]){__VA_ARGS__}) / sizeof(gr_module *))
#endif
GR_API gr_module *gr_sequential(gr_model *m, gr_module *const *modules, int n); /* children "0", "1", ... unless named */
GR_API gr_module *gr_named(const char *name, gr_module *module);                /* its name in the parent to come */

#ifdef __cplusplus
}
#endif

#include <gradus/layers.h>

#endif

/* graph.h - tensors recorded on a tape, evaluated on demand, differentiated by more graph. */
/* SPDX-License-Identifier: MIT */
#ifndef GRADUS_GRAPH_H
#define GRADUS_GRAPH_H

#include <gradus/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A tape: every tensor computed since the last reset, in recording order. */
typedef struct gr_graph gr_graph;
/* One value of a graph; dies at gr_graph_reset or gr_graph_free. Never NULL: a failed call
 * returns an inert tensor and the first error sticks to the graph. */
typedef struct gr_tensor gr_tensor;
/* A value that outlives graphs: a weight, a buffer, carried hidden state. Counted. */
typedef struct gr_param gr_param;

/* --- lifetime --- */

GR_API gr_graph *gr_graph_new(void);
GR_API void gr_graph_free(gr_graph *g);
GR_API void gr_graph_reset(gr_graph *g);             /* forgets tensors and error, keeps memory */
GR_API const char *gr_graph_error(gr_graph *g);      /* NULL, or what failed and where recorded */
GR_API gr_status gr_graph_status(const gr_graph *g); /* GR_OK, or the kind of the first error */
GR_API void gr_graph_seed(gr_graph *g, uint64_t seed);   /* of the random ops that follow */
GR_API void gr_graph_set_eager(gr_graph *g, bool eager); /* evaluate each node when recorded */
/* To what the operands of large float32 products and convolutions are rounded. */
typedef enum gr_precision { GR_PRECISION_FLOAT32, GR_PRECISION_BFLOAT16 } gr_precision;
GR_API void gr_graph_set_precision(gr_graph *g, gr_precision p); /* before anything is recorded; stays over resets */
GR_API gr_precision gr_graph_precision(const gr_graph *g); /* in effect: float32 where gr_has_bfloat16() is false */
GR_API bool gr_has_bfloat16(void); /* whether the processor multiplies bfloat16 faster than float32 */
GR_API void gr_graph_set_anomaly(gr_graph *g, bool watched); /* the first NaN or Inf made from finite inputs is an error */
GR_API void gr_graph_set_guarded(gr_graph *g, bool guarded); /* catch kernels that leave outputs unwritten or write elsewhere */

/* Bytes: of the large values that are held now, and at most at one time so far; of nodes and small
 * values recorded since the reset. */
typedef struct gr_memory {
    size_t values, peak, tape;
} gr_memory;
GR_API gr_memory gr_graph_memory(const gr_graph *g);

/* --- sources --- */

GR_API gr_tensor *gr_from_data(gr_graph *g, gr_dtype dtype, gr_shape shape, const void *data); /* copies */
GR_API gr_tensor *gr_borrow(gr_graph *g, gr_dtype dtype, gr_shape shape, const void *data); /* no copy: data outlives the graph's next reset */
GR_API gr_tensor *gr_full(gr_graph *g, gr_dtype dtype, gr_shape shape, double value);
GR_API gr_tensor *gr_zeros(gr_graph *g, gr_dtype dtype, gr_shape shape); /* of any dtype */
GR_API gr_tensor *gr_ones(gr_graph *g, gr_dtype dtype, gr_shape shape); /* likewise */
GR_API gr_tensor *gr_scalar(gr_graph *g, gr_dtype dtype, double value); /* rank 0 */
GR_API gr_tensor *gr_use(gr_graph *g, gr_param *p);                    /* the same tensor each time */
GR_API gr_tensor *gr_bind(gr_graph *g, gr_param *p, gr_tensor *t);     /* gr_use(g, p) gives t until reset */

/* --- asking --- */

GR_API gr_graph *gr_graph_of(const gr_tensor *t); /* NULL for an inert tensor */
GR_API gr_dtype gr_dtype_of(const gr_tensor *t);
GR_API const gr_shape *gr_shape_of(const gr_tensor *t); /* rank 0 for NULL, inert and stale tensors */
GR_API int64_t gr_numel(const gr_tensor *t); /* elements; 1 for NULL, inert and stale tensors */
GR_API const void *gr_data(gr_tensor *t); /* row-major values, until reset; NULL after an error */
GR_API double gr_item(gr_tensor *t);      /* of one element; NaN after an error */
GR_API gr_status gr_eval(gr_tensor *const *tensors, int n);
GR_API gr_tensor *gr_keep(gr_tensor *t); /* its value, once computed, stays until reset */

/* --- derivatives --- */

GR_API gr_status gr_backward(gr_tensor *loss); /* adds d loss / d p into every parameter used */
typedef gr_status gr_receiver(void *user, gr_param *p); /* the gradient of p, a large one, is complete: p may be written, the gradient cleared */
GR_API gr_status gr_backward_each(gr_tensor *loss, gr_receiver *receive, void *user); /* gr_backward that hands large gradients over, to hold few at a time; the others stay as ever */
GR_API gr_status gr_grad(gr_tensor *y, gr_tensor *const *x, int n, gr_tensor **dx); /* d sum(y) / d x[i], as tensors */
GR_API gr_status gr_vjp(gr_tensor *const *y, gr_tensor *const *dy, int n_y, gr_tensor *const *x, int n_x, gr_tensor **dx); /* sum_j dy_j . d y_j / d x_i */
GR_API gr_status gr_jvp(gr_tensor *const *y, int n_y, gr_tensor *const *x, gr_tensor *const *dx, int n_x, gr_tensor **dy); /* sum_i d y_j / d x_i . dx_i */
GR_API gr_tensor *gr_detach(gr_tensor *x);    /* the same values, no gradient */
GR_API void gr_no_grad_begin(gr_graph *g);    /* what is recorded from here carries no gradient */
GR_API void gr_no_grad_end(gr_graph *g);

/* --- scopes --- */

GR_API void gr_scope_begin(gr_graph *g, const char *name); /* what is recorded from here is a part with this name; they nest: "encoder/attn" */
GR_API void gr_scope_end(gr_graph *g);
GR_API void gr_scope_end_named(gr_graph *g, const char *name); /* an error unless it is the innermost */

/* --- scratch: what is recorded between begin and end is forgotten, save what is kept --- */

GR_API void gr_scratch_begin(gr_graph *g);
GR_API gr_status gr_scratch_end(gr_graph *g, gr_tensor **keep, int n);  /* replaces keep[i] by a tensor outside with its value */
GR_API gr_status gr_scratch_next(gr_graph *g, gr_tensor **keep, int n); /* ends and begins anew, with keep inside */

/* --- parameters --- */

GR_API gr_param *gr_param_new(const char *name, gr_dtype dtype, gr_shape shape, const void *data); /* data NULL: zeros */
GR_API gr_param *gr_param_retain(gr_param *p);
GR_API void gr_param_release(gr_param *p);
GR_API const char *gr_param_name(const gr_param *p); /* as given to gr_param_new */
GR_API gr_dtype gr_param_dtype(const gr_param *p);
GR_API const gr_shape *gr_param_shape(const gr_param *p);
GR_API const void *gr_param_data(const gr_param *p); /* row-major; NULL for an inert parameter */
GR_API void *gr_param_write(gr_param *p);            /* to change values: recorded uses become stale */
GR_API const void *gr_param_grad(const gr_param *p); /* NULL until a backward reached it */
GR_API const int64_t *gr_param_grad_rows(const gr_param *p, int64_t *n); /* of a table: the rows that may not be 0; NULL: all */
GR_API void gr_param_clear_grad(gr_param *p);
GR_API void gr_param_freeze(gr_param *p, bool frozen); /* a frozen parameter gets no gradient */
GR_API bool gr_param_frozen(const gr_param *p);

/* State written last, once, in tape order, by gr_backward or gr_commit (running statistics). */
GR_API void gr_assign(gr_param *p, gr_tensor *y);
GR_API gr_status gr_commit(gr_graph *g);

/* --- where errors point --- */

/* Between the two calls every op is recorded as if called from `site` (a return address); layers
 * use it so that an error names the user's line, not the layer's. Nested pairs keep the first. */
GR_API void gr_site_begin(gr_graph *g, const void *site);
GR_API void gr_site_end(gr_graph *g);
#define GR_HERE __builtin_extract_return_addr(__builtin_return_address(0))

#ifdef __cplusplus
}
#endif
#endif

/* ops.h - the menu: one line per op, with its formula. */
/* SPDX-License-Identifier: MIT */
#ifndef GRADUS_OPS_H
#define GRADUS_OPS_H

#include <gradus/op.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Element-wise ops broadcast as in NumPy: shapes are aligned at the right, size 1 stretches. */

/* --- arithmetic --- */
GR_API gr_tensor *gr_add(gr_tensor *a, gr_tensor *b); /* a + b */
GR_API gr_tensor *gr_sub(gr_tensor *a, gr_tensor *b); /* a - b */
GR_API gr_tensor *gr_mul(gr_tensor *a, gr_tensor *b); /* a b */
GR_API gr_tensor *gr_div(gr_tensor *a, gr_tensor *b); /* a / b */
GR_API gr_tensor *gr_pow(gr_tensor *a, gr_tensor *b); /* a^b */
GR_API gr_tensor *gr_neg(gr_tensor *x);               /* -x */
GR_API gr_tensor *gr_scale(gr_tensor *x, double a);   /* a x */
GR_API gr_tensor *gr_shift(gr_tensor *x, double b);   /* x + b */

/* --- functions of one variable --- */
GR_API gr_tensor *gr_sqrt(gr_tensor *x);
GR_API gr_tensor *gr_rsqrt(gr_tensor *x);       /* 1 / sqrt x */
GR_API gr_tensor *gr_reciprocal(gr_tensor *x);  /* 1 / x */
GR_API gr_tensor *gr_square(gr_tensor *x);      /* x^2 */
GR_API gr_tensor *gr_abs(gr_tensor *x);         /* |x| */
GR_API gr_tensor *gr_sign(gr_tensor *x);        /* -1, 0 or 1 */

/* --- exponentials and logarithms --- */
GR_API gr_tensor *gr_exp(gr_tensor *x);         /* e^x */
GR_API gr_tensor *gr_expm1(gr_tensor *x);       /* e^x - 1 */
GR_API gr_tensor *gr_exp2(gr_tensor *x);        /* 2^x */
GR_API gr_tensor *gr_log(gr_tensor *x);         /* natural logarithm */
GR_API gr_tensor *gr_log1p(gr_tensor *x);       /* log(1 + x) */
GR_API gr_tensor *gr_log2(gr_tensor *x);
GR_API gr_tensor *gr_log10(gr_tensor *x);
GR_API gr_tensor *gr_logit(gr_tensor *x);       /* log(x / (1 - x)), the inverse of sigmoid */

/* --- trigonometric and hyperbolic functions; angles in radians; tanh: see the activations --- */
GR_API gr_tensor *gr_sin(gr_tensor *x);
GR_API gr_tensor *gr_cos(gr_tensor *x);
GR_API gr_tensor *gr_tan(gr_tensor *x);
GR_API gr_tensor *gr_asin(gr_tensor *x);
GR_API gr_tensor *gr_acos(gr_tensor *x);
GR_API gr_tensor *gr_atan(gr_tensor *x);
GR_API gr_tensor *gr_sinh(gr_tensor *x);
GR_API gr_tensor *gr_cosh(gr_tensor *x);
GR_API gr_tensor *gr_asinh(gr_tensor *x);
GR_API gr_tensor *gr_acosh(gr_tensor *x);
GR_API gr_tensor *gr_atanh(gr_tensor *x);

/* --- special functions --- */
GR_API gr_tensor *gr_erf(gr_tensor *x);         /* 2/sqrt(pi) integral of exp(-t^2) from 0 to x */
GR_API gr_tensor *gr_erfc(gr_tensor *x);        /* 1 - erf(x) */
GR_API gr_tensor *gr_lgamma(gr_tensor *x);      /* log |gamma(x)| */
GR_API gr_tensor *gr_digamma(gr_tensor *x);     /* derivative of log gamma(x) */
GR_API gr_tensor *gr_polygamma(int n, gr_tensor *x); /* n-th derivative of digamma(x) */

/* --- rounding; no gradient flows through the first four --- */
GR_API gr_tensor *gr_floor(gr_tensor *x);
GR_API gr_tensor *gr_ceil(gr_tensor *x);
GR_API gr_tensor *gr_round(gr_tensor *x); /* half to even */
GR_API gr_tensor *gr_trunc(gr_tensor *x); /* towards 0 */
GR_API gr_tensor *gr_remainder(gr_tensor *a, gr_tensor *b); /* a - b floor(a / b) */
GR_API gr_tensor *gr_fmod(gr_tensor *a, gr_tensor *b);      /* a - b trunc(a / b) */

/* --- functions of two and three variables --- */
GR_API gr_tensor *gr_atan2(gr_tensor *a, gr_tensor *b);      /* angle of the point (b, a) */
GR_API gr_tensor *gr_hypot(gr_tensor *a, gr_tensor *b);      /* sqrt(a^2 + b^2) */
GR_API gr_tensor *gr_logaddexp(gr_tensor *a, gr_tensor *b);  /* log(e^a + e^b) */
GR_API gr_tensor *gr_logaddexp2(gr_tensor *a, gr_tensor *b); /* log_2(2^a + 2^b) */
GR_API gr_tensor *gr_xlogy(gr_tensor *a, gr_tensor *b);      /* a log(b), 0 where a = 0 */
GR_API gr_tensor *gr_squared_difference(gr_tensor *a, gr_tensor *b); /* (a - b)^2 */
GR_API gr_tensor *gr_copysign(gr_tensor *a, gr_tensor *b);   /* |a| with the sign of b */
GR_API gr_tensor *gr_lerp(gr_tensor *a, gr_tensor *b, gr_tensor *w); /* a + w (b - a) */
GR_API gr_tensor *gr_addcmul(gr_tensor *x, gr_tensor *a, gr_tensor *b, double value); /* x + value a b */
GR_API gr_tensor *gr_addcdiv(gr_tensor *x, gr_tensor *a, gr_tensor *b, double value); /* x + value a / b */

/* --- activations --- */
GR_API gr_tensor *gr_relu(gr_tensor *x);                     /* max(x, 0) */
GR_API gr_tensor *gr_leaky_relu(gr_tensor *x, double slope); /* x > 0 ? x : slope x */
GR_API gr_tensor *gr_prelu(gr_tensor *x, gr_tensor *w);      /* x > 0 ? x : w x; w [1] or [C], along axis 1 */
GR_API gr_tensor *gr_sigmoid(gr_tensor *x);                  /* 1 / (1 + exp(-x)) */
GR_API gr_tensor *gr_tanh(gr_tensor *x);
GR_API gr_tensor *gr_softplus(gr_tensor *x);                 /* log(1 + exp(x)) */
GR_API gr_tensor *gr_logsigmoid(gr_tensor *x);               /* log(sigmoid(x)) */
GR_API gr_tensor *gr_softsign(gr_tensor *x);                 /* x / (1 + |x|) */
GR_API gr_tensor *gr_gelu(gr_tensor *x);                     /* x (1 + erf(x / sqrt 2)) / 2 */
GR_API gr_tensor *gr_gelu_tanh(gr_tensor *x);                /* x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2 */
GR_API gr_tensor *gr_silu(gr_tensor *x);                     /* x sigmoid(x) */
GR_API gr_tensor *gr_mish(gr_tensor *x);                     /* x tanh(softplus(x)) */
GR_API gr_tensor *gr_elu(gr_tensor *x, double alpha);        /* x > 0 ? x : alpha (exp(x) - 1) */
GR_API gr_tensor *gr_celu(gr_tensor *x, double alpha);       /* x > 0 ? x : alpha (exp(x / alpha) - 1) */
GR_API gr_tensor *gr_selu(gr_tensor *x);                     /* 1.0507 elu(x) with alpha 1.6733 */
GR_API gr_tensor *gr_clamp(gr_tensor *x, double min, double max);    /* min(max(x, min), max) */
GR_API gr_tensor *gr_hardtanh(gr_tensor *x, double min, double max); /* the same; no gradient at the bounds */
GR_API gr_tensor *gr_relu6(gr_tensor *x);                    /* min(max(x, 0), 6) */
GR_API gr_tensor *gr_hardsigmoid(gr_tensor *x);              /* min(max(x + 3, 0), 6) / 6 */
GR_API gr_tensor *gr_hardswish(gr_tensor *x);                /* x hardsigmoid(x) */
GR_API gr_tensor *gr_threshold(gr_tensor *x, double threshold, double value); /* x > threshold ? x : value */
GR_API gr_tensor *gr_hardshrink(gr_tensor *x, double lambda); /* |x| > lambda ? x : 0 */
GR_API gr_tensor *gr_softshrink(gr_tensor *x, double lambda); /* x moved by lambda towards 0, not past it */
GR_API gr_tensor *gr_tanhshrink(gr_tensor *x);               /* x - tanh(x) */

/* --- gated activations: a, b the halves of an axis, which ends half as long --- */
GR_API gr_tensor *gr_glu(gr_tensor *x, int axis);           /* a sigmoid(b) */
GR_API gr_tensor *gr_swiglu(gr_tensor *x, int axis);        /* silu(a) b */
GR_API gr_tensor *gr_geglu(gr_tensor *x, int axis);         /* gelu(a) b */
GR_API gr_tensor *gr_reglu(gr_tensor *x, int axis);         /* relu(a) b */
GR_API gr_tensor *gr_maxout(gr_tensor *x, int k, int axis); /* the largest of each k neighbours */

/* --- choosing and comparing; comparisons give bool --- */
GR_API gr_tensor *gr_maximum(gr_tensor *a, gr_tensor *b);
GR_API gr_tensor *gr_minimum(gr_tensor *a, gr_tensor *b); /* NaN wins, as in gr_maximum */
GR_API gr_tensor *gr_where(gr_tensor *cond, gr_tensor *a, gr_tensor *b); /* cond ? a : b */
GR_API gr_tensor *gr_equal(gr_tensor *a, gr_tensor *b); /* this and the next five: of two tensors of one dtype, bool; NaN differs from all; no gradient */
GR_API gr_tensor *gr_not_equal(gr_tensor *a, gr_tensor *b);
GR_API gr_tensor *gr_less(gr_tensor *a, gr_tensor *b);
GR_API gr_tensor *gr_less_equal(gr_tensor *a, gr_tensor *b);
GR_API gr_tensor *gr_greater(gr_tensor *a, gr_tensor *b);
GR_API gr_tensor *gr_greater_equal(gr_tensor *a, gr_tensor *b);
GR_API gr_tensor *gr_cast(gr_tensor *x, gr_dtype dtype);

/* --- truth values: tests of floats give bool, the logical ones take and give bool --- */
GR_API gr_tensor *gr_isnan(gr_tensor *x);
GR_API gr_tensor *gr_isinf(gr_tensor *x);    /* either sign */
GR_API gr_tensor *gr_isfinite(gr_tensor *x); /* neither NaN nor infinite */
GR_API gr_tensor *gr_logical_and(gr_tensor *a, gr_tensor *b);
GR_API gr_tensor *gr_logical_or(gr_tensor *a, gr_tensor *b);
GR_API gr_tensor *gr_logical_xor(gr_tensor *a, gr_tensor *b);
GR_API gr_tensor *gr_logical_not(gr_tensor *x);

/* --- reductions: over the named axes, GR_AXES(0, -1), or over GR_ALL; keepdim leaves size 1 --- */
#ifndef __cplusplus
#define GR_AXES(...) ((gr_axes){GR__COUNT(int, __VA_ARGS__), {__VA_ARGS__}})
#define GR_ALL ((gr_axes){0, {0}})
#endif
GR_API gr_tensor *gr_sum(gr_tensor *x, gr_axes axes, bool keepdim);
GR_API gr_tensor *gr_mean(gr_tensor *x, gr_axes axes, bool keepdim);
GR_API gr_tensor *gr_prod(gr_tensor *x, gr_axes axes, bool keepdim);
GR_API gr_tensor *gr_max(gr_tensor *x, gr_axes axes, bool keepdim); /* equal maxima share the gradient */
GR_API gr_tensor *gr_min(gr_tensor *x, gr_axes axes, bool keepdim); /* equal minima share the gradient */
GR_API gr_tensor *gr_argmax(gr_tensor *x, int axis);                /* int64; the first of equals */
GR_API gr_tensor *gr_argmin(gr_tensor *x, int axis);                /* int64; the first of equals */
GR_API gr_tensor *gr_sum_all(gr_tensor *x);  /* of bool: int64 count */
GR_API gr_tensor *gr_mean_all(gr_tensor *x);
GR_API gr_tensor *gr_var(gr_tensor *x, gr_axes axes, bool keepdim, int correction); /* sum (x - mean)^2 / (n - correction); output 1: the mean */
GR_API gr_tensor *gr_std(gr_tensor *x, gr_axes axes, bool keepdim, int correction); /* sqrt of gr_var; output 1: the mean */
GR_API gr_tensor *gr_norm(gr_tensor *x, double p, gr_axes axes, bool keepdim); /* (sum |x|^p)^(1/p); p INFINITY, -INFINITY: max, min |x|; 0: count */
GR_API gr_tensor *gr_logsumexp(gr_tensor *x, gr_axes axes, bool keepdim);      /* log sum exp(x) */
GR_API gr_tensor *gr_count_nonzero(gr_tensor *x, gr_axes axes, bool keepdim);  /* int64 */
GR_API gr_tensor *gr_any(gr_tensor *x, gr_axes axes, bool keepdim);            /* bool: some x != 0 */
GR_API gr_tensor *gr_all(gr_tensor *x, gr_axes axes, bool keepdim);            /* bool: no x = 0 */

/* --- running along an axis --- */
typedef struct gr_scan_options {
    bool reverse;   /* from the end */
    bool exclusive; /* y_i is what was before x_i */
} gr_scan_options;
GR_API gr_tensor *gr_cumsum(gr_tensor *x, int axis, gr_scan_options o);  /* y_i = x_0 + ... + x_i */
GR_API gr_tensor *gr_cumprod(gr_tensor *x, int axis, gr_scan_options o); /* y_i = x_0 ... x_i */
GR_API gr_tensor *gr_linear_scan(gr_tensor *a, gr_tensor *b, int axis, bool reverse); /* y_i = a_i y_{i-1} + b_i, y_0 = b_0 */
GR_API gr_tensor *gr_logcumsumexp(gr_tensor *x, int axis);               /* y_i = log sum_{j<=i} exp(x_j) */
GR_API gr_tensor *gr_cummax(gr_tensor *x, int axis); /* y_i = max_{j<=i} x_j; output 1: which, int64 */
GR_API gr_tensor *gr_cummin(gr_tensor *x, int axis); /* y_i = min_{j<=i} x_j; output 1: which, int64 */

/* --- shape; views share storage and cost nothing --- */
GR_API gr_tensor *gr_reshape(gr_tensor *x, gr_shape shape); /* one size may be -1 */
GR_API gr_tensor *gr_flatten(gr_tensor *x, int from_axis);  /* [2,3,4] from 1 -> [2,12] */
GR_API gr_tensor *gr_permute(gr_tensor *x, gr_axes axes);   /* axis i of the result is axes[i] of x */
GR_API gr_tensor *gr_transpose(gr_tensor *x, int a, int b); /* swaps two axes */
GR_API gr_tensor *gr_expand(gr_tensor *x, gr_shape shape);  /* stretches sizes of 1, adds axes in front */
GR_API gr_tensor *gr_sum_to(gr_tensor *x, gr_shape shape);  /* undoes gr_expand by summing */
GR_API gr_tensor *gr_slice(gr_tensor *x, int axis, int64_t start, int64_t stop, int64_t step); /* as x[start:stop:step]; a negative step goes backwards */
GR_API gr_tensor *gr_concat(gr_tensor *const *x, int n, int axis);
GR_API gr_tensor *gr_squeeze(gr_tensor *x, gr_axes axes);   /* drops named axes of size 1; GR_ALL: every one */
GR_API gr_tensor *gr_unsqueeze(gr_tensor *x, int axis);     /* adds an axis of size 1 */
GR_API gr_tensor *gr_unflatten(gr_tensor *x, int axis, gr_shape sizes); /* [2,12] on 1 into [3,4] -> [2,3,4] */
GR_API gr_tensor *gr_movedim(gr_tensor *x, int from, int to); /* one axis to another place */
GR_API gr_tensor *gr_flip(gr_tensor *x, gr_axes axes);      /* the order of elements turned round */
GR_API gr_tensor *gr_rot90(gr_tensor *x, int times, int from, int to); /* quarter turns of a plane */
GR_API gr_tensor *gr_select(gr_tensor *x, int axis, int64_t index); /* x[..., index, ...], the axis gone */
GR_API gr_tensor *gr_narrow(gr_tensor *x, int axis, int64_t start, int64_t length);
GR_API gr_tensor *gr_stack(gr_tensor *const *x, int n, int axis); /* along a new axis */
GR_API gr_status gr_split(gr_tensor *x, int axis, const int64_t *sizes, int n, gr_tensor **part); /* n slices of these sizes */
GR_API int gr_chunk(gr_tensor *x, int axis, int n, gr_tensor **part); /* at most n slices of one size; how many */
GR_API gr_tensor *gr_repeat(gr_tensor *x, gr_shape times);  /* copies side by side: 1 2 1 2 */
GR_API gr_tensor *gr_repeat_interleave(gr_tensor *x, int axis, int64_t times); /* 1 1 2 2 */
GR_API gr_tensor *gr_roll(gr_tensor *x, int axis, int64_t shift); /* y[i] = x[(i - shift) mod n] */
GR_API gr_tensor *gr_diagonal(gr_tensor *x, int64_t offset, int axis1, int axis2); /* y[..., i] = x[..., i, i + offset] */
GR_API gr_tensor *gr_diag_embed(gr_tensor *x, int64_t offset, int axis1, int axis2); /* matrices with x on that diagonal */
GR_API gr_tensor *gr_diag(gr_tensor *x, int64_t offset);    /* vector to diagonal matrix, matrix to diagonal */
GR_API gr_tensor *gr_trace(gr_tensor *x);                   /* sum_i x_ii: [..., m, n] -> [...] */
GR_API gr_tensor *gr_tril(gr_tensor *x, int64_t offset);    /* zero where j - i > offset */
GR_API gr_tensor *gr_triu(gr_tensor *x, int64_t offset);    /* zero where j - i < offset */

typedef enum gr_pad_mode { GR_PAD_CONSTANT, GR_PAD_REFLECT, GR_PAD_REPLICATE, GR_PAD_CIRCULAR } gr_pad_mode;

typedef struct gr_pad_options {
    int64_t before[GR_MAX_RANK], after[GR_MAX_RANK]; /* at each axis; negative cuts off */
    gr_pad_mode mode;
    double value; /* of a constant border */
} gr_pad_options;
GR_API gr_tensor *gr_pad(gr_tensor *x, gr_pad_options o);

/* --- made from nothing; see graph.h for gr_full, gr_zeros, gr_ones --- */
GR_API gr_tensor *gr_arange(gr_graph *g, gr_dtype dtype, double start, double stop, double step); /* start + i step, before stop */
GR_API gr_tensor *gr_linspace(gr_graph *g, gr_dtype dtype, double start, double stop, int64_t n); /* stop included */
GR_API gr_tensor *gr_eye(gr_graph *g, gr_dtype dtype, int64_t rows, int64_t columns);
GR_API gr_tensor *gr_full_like(gr_tensor *x, double value); /* of the shape and dtype of x */
GR_API gr_tensor *gr_zeros_like(gr_tensor *x);
GR_API gr_tensor *gr_ones_like(gr_tensor *x);

/* --- matrix products --- */
GR_API gr_tensor *gr_matmul(gr_tensor *a, gr_tensor *b); /* [..., m, k] . [..., k, n] -> [..., m, n] */
GR_API gr_tensor *gr_linear(gr_tensor *x, gr_tensor *w, gr_tensor *b); /* x w^T + b: [..., in], [out, in], [out] or NULL -> [..., out] */
GR_API gr_tensor *gr_bilinear(gr_tensor *a, gr_tensor *b, gr_tensor *w, gr_tensor *bias); /* y_k = a^T w_k b + bias_k: [..., i], [..., j], [out, i, j], [out] or NULL */
GR_API gr_tensor *gr_dot(gr_tensor *a, gr_tensor *b);               /* sum_i a_i b_i of two vectors */
GR_API gr_tensor *gr_vecdot(gr_tensor *a, gr_tensor *b, int axis);  /* the same along an axis */
GR_API gr_tensor *gr_outer(gr_tensor *a, gr_tensor *b);             /* a_i b_j */
GR_API gr_tensor *gr_cross(gr_tensor *a, gr_tensor *b, int axis);   /* a x b, of 3 elements along the axis */
GR_API gr_tensor *gr_kron(gr_tensor *a, gr_tensor *b);              /* every element of a times all of b */
GR_API gr_tensor *gr_tensordot(gr_tensor *a, gr_tensor *b, gr_axes axes_a, gr_axes axes_b); /* sums over axes in pairs */
GR_API gr_tensor *gr_einsum(const char *equation, gr_tensor *const *x, int n); /* "bij,bjk->bik" */

/* --- linear algebra: of the last two axes, the axes in front count matrices --- */
typedef struct gr_triangular_options {
    bool upper;     /* A is its upper triangle, else its lower one */
    bool transpose; /* A^T in place of A */
    bool unit;      /* the diagonal counts as ones */
    bool right;     /* X A = B in place of A X = B */
} gr_triangular_options;
GR_API gr_tensor *gr_solve(gr_tensor *a, gr_tensor *b);   /* X of A X = B */
GR_API gr_tensor *gr_solve_triangular(gr_tensor *a, gr_tensor *b, gr_triangular_options o);
GR_API gr_tensor *gr_inverse(gr_tensor *a);               /* A^-1; gr_solve is better for systems */
GR_API gr_tensor *gr_det(gr_tensor *a);                   /* [...,n,n] -> [...] */
GR_API gr_tensor *gr_slogdet(gr_tensor *a);               /* the sign of det A; gr_output(y, 1): log |det A| */
GR_API gr_tensor *gr_cholesky(gr_tensor *a);              /* L of A = L L^T, A symmetric positive definite */
GR_API gr_tensor *gr_cholesky_solve(gr_tensor *b, gr_tensor *l, bool upper); /* X of L L^T X = B, or of U^T U X = B */
GR_API gr_tensor *gr_qr(gr_tensor *a);                    /* Q of A = Q R; gr_output(q, 1): R, its diagonal not negative */
GR_API gr_tensor *gr_lstsq(gr_tensor *a, gr_tensor *b);   /* X of least |A X - B|; A of full rank with m >= n */
GR_API gr_tensor *gr_eigh(gr_tensor *a);                  /* w of A = V diag(w) V^T, A symmetric, ascending; gr_output(w, 1): V */
GR_API gr_tensor *gr_eigvalsh(gr_tensor *a);              /* w alone */
GR_API gr_tensor *gr_svd(gr_tensor *a);                   /* U of A = U diag(s) Vh; gr_output(u, 1): s, descending; 2: Vh */
GR_API gr_tensor *gr_svdvals(gr_tensor *a);               /* s alone */
GR_API gr_tensor *gr_matrix_power(gr_tensor *x, int n);   /* x x ... x; n < 0: of the inverse */

typedef enum gr_matrix_norm_order {
    GR_MATRIX_NORM_FRO, GR_MATRIX_NORM_NUC, GR_MATRIX_NORM_1, GR_MATRIX_NORM_INF, GR_MATRIX_NORM_2,
    GR_MATRIX_NORM_MINUS_1, GR_MATRIX_NORM_MINUS_INF, GR_MATRIX_NORM_MINUS_2
} gr_matrix_norm_order;
GR_API gr_tensor *gr_matrix_norm(gr_tensor *x, gr_matrix_norm_order order, bool keepdim); /* [...,m,n] -> [...] */

/* --- convolution; options 0 count as 1 where 0 makes no sense: stride, dilation, groups --- */
typedef struct gr_conv1d_options {
    int stride, padding, dilation, groups;
    bool same; /* instead of padding: so many zeros that y has the size of x */
} gr_conv1d_options;
typedef struct gr_conv2d_options {
    int stride[2], padding[2], dilation[2]; /* [height, width] */
    int groups;
    bool same;
} gr_conv2d_options;
typedef struct gr_conv3d_options {
    int stride[3], padding[3], dilation[3]; /* [depth, height, width] */
    int groups;
    bool same;
} gr_conv3d_options;
GR_API gr_tensor *gr_conv1d(gr_tensor *x, gr_tensor *w, gr_tensor *b, gr_conv1d_options o); /* [N,C,L], [O,C/groups,K], [O] or NULL -> [N,O,OL] */
GR_API gr_tensor *gr_conv2d(gr_tensor *x, gr_tensor *w, gr_tensor *b, gr_conv2d_options o); /* [N,C,H,W], [O,C/groups,KH,KW], [O] or NULL -> [N,O,OH,OW] */
GR_API gr_tensor *gr_conv3d(gr_tensor *x, gr_tensor *w, gr_tensor *b, gr_conv3d_options o); /* [N,C,D,H,W], [O,C/groups,KD,KH,KW], [O] or NULL -> [N,O,OD,OH,OW] */

typedef struct gr_conv_transpose1d_options {
    int stride, padding, output_padding, dilation, groups;
} gr_conv_transpose1d_options;
typedef struct gr_conv_transpose2d_options {
    int stride[2], padding[2], output_padding[2], dilation[2];
    int groups;
} gr_conv_transpose2d_options;
typedef struct gr_conv_transpose3d_options {
    int stride[3], padding[3], output_padding[3], dilation[3];
    int groups;
} gr_conv_transpose3d_options;
GR_API gr_tensor *gr_conv_transpose1d(gr_tensor *x, gr_tensor *w, gr_tensor *b, gr_conv_transpose1d_options o); /* [N,C,L], [C,O/groups,K], [O] or NULL -> [N,O,OL] */
GR_API gr_tensor *gr_conv_transpose2d(gr_tensor *x, gr_tensor *w, gr_tensor *b, gr_conv_transpose2d_options o); /* [N,C,H,W], [C,O/groups,KH,KW], [O] or NULL -> [N,O,OH,OW] */
GR_API gr_tensor *gr_conv_transpose3d(gr_tensor *x, gr_tensor *w, gr_tensor *b, gr_conv_transpose3d_options o); /* [N,C,D,H,W], [C,O/groups,KD,KH,KW], [O] or NULL -> [N,O,OD,OH,OW] */

/* --- pooling over windows --- */
/* Options 0 stand for: a stride of the kernel's size, no padding, dilation 1. ceil_mode lets the last
 * window reach beyond the padding; exclude_padding, of means, divides by the elements of x alone. */
typedef struct gr_pool1d_options {
    int kernel, stride, padding, dilation;
    bool ceil_mode, exclude_padding;
} gr_pool1d_options;
typedef struct gr_pool2d_options {
    int kernel[2], stride[2], padding[2], dilation[2]; /* [height, width] */
    bool ceil_mode, exclude_padding;
} gr_pool2d_options;
typedef struct gr_pool3d_options {
    int kernel[3], stride[3], padding[3], dilation[3]; /* [depth, height, width] */
    bool ceil_mode, exclude_padding;
} gr_pool3d_options;
/* The first of equal maxima gets the gradient; gr_output(y, 1) is its place in the plane, int64. */
GR_API gr_tensor *gr_max_pool1d(gr_tensor *x, gr_pool1d_options o); /* [N,C,L] -> [N,C,OL] */
GR_API gr_tensor *gr_max_pool2d(gr_tensor *x, gr_pool2d_options o); /* [N,C,H,W] -> [N,C,OH,OW] */
GR_API gr_tensor *gr_max_pool3d(gr_tensor *x, gr_pool3d_options o); /* [N,C,D,H,W] -> [N,C,OD,OH,OW] */
GR_API gr_tensor *gr_adaptive_max_pool1d(gr_tensor *x, int64_t length);                /* [N,C,L] -> [N,C,length] */
GR_API gr_tensor *gr_adaptive_max_pool2d(gr_tensor *x, int64_t height, int64_t width); /* [N,C,H,W] -> [N,C,height,width] */
GR_API gr_tensor *gr_max_unpool(gr_tensor *x, gr_tensor *place, gr_shape size); /* y[n,c,place] = x: maxima back into planes of that size */
GR_API gr_tensor *gr_avg_pool1d(gr_tensor *x, gr_pool1d_options o); /* sizes as for maxima; padding counts as zeros in the mean */
GR_API gr_tensor *gr_avg_pool2d(gr_tensor *x, gr_pool2d_options o);
GR_API gr_tensor *gr_avg_pool3d(gr_tensor *x, gr_pool3d_options o);
GR_API gr_tensor *gr_adaptive_avg_pool1d(gr_tensor *x, int64_t length);                /* [N,C,L] -> [N,C,length] */
GR_API gr_tensor *gr_adaptive_avg_pool2d(gr_tensor *x, int64_t height, int64_t width); /* [N,C,H,W] -> [N,C,height,width] */
GR_API gr_tensor *gr_global_avg_pool(gr_tensor *x); /* [N,C,...] -> [N,C,1,...] */
GR_API gr_tensor *gr_global_max_pool(gr_tensor *x); /* equal maxima share the gradient */

/* --- images in other sizes and arrangements --- */
typedef struct gr_upsample_options {
    int64_t size[3]; /* of each axis behind [N,C], or else */
    double scale[3]; /* by how much each one grows */
    bool align_corners; /* of linear: the first and last elements keep their places */
} gr_upsample_options;
GR_API gr_tensor *gr_upsample_nearest(gr_tensor *x, gr_upsample_options o); /* [N,C,L], [N,C,H,W] or [N,C,D,H,W] */
GR_API gr_tensor *gr_upsample_linear(gr_tensor *x, gr_upsample_options o);  /* linear, bilinear or trilinear */
GR_API gr_tensor *gr_pixel_shuffle(gr_tensor *x, int factor);   /* [N,C r r,H,W] -> [N,C,H r,W r] */
GR_API gr_tensor *gr_pixel_unshuffle(gr_tensor *x, int factor); /* [N,C,H r,W r] -> [N,C r r,H,W] */

typedef struct gr_unfold_options {
    int kernel[2], stride[2], padding[2], dilation[2]; /* [height, width]; stride and dilation 0 count as 1 */
} gr_unfold_options;
GR_API gr_tensor *gr_unfold(gr_tensor *x, gr_unfold_options o); /* patches as columns: [N,C,H,W] -> [N,C KH KW,OH OW] */
GR_API gr_tensor *gr_fold(gr_tensor *x, int64_t height, int64_t width, gr_unfold_options o); /* their sum: [N,C KH KW,OH OW] -> [N,C,height,width] */

typedef struct gr_local_response_norm_options {
    int size;                    /* channels that count together, 1 or more */
    double alpha, beta, k;       /* 0 stands for 1e-4, 0.75 and 1 */
} gr_local_response_norm_options;
GR_API gr_tensor *gr_local_response_norm(gr_tensor *x, gr_local_response_norm_options o); /* x / (k + alpha mean of x^2 over near channels)^beta */

/* --- recurrent networks: weights as PyTorch has them, gates i f g o of an LSTM, r z n of a GRU --- */
typedef enum gr_rnn_nonlinearity { GR_RNN_TANH, GR_RNN_RELU } gr_rnn_nonlinearity;

typedef struct gr_rnn_weights {
    gr_tensor *w_ih, *w_hh; /* [G H, in], [G H, H] with G gates: 1, LSTM 4, GRU 3 */
    gr_tensor *b_ih, *b_hh; /* [G H], both or none */
} gr_rnn_weights;
GR_API gr_tensor *gr_rnn_cell(gr_tensor *x, gr_tensor *h, gr_rnn_weights w, gr_rnn_nonlinearity f); /* f(w_ih x + b_ih + w_hh h + b_hh): [...,in], [...,H] -> [...,H] */
GR_API gr_tensor *gr_lstm_cell(gr_tensor *x, gr_tensor *h, gr_tensor *c, gr_rnn_weights w); /* the next h; gr_output(h, 1) is the next c */
GR_API gr_tensor *gr_gru_cell(gr_tensor *x, gr_tensor *h, gr_rnn_weights w);                /* the next h */

typedef struct gr_rnn_options {
    int layers;                       /* 0 counts as 1 */
    bool bidirectional;
    bool batch_first;                 /* x and y are [N,T,...] */
    double dropout;                   /* between layers; 0 when not training */
    gr_rnn_nonlinearity nonlinearity; /* of gr_rnn */
} gr_rnn_options;
typedef struct gr_recurrent {
    gr_tensor *y, *h, *c; /* [T,N,D H], [L D,N,H] twice, with D directions and L layers; c is NULL but for an LSTM */
} gr_recurrent;
/* x: [T,N,in]; h0, c0: [L D,N,H] or NULL, zeros; lengths: int64 [N] or NULL; w: L D of them, layer by
 * layer, forward before reverse. Beyond a row's length y is 0; h and c are those at its end. */
GR_API gr_recurrent gr_rnn(gr_tensor *x, gr_tensor *h0, gr_tensor *lengths, const gr_rnn_weights *w, gr_rnn_options o);
GR_API gr_recurrent gr_lstm(gr_tensor *x, gr_tensor *h0, gr_tensor *c0, gr_tensor *lengths, const gr_rnn_weights *w, gr_rnn_options o);
GR_API gr_recurrent gr_gru(gr_tensor *x, gr_tensor *h0, gr_tensor *lengths, const gr_rnn_weights *w, gr_rnn_options o);

/* --- probabilities --- */
GR_API gr_tensor *gr_softmax(gr_tensor *x, int axis);     /* exp(x_i) / sum_j exp(x_j) */
GR_API gr_tensor *gr_log_softmax(gr_tensor *x, int axis); /* x_i - log sum_j exp(x_j) */
GR_API gr_tensor *gr_softmin(gr_tensor *x, int axis);     /* exp(-x_i) / sum_j exp(-x_j) */

/* --- losses: gr_NAME with the defaults, the mean over all elements; gr_NAME_loss with options,
 *     where 0 stands for the default; x and target t of one shape unless said otherwise --- */
typedef enum gr_reduction { GR_REDUCTION_MEAN, GR_REDUCTION_SUM, GR_REDUCTION_NONE } gr_reduction;
typedef struct gr_loss_options {
    gr_reduction reduction;
} gr_loss_options;
GR_API gr_tensor *gr_mse(gr_tensor *x, gr_tensor *target); /* (x - t)^2 */
GR_API gr_tensor *gr_mse_loss(gr_tensor *x, gr_tensor *target, gr_loss_options o);
GR_API gr_tensor *gr_l1(gr_tensor *x, gr_tensor *target);  /* |x - t| */
GR_API gr_tensor *gr_l1_loss(gr_tensor *x, gr_tensor *target, gr_loss_options o);

typedef struct gr_huber_options {
    gr_reduction reduction;
    double delta; /* 0: 1 */
} gr_huber_options;
GR_API gr_tensor *gr_huber(gr_tensor *x, gr_tensor *target); /* |d| < delta ? d^2/2 : delta (|d| - delta/2), d = x - t */
GR_API gr_tensor *gr_huber_loss(gr_tensor *x, gr_tensor *target, gr_huber_options o);

typedef struct gr_smooth_l1_options {
    gr_reduction reduction;
    double beta; /* 0: 1 */
} gr_smooth_l1_options;
GR_API gr_tensor *gr_smooth_l1(gr_tensor *x, gr_tensor *target); /* |d| < beta ? d^2/(2 beta) : |d| - beta/2 */
GR_API gr_tensor *gr_smooth_l1_loss(gr_tensor *x, gr_tensor *target, gr_smooth_l1_options o);

typedef struct gr_poisson_nll_options {
    gr_reduction reduction;
    bool plain_rate; /* x is the rate, not its logarithm */
    bool full;       /* with log t! */
    double eps;      /* added to a plain rate; 0: 1e-8 */
} gr_poisson_nll_options;
GR_API gr_tensor *gr_poisson_nll(gr_tensor *x, gr_tensor *target); /* exp(x) - t x */
GR_API gr_tensor *gr_poisson_nll_loss(gr_tensor *x, gr_tensor *target, gr_poisson_nll_options o);

typedef struct gr_gaussian_nll_options {
    gr_reduction reduction;
    bool full;  /* with log(2 pi)/2 */
    double eps; /* the least variance; 0: 1e-6 */
} gr_gaussian_nll_options;
GR_API gr_tensor *gr_gaussian_nll(gr_tensor *x, gr_tensor *target, gr_tensor *variance); /* (log v + (x - t)^2/v) / 2; v like x, or with a last size of 1 */
GR_API gr_tensor *gr_gaussian_nll_loss(gr_tensor *x, gr_tensor *target, gr_tensor *variance, gr_gaussian_nll_options o);

typedef struct gr_kl_div_options {
    gr_reduction reduction;
    bool log_target; /* the target is given as logarithms */
    bool batch_mean; /* instead of reduction: the sum over the size of the first axis */
} gr_kl_div_options;
GR_API gr_tensor *gr_kl_div(gr_tensor *x, gr_tensor *target); /* t (log t - x), x being logarithms */
GR_API gr_tensor *gr_kl_div_loss(gr_tensor *x, gr_tensor *target, gr_kl_div_options o);

GR_API gr_tensor *gr_bce(gr_tensor *x, gr_tensor *target); /* -t log x - (1 - t) log(1 - x) */
GR_API gr_tensor *gr_bce_loss(gr_tensor *x, gr_tensor *target, gr_tensor *weight, gr_loss_options o); /* weight NULL, or broadcast to x */
GR_API gr_tensor *gr_bce_with_logits(gr_tensor *x, gr_tensor *target); /* bce of sigmoid(x), at any x */
GR_API gr_tensor *gr_bce_with_logits_loss(gr_tensor *x, gr_tensor *target, gr_tensor *weight, gr_tensor *pos_weight, gr_loss_options o);
GR_API gr_tensor *gr_soft_margin(gr_tensor *x, gr_tensor *target); /* log(1 + exp(-t x)), t = -1 or 1 */
GR_API gr_tensor *gr_soft_margin_loss(gr_tensor *x, gr_tensor *target, gr_loss_options o);

typedef struct gr_hinge_options {
    gr_reduction reduction;
    double margin; /* 0: 1 */
} gr_hinge_options;
GR_API gr_tensor *gr_hinge(gr_tensor *x, gr_tensor *target);         /* max(0, margin - t x), t = -1 or 1 */
GR_API gr_tensor *gr_hinge_loss(gr_tensor *x, gr_tensor *target, gr_hinge_options o);
GR_API gr_tensor *gr_squared_hinge(gr_tensor *x, gr_tensor *target); /* its square */
GR_API gr_tensor *gr_squared_hinge_loss(gr_tensor *x, gr_tensor *target, gr_hinge_options o);

typedef struct gr_margin_options {
    gr_reduction reduction;
    double margin; /* 0: none */
} gr_margin_options;
GR_API gr_tensor *gr_margin_ranking(gr_tensor *a, gr_tensor *b, gr_tensor *target); /* max(0, margin - t (a - b)), t = -1 or 1 */
GR_API gr_tensor *gr_margin_ranking_loss(gr_tensor *a, gr_tensor *b, gr_tensor *target, gr_margin_options o);

typedef struct gr_focal_options {
    gr_reduction reduction;
    double alpha; /* weight of the positives, 1 - alpha of the others; 0: 0.25, negative: no weights */
    double gamma; /* 0: 2 */
} gr_focal_options;
GR_API gr_tensor *gr_focal(gr_tensor *x, gr_tensor *target); /* bce_with_logits times (chance of being wrong)^gamma */
GR_API gr_tensor *gr_focal_loss(gr_tensor *x, gr_tensor *target, gr_focal_options o);

typedef struct gr_dice_options {
    gr_reduction reduction;
    double smooth; /* 0: 1 */
} gr_dice_options;
GR_API gr_tensor *gr_dice(gr_tensor *x, gr_tensor *target); /* 1 - (2 sum x t + smooth) / (sum x + sum t + smooth) for each of the first axis */
GR_API gr_tensor *gr_dice_loss(gr_tensor *x, gr_tensor *target, gr_dice_options o);

typedef struct gr_cross_entropy_options {
    gr_reduction reduction;
    bool ignore;            /* targets equal to ignore_index do not count */
    int64_t ignore_index;
    double label_smoothing; /* so much of the target is spread over all classes */
} gr_cross_entropy_options;
GR_API gr_tensor *gr_cross_entropy(gr_tensor *logits, gr_tensor *target); /* [N,C,...], int64 [N,...] or probabilities like the logits -> mean of -log softmax(logits)[n, target_n] */
GR_API gr_tensor *gr_cross_entropy_loss(gr_tensor *logits, gr_tensor *target, gr_tensor *weight, gr_cross_entropy_options o); /* weight [C] or NULL */

typedef struct gr_nll_options {
    gr_reduction reduction;
    bool ignore; /* targets equal to ignore_index do not count */
    int64_t ignore_index;
} gr_nll_options;
GR_API gr_tensor *gr_nll(gr_tensor *x, gr_tensor *target); /* -x[n, target_n], x being log-probabilities [N,C,...], target int64 [N,...] */
GR_API gr_tensor *gr_nll_loss(gr_tensor *x, gr_tensor *target, gr_tensor *weight, gr_nll_options o); /* weight [C] or NULL */

typedef struct gr_multi_margin_options {
    gr_reduction reduction;
    int p;         /* 1 or 2; 0: 1 */
    double margin; /* 0: 1 */
} gr_multi_margin_options;
GR_API gr_tensor *gr_multi_margin(gr_tensor *x, gr_tensor *target); /* sum over i != t of max(0, margin - x_t + x_i)^p / C; [N,C], int64 [N] */
GR_API gr_tensor *gr_multi_margin_loss(gr_tensor *x, gr_tensor *target, gr_tensor *weight, gr_multi_margin_options o); /* weight [C] or NULL */

typedef struct gr_distance_options {
    double p, eps; /* 0: 2 and 1e-6 */
    bool keepdim;
} gr_distance_options;
GR_API gr_tensor *gr_cosine_similarity(gr_tensor *a, gr_tensor *b, int axis, double eps); /* a.b / (|a| |b|) along the axis; eps 0: 1e-8 */
GR_API gr_tensor *gr_pairwise_distance(gr_tensor *a, gr_tensor *b, gr_distance_options o); /* |a - b + eps|_p along the last axis */
GR_API gr_tensor *gr_cosine_embedding(gr_tensor *a, gr_tensor *b, gr_tensor *target); /* t > 0 ? 1 - cos : max(0, cos - margin); [...,D], [...,D], [...] */
GR_API gr_tensor *gr_cosine_embedding_loss(gr_tensor *a, gr_tensor *b, gr_tensor *target, gr_margin_options o);
GR_API gr_tensor *gr_contrastive(gr_tensor *a, gr_tensor *b, gr_tensor *target); /* ((1 - t) d^2 + t max(0, margin - d)^2) / 2, d = |a - b|; [...,D], [...,D], [...] */
GR_API gr_tensor *gr_contrastive_loss(gr_tensor *a, gr_tensor *b, gr_tensor *target, gr_hinge_options o);

typedef struct gr_triplet_options {
    gr_reduction reduction;
    double margin; /* 0: 1 */
    double p, eps; /* of gr_pairwise_distance */
    bool swap;     /* the negative's distance is the lesser of those to anchor and positive */
} gr_triplet_options;
GR_API gr_tensor *gr_triplet_margin(gr_tensor *anchor, gr_tensor *positive, gr_tensor *negative); /* max(0, d(a, p) - d(a, n) + margin), all [...,D] */
GR_API gr_tensor *gr_triplet_margin_loss(gr_tensor *anchor, gr_tensor *positive, gr_tensor *negative, gr_triplet_options o);
GR_API gr_tensor *gr_negative_sampling(gr_tensor *x, gr_tensor *target, gr_tensor *noise); /* [N,D], [N,D], [N,K,D]: -log s(u.v) - sum_k log s(-u.n_k), s the sigmoid */
GR_API gr_tensor *gr_negative_sampling_loss(gr_tensor *x, gr_tensor *target, gr_tensor *noise, gr_loss_options o);

typedef struct gr_info_nce_options {
    gr_reduction reduction;
    double temperature; /* 0: 0.1 */
} gr_info_nce_options;
GR_API gr_tensor *gr_info_nce(gr_tensor *query, gr_tensor *key); /* cross-entropy of cos(q_n, k_m) / temperature, m = n being right; both [N,D] */
GR_API gr_tensor *gr_info_nce_loss(gr_tensor *query, gr_tensor *key, gr_info_nce_options o);

typedef struct gr_ctc_options {
    gr_reduction reduction; /* the mean divides each loss by the length of its target first */
    int64_t blank;
    bool zero_infinity; /* impossible targets count 0, not Inf */
} gr_ctc_options;
GR_API gr_tensor *gr_ctc(gr_tensor *log_probs, gr_tensor *targets, gr_tensor *input_lengths, gr_tensor *target_lengths); /* -log p(target), blanks dropped; [T,N,C], int64 [N,S], [N], [N] */
GR_API gr_tensor *gr_ctc_loss(gr_tensor *log_probs, gr_tensor *targets, gr_tensor *input_lengths, gr_tensor *target_lengths, gr_ctc_options o);

/* --- normalisation; w and b may be NULL; eps 0: 1e-5, of rms_norm the dtype's epsilon --- */
GR_API gr_tensor *gr_layer_norm(gr_tensor *x, gr_shape shape, gr_tensor *w, gr_tensor *b, double eps); /* (x - mean) / sqrt(var + eps) w + b over the trailing axes `shape` */
GR_API gr_tensor *gr_rms_norm(gr_tensor *x, gr_shape shape, gr_tensor *w, double eps); /* x / sqrt(mean x^2 + eps) w */
GR_API gr_tensor *gr_group_norm(gr_tensor *x, int groups, gr_tensor *w, gr_tensor *b, double eps); /* [N,C,...], over C/groups channels; w, b [C] */
GR_API gr_tensor *gr_instance_norm(gr_tensor *x, gr_tensor *w, gr_tensor *b, double eps); /* [N,C,...], over each channel of each sample */
GR_API gr_tensor *gr_batch_norm(gr_tensor *x, gr_tensor *w, gr_tensor *b, double eps); /* [N,C,...], over each channel of the batch; outputs 1, 2: mean, unbiased variance [C] */
GR_API gr_tensor *gr_batch_norm_inference(gr_tensor *x, gr_tensor *mean, gr_tensor *variance, gr_tensor *w, gr_tensor *b, double eps);
GR_API gr_tensor *gr_normalize(gr_tensor *x, double p, int axis, double eps); /* x / max(|x|_p, eps); p 0: 2; eps 0: 1e-12 */
GR_API gr_tensor *gr_weight_norm(gr_tensor *v, gr_tensor *g, int axis); /* g v / |v|; g of size 1 but on the axis */
GR_API gr_tensor *gr_spectral_norm(gr_tensor *w, gr_tensor *u, int iterations, gr_tensor **next_u); /* w / its largest singular value, by power iteration from u [m] */

/* --- attention --- */
typedef struct gr_attention_options {
    double scale;   /* of q k^T; 0: 1 / sqrt(E) */
    double dropout; /* probability with which a weight becomes 0, the others growing by 1 / (1 - it) */
    bool causal;    /* row i sees the keys 0 to i */
} gr_attention_options;
GR_API gr_tensor *gr_scaled_dot_product_attention(gr_tensor *q, gr_tensor *k, gr_tensor *v, gr_tensor *mask, gr_attention_options o); /* softmax(scale q k^T + mask) v: [...,L,E], [...,S,E], [...,S,V] -> [...,L,V]; mask NULL, float or bool */

/* --- random; each call draws anew from the graph's seed --- */
GR_API gr_tensor *gr_dropout(gr_tensor *x, double p); /* zero with probability p, else x / (1 - p) */
GR_API gr_tensor *gr_dropout_channels(gr_tensor *x, double p); /* the same for whole channels of [N,C,...] */
GR_API gr_tensor *gr_alpha_dropout(gr_tensor *x, double p);    /* for selu: keeps mean 0, variance 1 */
GR_API gr_tensor *gr_rand(gr_graph *g, gr_dtype dtype, gr_shape shape);  /* uniform in [0, 1) */
GR_API gr_tensor *gr_randn(gr_graph *g, gr_dtype dtype, gr_shape shape); /* normal, mean 0, variance 1 */
GR_API gr_tensor *gr_rand_exponential(gr_graph *g, gr_dtype dtype, gr_shape shape); /* -log u */
GR_API gr_tensor *gr_rand_gumbel(gr_graph *g, gr_dtype dtype, gr_shape shape);      /* -log(-log u) */
GR_API gr_tensor *gr_randint(gr_graph *g, int64_t low, int64_t high, gr_shape shape); /* int64 of [low, high) */
GR_API gr_tensor *gr_randperm(gr_graph *g, int64_t n);                   /* 0 ... n - 1 shuffled */
GR_API gr_tensor *gr_bernoulli(gr_tensor *p);                  /* 1 with probability p, else 0 */
GR_API gr_tensor *gr_uniform(gr_tensor *low, gr_tensor *high); /* in [low, high) */
GR_API gr_tensor *gr_normal(gr_tensor *mean, gr_tensor *std);
GR_API gr_tensor *gr_exponential(gr_tensor *rate);             /* mean 1 / rate */
GR_API gr_tensor *gr_gumbel(gr_tensor *loc, gr_tensor *scale);
GR_API gr_tensor *gr_gumbel_softmax(gr_tensor *x, int axis, double tau, bool hard); /* a soft random choice with probabilities softmax(x) */
GR_API gr_tensor *gr_multinomial(gr_tensor *w, int64_t n, bool replacement); /* [..., C] -> int64 [..., n]: k with probability w_k / sum(w) */

/* --- indexing --- */
GR_API gr_tensor *gr_embedding(gr_tensor *w, gr_tensor *index);          /* [V,D], int64 [...] -> [..., D] */
GR_API gr_tensor *gr_gather(gr_tensor *x, int axis, gr_tensor *index);   /* y[i][j] = x[i][index[i][j]] for axis 1; index of the shape of x or smaller, but on the axis */
GR_API gr_tensor *gr_take_along(gr_tensor *x, gr_tensor *index, int axis); /* gr_gather with broadcasting */
GR_API gr_tensor *gr_index_select(gr_tensor *x, int axis, gr_tensor *index); /* y[:, j] = x[:, index[j]] for axis 1 */
GR_API gr_tensor *gr_index_add(gr_tensor *x, int axis, gr_tensor *index, gr_tensor *s);   /* x with x[:, index[j]] += s[:, j] */
GR_API gr_tensor *gr_scatter_add(gr_tensor *x, int axis, gr_tensor *index, gr_tensor *s); /* x with x[i][index[i][j]] += s[i][j] */
GR_API gr_tensor *gr_scatter(gr_tensor *x, int axis, gr_tensor *index, gr_tensor *s);     /* x with x[i][index[i][j]] = s[i][j]; the last wins */
GR_API gr_tensor *gr_one_hot(gr_tensor *index, int64_t classes, gr_dtype dtype); /* int64 [...] -> [..., classes] */
GR_API gr_tensor *gr_masked_fill(gr_tensor *x, gr_tensor *mask, double value);   /* mask ? value : x */

/* --- order along an axis; NaN is larger than every number --- */
GR_API gr_tensor *gr_sort(gr_tensor *x, int axis, bool descending);    /* stable; output 1: where from, int64 */
GR_API gr_tensor *gr_argsort(gr_tensor *x, int axis, bool descending); /* output 1 of gr_sort */
GR_API gr_tensor *gr_topk(gr_tensor *x, int64_t k, int axis, bool smallest); /* the k largest, in order; output 1: where from, int64 */
GR_API gr_tensor *gr_median(gr_tensor *x, int axis, bool keepdim);     /* the lower of two; output 1: where from, int64 */
GR_API gr_tensor *gr_searchsorted(gr_tensor *sorted, gr_tensor *x, bool right); /* int64: how many are < x (right: <= x) */

#ifdef __cplusplus
}
#endif
#endif

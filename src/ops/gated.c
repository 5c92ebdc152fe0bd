/* gated.c - two halves of an axis, one the gate of the other; the largest of k pieces.
 *
 *   glu     y = a sigmoid(b)    a, b the two halves of x along an axis
 *   swiglu  y = silu(a) b
 *   geglu   y = gelu(a) b
 *   reglu   y = relu(a) b
 *   maxout  y_c = max over i < k of x_(k c + i)
 *
 * Dauphin, Fan, Auli, Grangier, "Language modeling with gated convolutional networks", 2016;
 * Shazeer, "GLU variants improve transformer", 2020.
 */
/* SPDX-License-Identifier: MIT */
#include "along.h"
#include "elementwise.h"

typedef struct axis_attrs {
    int axis;
} axis_attrs;

static const gr_field axis_fields[] = {GR_FIELD(axis_attrs, axis, GR_FIELD_INT), {0}};

/* --- halves --- */

static gr_tensor *refuse(gr_tensor *x, const char *op, int axis, int pieces)
{
    char text[GR_SHAPE_TEXT];
    return gr__fail_at(gr_graph_of(x), GR_ERR_ARGUMENT, GR_HERE,
                       "%s: cannot cut axis %d of %s into pieces of equal size, %d wanted", op,
                       axis, gr_shape_text(gr_shape_of(x), text), pieces);
}

/* Sets the two halves of x; false, with the inert tensor in a, where there are none. */
static bool halve(gr_tensor *x, const char *op, const void *attrs, gr_tensor **a, gr_tensor **b)
{
    int axis = ((const axis_attrs *)attrs)->axis;
    const gr_shape *shape = gr_shape_of(x);
    if (!gr__axis(&axis, shape->rank) || shape->dim[axis] % 2) {
        *a = refuse(x, op, ((const axis_attrs *)attrs)->axis, 2);
        return false;
    }
    const int64_t n = shape->dim[axis];
    *a = gr_slice(x, axis, 0, n / 2, 1);
    *b = gr_slice(x, axis, n / 2, n, 1);
    return true;
}

#define AXIS(A) &(const axis_attrs){A}
#define GATED(NAME, A, ...) {.name = NAME, .in = {{.shape = __VA_ARGS__}}, .n_in = 1, .attrs = AXIS(A)}
#define GATED_ERRORS                                                                               \
    {.name = "odd", .in = {M34}, .n_in = 1, .attrs = AXIS(0), .error = "cannot cut axis 0"},       \
        {.name = "bad axis", .in = {M34}, .n_in = 1, .attrs = AXIS(2), .error = "cannot cut"},     \
        {.name = "scalar", .in = {ONE}, .n_in = 1, .attrs = AXIS(0), .error = "cannot cut"},       \
        {.name = "integers", .in = {WHOLE}, .n_in = 1, .attrs = AXIS(1), .error = "not defined"}

static const gr_sample halves_samples[] = {
    GATED("last axis", -1, {2, {3, 4}}),
    GATED("first axis", 0, {2, {6, 2}}),
    GATED("middle axis", 1, {3, {2, 4, 3}}),
    GATED("empty", 0, {2, {0, 4}}),
    GATED_ERRORS,
    {0},
};

static gr_tensor *glu_define(gr_tensor *const *x, int n, const void *attrs)
{
    (void)n;
    gr_tensor *a, *b;
    if (!halve(x[0], "glu", attrs, &a, &b)) return a;
    return gr_mul(a, gr_sigmoid(b));
}

static const gr_op glu_op = {
    .name = "glu",
    .family = "gated",
    .formula = "y = a sigmoid(b), a and b the halves of x along an axis",
    .derivation = "a product: da = dy sigmoid(b), db = dy a sigmoid(b) (1 - sigmoid(b))",
    .n_in = 1,
    .attrs_size = sizeof(axis_attrs),
    .fields = axis_fields,
    .define = glu_define,
    .samples = halves_samples,
};

/* The first half gated by the sigmoid of the second, as in PyTorch; the axis is halved. */
gr_tensor *gr_glu(gr_tensor *x, int axis)
{
    return gr__unary(&glu_op, x, &(axis_attrs){axis}, GR_HERE);
}

static gr_tensor *swiglu_define(gr_tensor *const *x, int n, const void *attrs)
{
    (void)n;
    gr_tensor *a, *b;
    if (!halve(x[0], "swiglu", attrs, &a, &b)) return a;
    return gr_mul(gr_silu(a), b);
}

static const gr_op swiglu_op = {
    .name = "swiglu",
    .family = "gated",
    .formula = "y = silu(a) b, a and b the halves of x along an axis",
    .derivation = "a product: da = dy b silu'(a), db = dy silu(a)",
    .n_in = 1,
    .attrs_size = sizeof(axis_attrs),
    .fields = axis_fields,
    .define = swiglu_define,
    .samples = halves_samples,
};

/* silu of the first half times the second; the axis is halved. */
gr_tensor *gr_swiglu(gr_tensor *x, int axis)
{
    return gr__unary(&swiglu_op, x, &(axis_attrs){axis}, GR_HERE);
}

static gr_tensor *geglu_define(gr_tensor *const *x, int n, const void *attrs)
{
    (void)n;
    gr_tensor *a, *b;
    if (!halve(x[0], "geglu", attrs, &a, &b)) return a;
    return gr_mul(gr_gelu(a), b);
}

static const gr_op geglu_op = {
    .name = "geglu",
    .family = "gated",
    .formula = "y = gelu(a) b, a and b the halves of x along an axis",
    .derivation = "a product: da = dy b gelu'(a), db = dy gelu(a)",
    .n_in = 1,
    .attrs_size = sizeof(axis_attrs),
    .fields = axis_fields,
    .define = geglu_define,
    .samples = halves_samples,
};

/* gelu of the first half times the second; the axis is halved. */
gr_tensor *gr_geglu(gr_tensor *x, int axis)
{
    return gr__unary(&geglu_op, x, &(axis_attrs){axis}, GR_HERE);
}

static gr_tensor *reglu_define(gr_tensor *const *x, int n, const void *attrs)
{
    (void)n;
    gr_tensor *a, *b;
    if (!halve(x[0], "reglu", attrs, &a, &b)) return a;
    return gr_mul(gr_relu(a), b);
}

static const gr_op reglu_op = {
    .name = "reglu",
    .family = "gated",
    .formula = "y = relu(a) b, a and b the halves of x along an axis",
    .derivation = "a product: da = dy b where a > 0, db = dy relu(a)",
    .ties = "a = 0: the derivative in a is 0, that of relu",
    .n_in = 1,
    .attrs_size = sizeof(axis_attrs),
    .fields = axis_fields,
    .define = reglu_define,
    .samples = halves_samples,
};

/* relu of the first half times the second; the axis is halved. */
gr_tensor *gr_reglu(gr_tensor *x, int axis)
{
    return gr__unary(&reglu_op, x, &(axis_attrs){axis}, GR_HERE);
}

/* --- maxout --- */

typedef struct maxout_attrs {
    int k, axis;
} maxout_attrs;

static const gr_field maxout_fields[] = {
    GR_FIELD(maxout_attrs, k, GR_FIELD_INT),
    GR_FIELD(maxout_attrs, axis, GR_FIELD_INT),
    {0},
};

/* Axis C becomes [C / k, k], then loses the k. */
static gr_tensor *maxout_define(gr_tensor *const *x, int n, const void *attrs)
{
    (void)n;
    const maxout_attrs *a = attrs;
    const gr_shape *shape = gr_shape_of(x[0]);
    int axis = a->axis;
    if (!gr__axis(&axis, shape->rank) || a->k < 1 || shape->dim[axis] % a->k ||
        shape->rank == GR_MAX_RANK)
        return refuse(x[0], "maxout", a->axis, a->k);
    gr_shape pieces = {shape->rank + 1, {0}};
    for (int i = 0; i < shape->rank; i++) pieces.dim[i + (i > axis)] = shape->dim[i];
    pieces.dim[axis] = shape->dim[axis] / a->k;
    pieces.dim[axis + 1] = a->k;
    return gr_max(gr_reshape(x[0], pieces), GR_AXES(axis + 1), false);
}

#define PIECES(K, A) &(const maxout_attrs){K, A}

static const gr_sample maxout_samples[] = {
    {.name = "last axis", .in = {{.shape = {2, {3, 4}}}}, .n_in = 1, .attrs = PIECES(2, -1)},
    {.name = "channels", .in = {{.shape = {3, {2, 6, 2}}}}, .n_in = 1, .attrs = PIECES(3, 1)},
    {.name = "one piece", .in = {M34}, .n_in = 1, .attrs = PIECES(1, 0)},
    {.name = "empty", .in = {EMPTY}, .n_in = 1, .attrs = PIECES(2, 1)},
    {.name = "uneven", .in = {M34}, .n_in = 1, .attrs = PIECES(3, 1), .error = "3 wanted"},
    {.name = "no piece", .in = {M34}, .n_in = 1, .attrs = PIECES(0, 1), .error = "cannot cut"},
    {.name = "bad axis",
     .in = {M34},
     .n_in = 1,
     .attrs = PIECES(2, 2),
     .error = "cannot cut axis 2"},
    {.name = "integers", .in = {WHOLE}, .n_in = 1, .attrs = PIECES(2, 1), .error = "not defined"},
    {0},
};

static const gr_op maxout_op = {
    .name = "maxout",
    .family = "gated",
    .formula = "y_c = max over i < k of x_(k c + i) along an axis",
    .derivation = "y_c moves with the largest of its k neighbours alone, which gets dy_c",
    .ties = "equal maxima share dy equally, as in max",
    .n_in = 1,
    .attrs_size = sizeof(maxout_attrs),
    .fields = maxout_fields,
    .define = maxout_define,
    .samples = maxout_samples,
};

/* The largest of each k neighbours along an axis, whose size k divides: C becomes C / k.
 * Goodfellow, Warde-Farley, Mirza, Courville, Bengio, "Maxout networks", 2013. */
gr_tensor *gr_maxout(gr_tensor *x, int k, int axis)
{
    return gr__unary(&maxout_op, x, &(maxout_attrs){k, axis}, GR_HERE);
}

const gr_op *const gr__gated_ops[] = {
    &glu_op, &swiglu_op, &geglu_op, &reglu_op, &maxout_op, NULL,
};

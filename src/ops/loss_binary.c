/* loss_binary.c - losses of decisions between two: t is 0 or 1.
 *
 *   bce               -t log x - (1 - t) log(1 - x)     -t/x + (1 - t)/(1 - x)
 *   bce_with_logits   (1 - t) x + log(1 + exp(-x))      sigmoid(x) - t
 *   focal             bce_with_logits q^g               q: the probability given to the wrong one
 *   dice              1 - (2 sum x t + s) / (sum x + sum t + s)
 *
 * The right column is the derivative by x.
 */
/* SPDX-License-Identifier: MIT */
#include "elementary.h"
#include "kink.h"
#include "loss.h"

#define M34 {.shape = {2, {3, 4}}}
#define ROW {.shape = {1, {4}}, .low = 0.3, .high = 2}
#define ONE {.shape = {0, {0}}}
#define EMPTY {.shape = {2, {0, 4}}}
#define CHANCE {.shape = {2, {3, 4}}, .low = 0.1, .high = 0.9}
#define CHANCES(n) {.shape = {1, {n}}, .low = 0.1, .high = 0.9}

static const gr_field loss_fields[] = {
    GR_FIELD_NAMED(gr_loss_options, reduction, gr__reductions),
    {0},
};

#define REDUCTION(r) &(const gr_loss_options){GR_REDUCTION_##r}

/* 1 - t */
static gr_tensor *rest_of(gr_tensor *t)
{
    return gr_shift(gr_neg(t), 1);
}

/* --- clamped_log: log x, no less than -100 --- */

#define CLAMPED_LOG(T, suffix)                                                                     \
    GR__CLONES static void clamped_log_##suffix(const gr_tile *t)                                  \
    {                                                                                              \
        const T *restrict x = t->x[0];                                                             \
        T *restrict y = t->y;                                                                      \
        for (int64_t i = 0; i < t->n; i++) {                                                       \
            const T log_x = gr__log(x[i]);                                                         \
            y[i] = log_x < -100 ? -100 : log_x;                                                    \
        }                                                                                          \
    }
CLAMPED_LOG(float, f32)
CLAMPED_LOG(double, f64)

static void clamped_log_vjp(gr_pullback *p)
{
    p->dx[0] = gr_div(p->dy[0], gr_maximum(p->x[0], gr__loss_number(p->x[0], 1e-12)));
}

static const gr_sample clamped_log_samples[] = {
    {.name = "matrix", .in = {CHANCE}, .n_in = 1},
    {.name = "wide", .in = {{.shape = {1, {9}}, .low = 0.2, .high = 9}}, .n_in = 1},
    {.name = "scalar", .in = {{.shape = {0, {0}}, .low = 0.2, .high = 2}}, .n_in = 1},
    {.name = "empty", .in = {EMPTY}, .n_in = 1},
    {.name = "integers", .in = {{.shape = {1, {4}}, .integer = true, .high = 3}}, .n_in = 1, .error = "not defined for int64"},
    {0},
};

static void clamped_log_branch(const gr_exec *e, gr_branch *b)
{
    gr__branch_at_zero(e, 0, b);
}

static const gr_op clamped_log_op = {
    .name = "clamped_log",
    .family = "loss_binary",
    .formula = "y = max(log x, -100)",
    .derivation = "dy/dx = 1/x; below 1e-12 it stays at 1e12, so that a wrong probability of 0 is "
                  "still corrected",
    .ties = "x < 1e-12: the derivative is 1e12 (PyTorch's choice in bce)",
    .n_in = 1,
    .reads = GR_READS_IN(0),
    .tile = GR__TILES(clamped_log),
    .vjp = clamped_log_vjp,
    .branch = clamped_log_branch,
    .samples = clamped_log_samples,
};

static gr_tensor *clamped_log(gr_tensor *x)
{
    return gr__unary(&clamped_log_op, x, NULL, GR_HERE);
}

/* --- bce --- */

static gr_tensor *bce_define(gr_tensor *const *x, int n, const void *attrs)
{
    if (!gr__loss_alike("bce", x[0], x[1])) return gr__loss_failed(x[0]);
    gr_tensor *hit = gr_mul(x[1], clamped_log(x[0]));
    gr_tensor *loss = gr_neg(gr_add(hit, gr_mul(rest_of(x[1]), clamped_log(rest_of(x[0])))));
    if (n > 2) loss = gr__loss_weigh("bce", loss, x[2]);
    return gr__loss_reduce("bce", loss, ((const gr_loss_options *)attrs)->reduction);
}

static const gr_sample bce_samples[] = {
    {.name = "matrix", .in = {CHANCE, CHANCE}, .n_in = 2, .attrs = REDUCTION(MEAN)},
    {.name = "sum", .in = {CHANCES(5), CHANCES(5)}, .n_in = 2, .attrs = REDUCTION(SUM)},
    {.name = "weighted", .in = {CHANCE, CHANCE, ROW}, .n_in = 3, .attrs = REDUCTION(NONE)},
    {.name = "weighted mean", .in = {CHANCE, CHANCE, {.shape = {2, {3, 1}}}}, .n_in = 3, .attrs = REDUCTION(MEAN)},
    {.name = "scalars", .in = {{.shape = {0, {0}}, .low = 0.1, .high = 0.9}, ONE}, .n_in = 2, .attrs = REDUCTION(MEAN)},
    {.name = "empty", .in = {EMPTY, EMPTY}, .n_in = 2, .attrs = REDUCTION(SUM)},
    {.name = "other shape", .in = {CHANCE, CHANCES(4)}, .n_in = 2, .attrs = REDUCTION(MEAN), .error = "target of the shape of x, [3,4], got [4]"},
    {.name = "large weight", .in = {CHANCES(4), CHANCES(4), M34}, .n_in = 3, .attrs = REDUCTION(MEAN), .error = "cannot stretch the weight, [3,4], to [4]"},
    {.name = "no reduction", .in = {CHANCE, CHANCE}, .n_in = 2, .attrs = &(const gr_loss_options){(gr_reduction)7}, .error = "reduction 7 is not mean, sum or none"},
    {0},
};

static const gr_op bce_op = {
    .name = "bce",
    .family = "loss_binary",
    .formula = "y = mean of -w (t log x + (1 - t) log(1 - x))",
    .derivation = "dx = (-t/x + (1 - t)/(1 - x)) w dy / n = (x - t) / (x (1 - x)) w dy / n and "
                  "dt = (log(1 - x) - log x) w dy / n",
    .ties = "x or 1 - x < 1e-12: the logarithm's derivative is 1e12 (PyTorch's choice)",
    .n_in = 3,
    .optional = 1,
    .attrs_size = sizeof(gr_loss_options),
    .fields = loss_fields,
    .define = bce_define,
    .samples = bce_samples,
};

/* Cross-entropy of probabilities x with targets from 0 to 1; logarithms are cut at -100, as in
 * PyTorch, and x outside [0,1] gives NaN. From scores, gr_bce_with_logits is exact where the
 * probability rounds to 0 or 1. */
gr_tensor *gr_bce(gr_tensor *x, gr_tensor *target)
{
    return gr__loss(&bce_op, x, target, &(gr_loss_options){0}, GR_HERE);
}

/* weight is NULL or of a shape that broadcasts to that of x. */
gr_tensor *gr_bce_loss(gr_tensor *x, gr_tensor *target, gr_tensor *weight, gr_loss_options o)
{
    gr_tensor *in[3] = {x, target, weight};
    return gr__apply(NULL, &bce_op, in, weight ? 3 : 2, &o, GR_HERE);
}

/* --- logit_error: bce of sigmoid(x), in one pass --- */

#define LOGIT_ERROR(T, suffix)                                                                     \
    GR__CLONES static void logit_error_##suffix(const gr_tile *tile)                               \
    {                                                                                              \
        const T *restrict px = tile->x[0], *restrict pt = tile->x[1];                              \
        T *restrict y = tile->y;                                                                   \
        for (int64_t i = 0; i < tile->n; i++) {                                                    \
            const T x = px[i], t = pt[i];                                                          \
            y[i] = ((1 - t) * x + (x < 0 ? -x : 0)) + gr__softplus(x < 0 ? x : -x);                \
        }                                                                                          \
    }
LOGIT_ERROR(float, f32)
LOGIT_ERROR(double, f64)

static void logit_error_vjp(gr_pullback *p)
{
    gr_tensor *x = p->x[0], *dy = p->dy[0];
    if (p->wants[0]) p->dx[0] = gr_mul(dy, gr_sub(gr_sigmoid(x), p->x[1]));
    if (p->wants[1]) p->dx[1] = gr_neg(gr_mul(dy, x));
}

static const gr_sample logit_error_samples[] = {
    {.name = "matrix", .in = {M34, CHANCE}, .n_in = 2},
    {.name = "wide", .in = {{.shape = {2, {3, 4}}, .low = -8, .high = 8}, ROW}, .n_in = 2},
    {.name = "scalars", .in = {ONE, ONE}, .n_in = 2},
    {.name = "empty", .in = {EMPTY, EMPTY}, .n_in = 2},
    {.name = "no common shape", .in = {M34, CHANCES(3)}, .n_in = 2, .error = "cannot broadcast"},
    {0},
};

static const gr_op logit_error_op = {
    .name = "logit_error",
    .family = "loss_binary",
    .formula = "y = (1 - t) x + log(1 + exp(-x)), which is bce at the probability sigmoid(x)",
    .derivation = "dy/dx = 1 - t - sigmoid(-x) = sigmoid(x) - t and dy/dt = -x, so "
                  "dx = (sigmoid(x) - t) dy, dt = -x dy",
    .n_in = 2,
    .reads = GR_READS_IN(0) | GR_READS_IN(1),
    .tile = GR__TILES(logit_error),
    .vjp = logit_error_vjp,
    .samples = logit_error_samples,
};

static gr_tensor *logit_error(gr_tensor *x, gr_tensor *t)
{
    return gr__binary(&logit_error_op, x, t, GR_HERE);
}

/* --- bce_with_logits --- */

/* The positives' part counts pos_weight times: logit_error + t (w - 1) log(1 + exp(-x)). */
static gr_tensor *more_positive(gr_tensor *const *x, gr_tensor *loss)
{
    gr_tensor *extra = gr__loss_weigh("bce_with_logits", x[1], gr_shift(x[3], -1));
    return gr_add(loss, gr_mul(extra, gr_softplus(gr_neg(x[0]))));
}

static gr_tensor *bce_with_logits_define(gr_tensor *const *x, int n, const void *attrs)
{
    if (!gr__loss_alike("bce_with_logits", x[0], x[1])) return gr__loss_failed(x[0]);
    gr_tensor *loss = logit_error(x[0], x[1]);
    if (n > 3) loss = more_positive(x, loss);
    if (n > 2) loss = gr__loss_weigh("bce_with_logits", loss, x[2]);
    return gr__loss_reduce("bce_with_logits", loss, ((const gr_loss_options *)attrs)->reduction);
}

static const gr_sample bce_with_logits_samples[] = {
    {.name = "matrix", .in = {M34, CHANCE}, .n_in = 2, .attrs = REDUCTION(MEAN)},
    {.name = "wide", .in = {{.shape = {1, {9}}, .low = -6, .high = 6}, CHANCES(9)}, .n_in = 2, .attrs = REDUCTION(SUM)},
    {.name = "weighted", .in = {M34, CHANCE, {.shape = {2, {3, 1}}}}, .n_in = 3, .attrs = REDUCTION(NONE)},
    {.name = "positives weighted", .in = {M34, CHANCE, ROW, ROW}, .n_in = 4, .attrs = REDUCTION(MEAN)},
    {.name = "scalars", .in = {ONE, ONE}, .n_in = 2, .attrs = REDUCTION(MEAN)},
    {.name = "empty", .in = {EMPTY, EMPTY}, .n_in = 2, .attrs = REDUCTION(SUM)},
    {.name = "other shape", .in = {M34, CHANCES(4)}, .n_in = 2, .attrs = REDUCTION(MEAN), .error = "target of the shape of x, [3,4], got [4]"},
    {.name = "large weight", .in = {CHANCES(4), CHANCES(4), M34}, .n_in = 3, .attrs = REDUCTION(MEAN), .error = "cannot stretch the weight, [3,4], to [4]"},
    {0},
};

static const gr_op bce_with_logits_op = {
    .name = "bce_with_logits",
    .family = "loss_binary",
    .formula = "y = mean of -w (p t log sigmoid(x) + (1 - t) log sigmoid(-x))",
    .derivation = "-log sigmoid(x) = log(1 + exp(-x)) has the slope -sigmoid(-x), so without "
                  "weights dx = (sigmoid(x) - t) dy / n and dt = -x dy / n",
    .n_in = 4,
    .optional = 2,
    .attrs_size = sizeof(gr_loss_options),
    .fields = loss_fields,
    .define = bce_with_logits_define,
    .samples = bce_with_logits_samples,
};

/* gr_bce of sigmoid(x), computed from the scores x: exact and finite however large they are. */
gr_tensor *gr_bce_with_logits(gr_tensor *x, gr_tensor *target)
{
    return gr__loss(&bce_with_logits_op, x, target, &(gr_loss_options){0}, GR_HERE);
}

/* weight scales each loss, pos_weight that of the positives; each NULL, or of a shape that
 * broadcasts to that of x. */
gr_tensor *gr_bce_with_logits_loss(gr_tensor *x, gr_tensor *target, gr_tensor *weight,
                                   gr_tensor *pos_weight, gr_loss_options o)
{
    gr_graph *g = x ? gr_graph_of(x) : NULL;
    if (pos_weight && !weight && g) weight = gr_scalar(g, gr_dtype_of(x), 1);
    gr_tensor *in[4] = {x, target, weight, pos_weight};
    return gr__apply(NULL, &bce_with_logits_op, in, pos_weight ? 4 : weight ? 3 : 2, &o, GR_HERE);
}

/* --- focal --- */

static const gr_field focal_fields[] = {
    GR_FIELD_NAMED(gr_focal_options, reduction, gr__reductions),
    GR_FIELD(gr_focal_options, alpha, GR_FIELD_F64),
    GR_FIELD(gr_focal_options, gamma, GR_FIELD_F64),
    {0},
};

static gr_tensor *focal_define(gr_tensor *const *x, int n, const void *attrs)
{
    const gr_focal_options *o = attrs;
    double alpha = o->alpha == 0 ? 0.25 : o->alpha, gamma = o->gamma == 0 ? 2 : o->gamma;
    gr_tensor *t = x[1];
    (void)n;
    if (!gr__loss_alike("focal", x[0], t) || !gr__loss_positive("focal", x[0], "gamma", gamma))
        return gr__loss_failed(x[0]);
    gr_tensor *wrong = gr_add(gr_mul(gr_sigmoid(x[0]), rest_of(t)),
                              gr_mul(gr_sigmoid(gr_neg(x[0])), t));
    gr_tensor *loss = gr_mul(logit_error(x[0], t), gr_pow(wrong, gr__loss_number(t, gamma)));
    if (alpha > 0) loss = gr_mul(loss, gr_shift(gr_scale(t, 2 * alpha - 1), 1 - alpha));
    return gr__loss_reduce("focal", loss, o->reduction);
}

#define FOCAL(r, ...) &(const gr_focal_options){GR_REDUCTION_##r, __VA_ARGS__}

static const gr_sample focal_samples[] = {
    {.name = "matrix", .in = {M34, CHANCE}, .n_in = 2, .attrs = FOCAL(MEAN, 0, 0)},
    {.name = "sum", .in = {CHANCES(5), CHANCES(5)}, .n_in = 2, .attrs = FOCAL(SUM, 0.7, 1.5)},
    {.name = "without weights", .in = {M34, CHANCE}, .n_in = 2, .attrs = FOCAL(NONE, -1, 3)},
    {.name = "scalars", .in = {ONE, CHANCES(0)}, .n_in = 2, .attrs = FOCAL(MEAN, 0, 0), .error = "target of the shape of x, [], got [0]"},
    {.name = "empty", .in = {EMPTY, EMPTY}, .n_in = 2, .attrs = FOCAL(SUM, 0, 0)},
    {.name = "negative", .in = {M34, CHANCE}, .n_in = 2, .attrs = FOCAL(MEAN, 0, -1), .error = "gamma must be positive, got -1"},
    {0},
};

static const gr_op focal_op = {
    .name = "focal",
    .family = "loss_binary",
    .formula = "y = mean of a_t q^gamma logit_error(x, t), q = sigmoid(x) (1 - t) + sigmoid(-x) t, "
               "a_t = alpha t + (1 - alpha) (1 - t)",
    .derivation = "through its parts, by the product rule: for t = 1, q = sigmoid(-x) with "
                  "q' = -q (1 - q) and (-log(1 - q))' = -q, so y' = a q^gamma (gamma (1 - q) "
                  "log(1 - q) - q)",
    .n_in = 2,
    .attrs_size = sizeof(gr_focal_options),
    .fields = focal_fields,
    .define = focal_define,
    .samples = focal_samples,
};

/* gr_bce_with_logits with the easy cases turned down. With gamma < 1 its gradient is not finite
 * where the probability of the wrong answer rounds to 0. Lin et al., "Focal loss for dense object
 * detection", 2017. */
gr_tensor *gr_focal(gr_tensor *x, gr_tensor *target)
{
    return gr__loss(&focal_op, x, target, &(gr_focal_options){0}, GR_HERE);
}

gr_tensor *gr_focal_loss(gr_tensor *x, gr_tensor *target, gr_focal_options o)
{
    return gr__loss(&focal_op, x, target, &o, GR_HERE);
}

/* --- dice --- */

static const gr_field dice_fields[] = {
    GR_FIELD_NAMED(gr_dice_options, reduction, gr__reductions),
    GR_FIELD(gr_dice_options, smooth, GR_FIELD_F64),
    {0},
};

static gr_tensor *sum_each(gr_tensor *x)
{
    return gr_sum(gr_flatten(x, 1), GR_AXES(1), false);
}

static gr_tensor *dice_define(gr_tensor *const *x, int n, const void *attrs)
{
    const gr_dice_options *o = attrs;
    double smooth = o->smooth == 0 ? 1 : o->smooth;
    char text[GR_SHAPE_TEXT];
    (void)n;
    if (!gr__loss_alike("dice", x[0], x[1])) return gr__loss_failed(x[0]);
    if (gr_shape_of(x[0])->rank < 2)
        return gr_fail(gr_graph_of(x[0]), "dice: expected [N,...], got %s",
                       gr_shape_text(gr_shape_of(x[0]), text));
    gr_tensor *both = gr_scale(sum_each(gr_mul(x[0], x[1])), 2);
    gr_tensor *all = gr_add(sum_each(x[0]), sum_each(x[1]));
    gr_tensor *overlap = gr_div(gr_shift(both, smooth), gr_shift(all, smooth));
    return gr__loss_reduce("dice", rest_of(overlap), o->reduction);
}

#define DICE(r, ...) &(const gr_dice_options){GR_REDUCTION_##r, __VA_ARGS__}
#define MASKS {.shape = {3, {2, 3, 4}}, .low = 0.1, .high = 0.9}

static const gr_sample dice_samples[] = {
    {.name = "rows", .in = {CHANCE, CHANCE}, .n_in = 2, .attrs = DICE(MEAN, 0)},
    {.name = "images", .in = {MASKS, MASKS}, .n_in = 2, .attrs = DICE(NONE, 0.5)},
    {.name = "sum", .in = {MASKS, MASKS}, .n_in = 2, .attrs = DICE(SUM, 2)},
    {.name = "empty", .in = {EMPTY, EMPTY}, .n_in = 2, .attrs = DICE(SUM, 1)},
    {.name = "a list", .in = {CHANCES(4), CHANCES(4)}, .n_in = 2, .attrs = DICE(MEAN, 1), .error = "expected [N,...], got [4]"},
    {.name = "other shape", .in = {CHANCE, CHANCES(4)}, .n_in = 2, .attrs = DICE(MEAN, 1), .error = "target of the shape of x, [3,4], got [4]"},
    {0},
};

static const gr_op dice_op = {
    .name = "dice",
    .family = "loss_binary",
    .formula = "y = mean of 1 - (2 sum x t + s) / (sum x + sum t + s), sums over all axes but the "
               "first",
    .derivation = "a quotient a/b with da/dx_i = 2 t_i and db/dx_i = 1: "
                  "dx_i = -(2 t_i - a/b) / b dy / n, and the same with x and t exchanged",
    .n_in = 2,
    .attrs_size = sizeof(gr_dice_options),
    .fields = dice_fields,
    .define = dice_define,
    .samples = dice_samples,
};

/* 1 less the overlap (Dice coefficient) of probabilities x [N,...] with masks of that shape; the
 * mean is over N. Milletari et al., "V-Net", 2016, with plain instead of squared sums. */
gr_tensor *gr_dice(gr_tensor *x, gr_tensor *target)
{
    return gr__loss(&dice_op, x, target, &(gr_dice_options){0}, GR_HERE);
}

gr_tensor *gr_dice_loss(gr_tensor *x, gr_tensor *target, gr_dice_options o)
{
    return gr__loss(&dice_op, x, target, &o, GR_HERE);
}

const gr_op *const gr__loss_binary_ops[] = {
    &clamped_log_op, &bce_op, &logit_error_op, &bce_with_logits_op, &focal_op, &dice_op, NULL,
};

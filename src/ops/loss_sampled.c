/* loss_sampled.c - telling the right vector from wrong ones that were drawn.
 *
 *   negative_sampling   -log s(u.v) - sum_k log s(-u.n_k)           s: sigmoid
 *   info_nce            -log (exp(c_nn / T) / sum_m exp(c_nm / T))  c_nm: cosine of q_n and k_m
 */
/* SPDX-License-Identifier: MIT */
#include "loss.h"

#define M34 {.shape = {2, {3, 4}}}
#define NOISE {.shape = {3, {3, 2, 4}}}
#define EMPTY {.shape = {2, {0, 4}}}

static const gr_field loss_fields[] = {
    GR_FIELD_NAMED(gr_loss_options, reduction, gr__reductions),
    {0},
};

/* --- negative_sampling --- */

static bool noise_fits(gr_tensor *const *x)
{
    char a[GR_SHAPE_TEXT], b[GR_SHAPE_TEXT], c[GR_SHAPE_TEXT];
    const gr_shape *u = gr_shape_of(x[0]), *v = gr_shape_of(x[1]), *noise = gr_shape_of(x[2]);
    if (u->rank == 2 && gr_shape_equal(u, v) && noise->rank == 3 && noise->dim[0] == u->dim[0] &&
        noise->dim[2] == u->dim[1])
        return true;
    gr_fail(gr_graph_of(x[0]), "negative_sampling: expected [N,D] twice and noise [N,K,D], got %s, "
            "%s and %s", gr_shape_text(u, a), gr_shape_text(v, b), gr_shape_text(noise, c));
    return false;
}

static gr_tensor *negative_sampling_define(gr_tensor *const *x, int n, const void *attrs)
{
    (void)n;
    if (!noise_fits(x)) return gr__loss_failed(x[0]);
    const gr_shape *u = gr_shape_of(x[0]), *noise = gr_shape_of(x[2]);
    gr_tensor *column = gr_reshape(x[0], GR_SHAPE(u->dim[0], u->dim[1], 1));
    gr_tensor *wrong = gr_reshape(gr_matmul(x[2], column), GR_SHAPE(u->dim[0], noise->dim[1]));
    gr_tensor *right = gr_sum(gr_mul(x[0], x[1]), GR_AXES(-1), false);
    gr_tensor *loss = gr_add(gr_softplus(gr_neg(right)),
                             gr_sum(gr_softplus(wrong), GR_AXES(-1), false));
    return gr__loss_reduce("negative_sampling", loss, ((const gr_loss_options *)attrs)->reduction);
}

#define REDUCTION(r) &(const gr_loss_options){GR_REDUCTION_##r}

static const gr_sample negative_sampling_samples[] = {
    {.name = "batch", .in = {M34, M34, NOISE}, .n_in = 3, .attrs = REDUCTION(MEAN)},
    {.name = "sum", .in = {M34, M34, {.shape = {3, {3, 5, 4}}}}, .n_in = 3, .attrs = REDUCTION(SUM)},
    {.name = "none", .in = {M34, M34, NOISE}, .n_in = 3, .attrs = REDUCTION(NONE)},
    {.name = "without noise", .in = {M34, M34, {.shape = {3, {3, 0, 4}}}}, .n_in = 3, .attrs = REDUCTION(MEAN)},
    {.name = "empty", .in = {EMPTY, EMPTY, {.shape = {3, {0, 2, 4}}}}, .n_in = 3, .attrs = REDUCTION(SUM)},
    {.name = "other noise", .in = {M34, M34, {.shape = {3, {2, 3, 4}}}}, .n_in = 3, .attrs = REDUCTION(MEAN), .error = "noise [N,K,D], got [3,4], [3,4] and [2,3,4]"},
    {0},
};

static const gr_op negative_sampling_op = {
    .name = "negative_sampling",
    .family = "loss_sampled",
    .formula = "y = mean of -log sigmoid(u.v) - sum_k log sigmoid(-u.n_k)",
    .derivation = "-log s(z) has the slope s(z) - 1 = -s(-z): with a = -s(-u.v) and b_k = s(u.n_k) "
                  "over N, du = (a v + sum_k b_k n_k) dy, dv = a u dy and dn_k = b_k u dy",
    .n_in = 3,
    .attrs_size = sizeof(gr_loss_options),
    .fields = loss_fields,
    .define = negative_sampling_define,
    .samples = negative_sampling_samples,
};

/* Skip-gram with negative sampling: x and target [N,D], the vectors of a word and of one in its
 * context, and noise [N,K,D], those of words drawn at random. Mikolov et al., "Distributed
 * representations of words and phrases and their compositionality", 2013. */
gr_tensor *gr_negative_sampling(gr_tensor *x, gr_tensor *target, gr_tensor *noise)
{
    gr_tensor *in[3] = {x, target, noise};
    return gr__apply(NULL, &negative_sampling_op, in, 3, &(gr_loss_options){0}, GR_HERE);
}

gr_tensor *gr_negative_sampling_loss(gr_tensor *x, gr_tensor *target, gr_tensor *noise,
                                     gr_loss_options o)
{
    gr_tensor *in[3] = {x, target, noise};
    return gr__apply(NULL, &negative_sampling_op, in, 3, &o, GR_HERE);
}

/* --- info_nce --- */

static const gr_field info_nce_fields[] = {
    GR_FIELD_NAMED(gr_info_nce_options, reduction, gr__reductions),
    GR_FIELD(gr_info_nce_options, temperature, GR_FIELD_F64),
    {0},
};

static gr_tensor *direction(gr_tensor *x)
{
    gr_tensor *length = gr_norm(x, 2, GR_AXES(-1), true);
    return gr_div(x, gr_maximum(length, gr__loss_number(x, 1e-12)));
}

static gr_tensor *info_nce_define(gr_tensor *const *x, int n, const void *attrs)
{
    const gr_info_nce_options *o = attrs;
    const double temperature = o->temperature == 0 ? 0.1 : o->temperature;
    char text[GR_SHAPE_TEXT];
    (void)n;
    if (!gr__loss_alike("info_nce", x[0], x[1]) ||
        !gr__loss_positive("info_nce", x[0], "temperature", temperature))
        return gr__loss_failed(x[0]);
    if (gr_shape_of(x[0])->rank != 2)
        return gr_fail(gr_graph_of(x[0]), "info_nce: expected [N,D], got %s",
                       gr_shape_text(gr_shape_of(x[0]), text));
    gr_tensor *q = direction(x[0]), *k = direction(x[1]);
    gr_tensor *scores = gr_scale(gr_matmul(q, gr_transpose(k, 0, 1)), 1 / temperature);
    gr_tensor *right = gr_scale(gr_sum(gr_mul(q, k), GR_AXES(-1), false), 1 / temperature);
    gr_tensor *loss = gr_sub(gr_logsumexp(scores, GR_AXES(1), false), right);
    return gr__loss_reduce("info_nce", loss, o->reduction);
}

#define NCE(r, ...) &(const gr_info_nce_options){GR_REDUCTION_##r, __VA_ARGS__}

static const gr_sample info_nce_samples[] = {
    {.name = "batch", .in = {M34, M34}, .n_in = 2, .attrs = NCE(MEAN, 0.5)},
    {.name = "cold", .in = {{.shape = {2, {4, 3}}}, {.shape = {2, {4, 3}}}}, .n_in = 2, .attrs = NCE(SUM, 0)},
    {.name = "none", .in = {M34, M34}, .n_in = 2, .attrs = NCE(NONE, 2)},
    {.name = "empty", .in = {EMPTY, EMPTY}, .n_in = 2, .attrs = NCE(SUM, 1)},
    {.name = "negative", .in = {M34, M34}, .n_in = 2, .attrs = NCE(MEAN, -1), .error = "temperature must be positive, got -1"},
    {.name = "a list", .in = {{.shape = {1, {4}}}, {.shape = {1, {4}}}}, .n_in = 2, .attrs = NCE(MEAN, 1), .error = "expected [N,D], got [4]"},
    {.name = "other shape", .in = {M34, {.shape = {2, {4, 3}}}}, .n_in = 2, .attrs = NCE(MEAN, 1), .error = "target of the shape of x, [3,4], got [4,3]"},
    {0},
};

static const gr_op info_nce_op = {
    .name = "info_nce",
    .family = "loss_sampled",
    .formula = "y = mean_n log sum_m exp(c_nm / T) - c_nn / T, c_nm = cos(q_n, k_m)",
    .derivation = "cross-entropy of the scores c/T with the right answers on the diagonal: "
                  "dc = (softmax(c/T) - I) dy / (T N), from there through the cosines",
    .ties = "q_n = 0 or k_n = 0: its length counts as 1e-12",
    .n_in = 2,
    .attrs_size = sizeof(gr_info_nce_options),
    .fields = info_nce_fields,
    .define = info_nce_define,
    .samples = info_nce_samples,
};

/* Each query is to find its own among N keys, both [N,D], by their cosines over the temperature
 * (0: 0.1). Van den Oord et al., "Representation learning with contrastive predictive coding",
 * 2018. */
gr_tensor *gr_info_nce(gr_tensor *query, gr_tensor *key)
{
    return gr__loss(&info_nce_op, query, key, &(gr_info_nce_options){0}, GR_HERE);
}

gr_tensor *gr_info_nce_loss(gr_tensor *query, gr_tensor *key, gr_info_nce_options o)
{
    return gr__loss(&info_nce_op, query, key, &o, GR_HERE);
}

const gr_op *const gr__loss_sampled_ops[] = {&negative_sampling_op, &info_nce_op, NULL};

/* raw_op.c - an op in plain C: attributes, two outputs, a backward over raw arrays. */
/* SPDX-License-Identifier: MIT */
#include <gradus/gradus.h>
#include <math.h>
#include <stdio.h>

/* [op] */
/* (y0, y1) = scale r (cos t, sin t), for all elements of r and t */
typedef struct polar {
    double scale;
} polar;

static gr_status polar_forward(gr_exec *e)
{
    const double k = ((const polar *)e->attrs)->scale, *r = e->in[0].data, *t = e->in[1].data;
    double *y0 = e->out[0].data, *y1 = e->out[1].data;
    for (int64_t i = 0; i < gr_shape_numel(e->in[0].shape); i++) {
        y0[i] = k * r[i] * cos(t[i]);
        y1[i] = k * r[i] * sin(t[i]);
    }
    return GR_OK;
}

/* in = r, t, y0, y1, dy0, dy1 and out = dr, dt */
static gr_status polar_backward(gr_exec *e)
{
    const double k = ((const polar *)e->attrs)->scale, *t = e->in[1].data;
    const double *y0 = e->in[2].data, *y1 = e->in[3].data, *dy0 = e->in[4].data,
                 *dy1 = e->in[5].data;
    double *dr = e->out[0].data, *dt = e->out[1].data;
    for (int64_t i = 0; i < gr_shape_numel(e->in[0].shape); i++) {
        dr[i] = k * (dy0[i] * cos(t[i]) + dy1[i] * sin(t[i]));
        dt[i] = dy1[i] * y0[i] - dy0[i] * y1[i];
    }
    return GR_OK;
}

static const gr_op polar_op = {
    .name = "polar",
    .n_in = 2,
    .n_out = 2,
    .attrs_size = sizeof(polar),
    .fields = (const gr_field[]){GR_FIELD(polar, scale, GR_FIELD_F64), {0}},
    .forward = {[GR_F64] = polar_forward},
    .backward = {[GR_F64] = polar_backward},
    .samples = (const gr_sample[]){{.name = "5",
                                    .in = {{.shape = {1, {5}}}, {.shape = {1, {5}}}},
                                    .n_in = 2,
                                    .attrs = &(polar){1.5}},
                                   {0}}};
/* [end] */

static gr_tensor *halve(void *user, gr_tensor *dy)
{
    (void)user;
    return gr_scale(dy, 0.5);
}

static void print(const char *what, gr_tensor *t)
{
    const double *x = gr_data(t);
    printf("%s", what);
    for (int64_t i = 0; x && i < gr_numel(t); i++) printf(" %.4f", x[i]);
    printf("\n");
}

int main(void)
{
    gr_check_report r;
    gr_gradcheck_op(&polar_op, (gr_check_options){0}, &r);
    printf("polar: %s, worst error %.1e\n", gr_verdict_name(r.verdict), r.worst);

    gr_graph *g = gr_graph_new();
    const double radii[2] = {1, 2}, angles[2] = {0.5, -1};
    gr_tensor *x[2] = {gr_from_data(g, GR_F64, GR_SHAPE(2), radii),
                       gr_from_data(g, GR_F64, GR_SHAPE(2), angles)};
    gr_tensor *d[2], *ones = gr_ones(g, GR_F64, GR_SHAPE(2));
    gr_checkpoint_begin(g);
    gr_tensor *y0 = gr_apply(g, &polar_op, (gr_tensor *[]){gr_hook(x[0], halve, NULL), x[1]}, 2,
                             &(polar){1});
    gr_tensor *y1 = gr_output(y0, 1);
    gr_checkpoint_end(g);
    gr_grad(gr_mul(y0, y1), x, 2, d); /* r sin 2t, half of it by the hook; r^2 cos 2t */
    print("gradient by r:", d[0]);
    print("gradient by t:", d[1]);
    print("d y1 / d t:", gr_jacobian(y1, x[1])); /* diagonal: r cos t */
    bool fine = r.verdict == GR_PASS && !gr_graph_error(g);

    gr_jvp(&y0, 1, x, (gr_tensor *[]){ones, ones}, 2, d); /* more than a backward in C can give */
    printf("%s\n", gr_graph_error(g) ? gr_graph_error(g) : "no error");
    fine &= gr_graph_error(g) != NULL;
    gr_graph_free(g);
    return !fine;
}

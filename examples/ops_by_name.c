/* ops_by_name.c - ops found and called by name, their attributes set by name: what a binding does. */
/* SPDX-License-Identifier: MIT */
#include <gradus/gradus.h>
#include <stdio.h>

/* [attrs] */
static gr_tensor *strided_convolution(gr_tensor *x, gr_tensor *w)
{
    const gr_op *op = gr_op_find("conv2d");
    const int64_t stride[2] = {2, 2}, padding[2] = {1, 1};
    gr_attrs *a = gr_attrs_new(op); /* all zero: the defaults of its C function */
    gr_attrs_set_ints(a, "stride", stride, 2);
    gr_attrs_set_ints(a, "padding", padding, 2);
    gr_tensor *y = gr_apply_attrs(NULL, op, (gr_tensor *[]){x, w}, 2, a);
    gr_attrs_free(a);
    return y;
}
/* [end] */

/* [json] */
static gr_tensor *the_same_from_json(gr_tensor *x, gr_tensor *w)
{
    return gr_apply_json(NULL, "conv2d", (gr_tensor *[]){x, w}, 2,
                         "{\"stride\": [2, 2], \"padding\": [1, 1]}");
}
/* [end] */

int main(void)
{
    gr_graph *g = gr_graph_new();
    gr_tensor *x = gr_rand(g, GR_F64, GR_SHAPE(1, 3, 8, 8)), *dw;
    gr_tensor *w = gr_randn(g, GR_F64, GR_SHAPE(4, 3, 3, 3));
    gr_tensor *difference = gr_sub(strided_convolution(x, w), the_same_from_json(x, w));
    gr_grad(gr_sum_all(the_same_from_json(x, w)), &w, 1, &dw);
    printf("difference %g, gradient by the first weight %.3f\n",
           gr_item(gr_sum_all(gr_abs(difference))),
           gr_item(gr_slice(gr_reshape(dw, GR_SHAPE(108)), 0, 0, 1, 1)));
    /* [error] */
    gr_apply_json(NULL, "conv2d", (gr_tensor *[]){x, w}, 2, "{\"strides\": [2, 2]}");
    puts(gr_graph_error(g));
    /* [end] */
    int failed = gr_graph_status(g) != GR_ERR_ARGUMENT;
    gr_graph_free(g);
    return failed;
}

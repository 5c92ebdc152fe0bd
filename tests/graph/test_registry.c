/* test_registry.c - every op can be found, and what is said of it holds. */
/* SPDX-License-Identifier: MIT */
#include "base.h"
#include "sample.h"
#include "suite.h"

#include <gradus/gradus.h>
#include <string.h>

static gr__arena arena;

static void setup(void)
{
    arena = (gr__arena){0};
}

static void teardown(void)
{
    gr__arena_release(&arena);
}

START_TEST(every_op_is_found_by_its_name)
{
    ck_assert_ptr_null(gr_op_find("no such op"));
    ck_assert_ptr_null(gr_op_at(gr_op_count()));
    ck_assert_ptr_null(gr_op_at(-1));
    for (int i = 0; i < gr_op_count(); i++)
        ck_assert_msg(gr_op_find(gr_op_at(i)->name) == gr_op_at(i), "two ops are called %s",
                      gr_op_at(i)->name);
}
END_TEST

static gr_tensor *drawn(gr_graph *g, const gr_sample_input *in)
{
    int64_t n = gr_shape_numel(&in->shape);
    return gr_from_data(g, gr__sample_dtype(in), in->shape, gr__sample_draw(in, n, 1, &arena));
}

/* Whether a cotangent of y comes back to x: where none does, the gradient is a fill with zeros. */
static bool reaches(gr_tensor *y, gr_tensor *x)
{
    gr_tensor *dx, *dy;
    if (gr_dtype_of(y) > GR_F64 || gr_dtype_of(x) > GR_F64) return false;
    dy = drawn(gr_graph_of(y), &(gr_sample_input){.shape = *gr_shape_of(y)});
    return !gr_vjp(&y, &dy, 1, &x, 1, &dx) && strcmp(gr_node_op(gr_node_of(dx))->name, "fill") != 0;
}

/* Whether the gradient of what the sample records reaches one of its floating inputs. */
static bool gradient_flows(const gr_op *op, const gr_sample *s)
{
    gr_graph *g = gr_graph_new();
    gr_tensor *x[GR_SAMPLE_INPUTS], *y[GR_MAX_OUTPUTS] = {NULL};
    bool flows = false;
    for (int i = 0; i < s->n_in; i++) x[i] = drawn(g, &s->in[i]);
    int outputs = gr__sample_record(g, op, s, x, y);
    for (int o = 0; o < outputs && !gr_graph_status(g); o++)
        for (int i = 0; i < s->n_in; i++) flows |= reaches(y[o], x[i]);
    gr_graph_free(g);
    return flows;
}

START_TEST(what_is_called_differentiable_passes_a_gradient_on)
{
    int differentiable = 0;
    for (int i = 0; i < gr_op_count(); i++) {
        const gr_op *op = gr_op_at(i);
        bool flows = false;
        for (const gr_sample *s = op->samples; s && s->name && !flows; s++)
            flows = !s->error && gradient_flows(op, s);
        differentiable += gr_op_differentiable(op);
        ck_assert_msg(flows == gr_op_differentiable(op), "%s: a gradient %s", op->name,
                      flows ? "flows" : "does not flow");
    }
    ck_assert_int_ge(differentiable, 180);
}
END_TEST

START_TEST(types_of_fields_have_names)
{
    ck_assert_str_eq(gr_field_type_name(GR_FIELD_I64), "int64");
    ck_assert_str_eq(gr_field_type_name(GR_FIELD_TEXT), "text");
    ck_assert_str_eq(gr_field_type_name((gr_field_type)99), "?");
}
END_TEST

SUITE("registry", setup, teardown, every_op_is_found_by_its_name,
      what_is_called_differentiable_passes_a_gradient_on, types_of_fields_have_names)

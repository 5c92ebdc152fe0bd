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

/* --- by name --- */

static void set_ints(gr_attrs *a, const gr_field *f, const char *at, int n)
{
    int64_t values[GR_MAX_RANK];
    ck_assert_int_le(n, GR_MAX_RANK);
    for (int i = 0; i < n; i++)
        values[i] = f->type == GR_FIELD_I64    ? ((const int64_t *)at)[i]
                    : f->type == GR_FIELD_BOOL ? ((const bool *)at)[i]
                                               : ((const int *)at)[i];
    gr_attrs_set_ints(a, f->name, values, n);
}

/* Sets by name what lies in the struct. */
static void set_field(gr_attrs *a, const gr_field *f, const char *at)
{
    const int n = f->count > 0 ? f->count : 1;
    const gr_axes *axes = (const gr_axes *)at;
    const gr_shape *shape = (const gr_shape *)at;
    switch (f->type) {
    case GR_FIELD_BOOL:
    case GR_FIELD_INT:
    case GR_FIELD_I64: set_ints(a, f, at, n); break;
    case GR_FIELD_F64: gr_attrs_set_numbers(a, f->name, (const double *)at, n); break;
    case GR_FIELD_AXES:
        set_ints(a, &(gr_field){f->name, GR_FIELD_INT, 0, 0, NULL}, (const char *)axes->axis,
                 axes->n);
        break;
    case GR_FIELD_SHAPE: gr_attrs_set_ints(a, f->name, shape->dim, shape->rank); break;
    case GR_FIELD_DTYPE: gr_attrs_set_text(a, f->name, gr_dtype_name(*(const gr_dtype *)at)); break;
    case GR_FIELD_ENUM: gr_attrs_set_text(a, f->name, f->names[*(const int *)at]); break;
    case GR_FIELD_TEXT: gr_attrs_set_text(a, f->name, at); break;
    }
    ck_assert_msg(!gr_attrs_error(a), "%s", gr_attrs_error(a));
}

static void expect_same(const gr_op *op, const gr_sample *s, gr_tensor *got, gr_tensor *expected)
{
    const void *x = gr_data(got), *y = gr_data(expected);
    size_t bytes = (size_t)gr_numel(expected) * gr_dtype_size(gr_dtype_of(expected));
    ck_assert_msg(x && y, "%s, %s: %s", op->name, s->name, gr_graph_error(gr_graph_of(got)));
    ck_assert_msg(gr_shape_equal(gr_shape_of(got), gr_shape_of(expected)), "%s, %s: another shape",
                  op->name, s->name);
    ck_assert_msg(!memcmp(x, y, bytes), "%s, %s: other values", op->name, s->name);
}

static void compare_by_name(const gr_op *op, const gr_sample *s)
{
    gr_graph *g = gr_graph_new();
    gr_tensor *x[GR_SAMPLE_INPUTS];
    gr_attrs *a = gr_attrs_new(op);
    for (const gr_field *f = op->fields; f && f->name; f++)
        set_field(a, f, (const char *)s->attrs + f->offset);
    for (int i = 0; i < s->n_in; i++) x[i] = drawn(g, &s->in[i]);
    expect_same(op, s, gr_apply_attrs(g, op, x, s->n_in, a), gr_apply(g, op, x, s->n_in, s->attrs));
    gr_attrs_free(a);
    gr_graph_free(g);
}

START_TEST(every_op_gives_the_same_by_name_as_by_its_struct)
{
    int compared = 0;
    for (int i = 0; i < gr_op_count(); i++)
        for (const gr_sample *s = gr_op_at(i)->samples; s && s->name; s++) {
            if (s->error || s->record) continue; /* inputs of these need making */
            compare_by_name(gr_op_at(i), s);
            compared++;
        }
    ck_assert_int_gt(compared, 1000);
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
      what_is_called_differentiable_passes_a_gradient_on,
      every_op_gives_the_same_by_name_as_by_its_struct, types_of_fields_have_names)

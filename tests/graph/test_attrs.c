/* test_attrs.c - attributes set by name: what they take, what they refuse, and that no values given
 * to any op do harm. */
/* SPDX-License-Identifier: MIT */
#include "inject.h"
#include "suite.h"

#include <gradus/gradus.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static gr_graph *g;
static gr_attrs *a;

static void setup(void)
{
    g = gr_graph_new();
    a = NULL;
}

static void teardown(void)
{
    gr_attrs_free(a);
    gr_graph_free(g);
}

static gr_attrs *attrs_of(const char *op)
{
    gr_attrs_free(a);
    return a = gr_attrs_new(gr_op_find(op));
}

static gr_tensor *apply(const char *op, gr_tensor *x)
{
    return gr_apply_attrs(NULL, gr_op_find(op), &x, 1, a);
}

static void expect_error(const char *expected)
{
    const char *got = gr_attrs_error(a) ? gr_attrs_error(a) : "no error";
    ck_assert_msg(!strcmp(got, expected), "expected '%s', got '%s'", expected, got);
}

static void set_ints(const char *op, const char *name, const int64_t *values, int n)
{
    attrs_of(op);
    gr_attrs_set_ints(a, name, values, n);
}

static void set_text(const char *op, const char *name, const char *text)
{
    attrs_of(op);
    gr_attrs_set_text(a, name, text);
}

/* --- what they give --- */

static gr_tensor *ramp(gr_shape shape)
{
    double x[256];
    for (int i = 0; i < 256; i++) x[i] = sin(0.7 * i + 0.2);
    return gr_from_data(g, GR_F64, shape, x);
}

static void expect_equal(gr_tensor *got, gr_tensor *expected)
{
    const double *x = gr_data(got), *y = gr_data(expected);
    ck_assert_msg(x && y, "%s", gr_graph_error(g));
    ck_assert(gr_shape_equal(gr_shape_of(got), gr_shape_of(expected)));
    for (int64_t i = 0; i < gr_numel(got); i++)
        ck_assert_msg(x[i] == y[i], "element %d: expected %g, got %g", (int)i, y[i], x[i]);
}

START_TEST(named_attributes_are_those_of_the_c_functions)
{
    gr_tensor *x = ramp(GR_SHAPE(1, 2, 5, 4)), *w = ramp(GR_SHAPE(3, 2, 2, 2));
    gr_tensor *in[] = {x, w};
    set_ints("conv2d", "stride", (int64_t[]){2, 1}, 2);
    gr_attrs_set_ints(a, "padding", (int64_t[]){1, 0}, 2);
    expect_equal(gr_apply_attrs(NULL, gr_op_find("conv2d"), in, 2, a),
                 gr_conv2d(x, w, NULL, (gr_conv2d_options){.stride = {2, 1}, .padding = {1, 0}}));
    set_ints("softmax", "axis", (int64_t[]){-2}, 1);
    expect_equal(apply("softmax", x), gr_softmax(x, -2));
    attrs_of("leaky_relu");
    gr_attrs_set_numbers(a, "slope", &(double){0.1}, 1);
    expect_equal(apply("leaky_relu", x), gr_leaky_relu(x, 0.1));
    set_ints("leaky_relu", "slope", (int64_t[]){2}, 1); /* whole numbers are numbers too */
    expect_equal(apply("leaky_relu", x), gr_leaky_relu(x, 2));
    set_ints("sum", "axes", (int64_t[]){1, 3}, 2);
    gr_attrs_set_ints(a, "keepdim", (int64_t[]){1}, 1);
    expect_equal(apply("sum", x), gr_sum(x, GR_AXES(1, 3), true));
    set_ints("reshape", "shape", (int64_t[]){8, 5}, 2);
    expect_equal(apply("reshape", x), gr_reshape(x, GR_SHAPE(8, 5)));
    set_ints("pad", "before", (int64_t[]){0, 0, 1, 2}, 4); /* an element per axis */
    expect_equal(apply("pad", x), gr_pad(x, (gr_pad_options){.before = {0, 0, 1, 2}}));
}
END_TEST

START_TEST(texts_enums_and_dtypes_go_by_their_names)
{
    gr_tensor *x = ramp(GR_SHAPE(3, 4)), *y = ramp(GR_SHAPE(3, 4)), *in[] = {x, y};
    set_text("huber", "reduction", "sum");
    gr_attrs_set_numbers(a, "delta", &(double){0.5}, 1);
    expect_equal(gr_apply_attrs(NULL, gr_op_find("huber"), in, 2, a),
                 gr_huber_loss(x, y,
                               (gr_huber_options){.reduction = GR_REDUCTION_SUM, .delta = 0.5}));
    set_text("einsum", "equation", "ij,kj->ik");
    expect_equal(gr_apply_attrs(NULL, gr_op_find("einsum"), in, 2, a),
                 gr_einsum("ij,kj->ik", in, 2));
    set_text("cast", "dtype", "float32");
    ck_assert_int_eq(gr_dtype_of(apply("cast", x)), GR_F32);
}
END_TEST

START_TEST(attributes_can_be_changed_and_applied_again)
{
    gr_tensor *x = ramp(GR_SHAPE(3, 4));
    for (int64_t axis = 0; axis < 2; axis++) {
        if (axis == 0) attrs_of("softmax");
        ck_assert_int_eq(gr_attrs_set_ints(a, "axis", &axis, 1), GR_OK);
        expect_equal(apply("softmax", x), gr_softmax(x, (int)axis));
    }
    ck_assert_ptr_null(gr_attrs_error(a));
}
END_TEST

START_TEST(a_random_op_without_a_seed_draws_a_new_one_each_time)
{
    gr_tensor *x = ramp(GR_SHAPE(16, 16));
    attrs_of("dropout");
    gr_attrs_set_numbers(a, "p", &(double){0.5}, 1);
    gr_graph_seed(g, 5);
    gr_tensor *first = apply("dropout", x), *second = apply("dropout", x);
    ck_assert(memcmp(gr_data(first), gr_data(second), 256 * sizeof(double)) != 0);
    gr_graph_seed(g, 5);
    expect_equal(first, gr_dropout(x, 0.5));
    gr_attrs_set_ints(a, "seed", (int64_t[]){7}, 1);
    expect_equal(apply("dropout", x), apply("dropout", x));
}
END_TEST

/* --- an op of the user --- */

typedef struct mine_attrs {
    bool flags[2];
    double power;
    gr_axes axes;
} mine_attrs;

static const gr_field mine_fields[] = {
    GR_FIELD_ARRAY(mine_attrs, flags, GR_FIELD_BOOL, 2),
    GR_FIELD(mine_attrs, power, GR_FIELD_F64),
    GR_FIELD(mine_attrs, axes, GR_FIELD_AXES),
    {0},
};

static void mine_f64(const gr_tile *t)
{
    const mine_attrs *m = t->attrs;
    double gain = m->power + 10 * m->flags[0] + 100 * m->flags[1] + 1000 * m->axes.axis[1];
    for (int64_t i = 0; i < t->n; i++) ((double *)t->y)[i] = gain * ((const double *)t->x[0])[i];
}

START_TEST(an_op_of_the_user_is_called_in_the_same_way)
{
    const gr_op mine = {.name = "mine",
                        .n_in = 1,
                        .attrs_size = sizeof(mine_attrs),
                        .fields = mine_fields,
                        .tile = {[GR_F64] = mine_f64}};
    gr_tensor *x = gr_scalar(g, GR_F64, 1);
    a = gr_attrs_new(&mine);
    gr_attrs_set_ints(a, "flags", (int64_t[]){0, 1}, 2);
    gr_attrs_set_numbers(a, "power", &(double){0.5}, 1);
    gr_attrs_set_ints(a, "axes", (int64_t[]){3, 2}, 2);
    ck_assert_double_eq(gr_item(gr_apply_attrs(NULL, &mine, &x, 1, a)), 2100.5);
    gr_attrs_set_ints(a, "flags", (int64_t[]){0, 2}, 2);
    expect_error("mine: attribute flags: expected 2 of bool, got a value out of range");
}
END_TEST

/* --- what they refuse --- */

START_TEST(wrong_names_types_and_counts_say_what_was_expected)
{
    const int64_t many[9] = {0};
    set_ints("conv2d", "strides", many, 2);
    expect_error("conv2d: no attribute 'strides'; its attributes: stride, padding, dilation, "
                 "groups, same");
    set_ints("tanh", "axis", many, 1);
    expect_error("tanh: no attribute 'axis'; its attributes: none");
    set_ints("conv2d", NULL, many, 2);
    expect_error("conv2d: no attribute 'NULL'; its attributes: stride, padding, dilation, groups, "
                 "same");
    set_ints("conv2d", "stride", many, 1);
    expect_error("conv2d: attribute stride: expected 2 of int, got 1 value");
    set_ints("softmax", "axis", many, 0);
    expect_error("softmax: attribute axis: expected int, got 0 values");
    set_ints("softmax", "axis", (int64_t[]){5000000000}, 1);
    expect_error("softmax: attribute axis: expected int, got 5000000000");
    set_ints("sum", "keepdim", (int64_t[]){2}, 1);
    expect_error("sum: attribute keepdim: expected bool, got 2");
    set_ints("sum", "axes", many, 9);
    expect_error("sum: attribute axes: expected at most 8 axes, got 9 values");
    set_ints("reshape", "shape", many, -1);
    expect_error("reshape: attribute shape: expected at most 8 sizes, got -1 values");
    set_ints("huber", "reduction", many, 1);
    expect_error("huber: attribute reduction: expected one of mean, sum, none, got whole numbers");
    set_text("huber", "reduction", "average");
    expect_error("huber: attribute reduction: expected one of mean, sum, none, got 'average'");
    set_text("cast", "dtype", "float16");
    expect_error("cast: attribute dtype: expected one of float32, float64, int64, uint8, bool, got "
                 "'float16'");
    set_text("softmax", "axis", "last");
    expect_error("softmax: attribute axis: expected int, got 'last'");
    set_ints("softmax", "axis", NULL, 1);
    expect_error("softmax: attribute axis: expected int, got NULL");
    set_ints("pad", "before", many, 9);
    expect_error("pad: attribute before: expected at most 8 of int64, got 9 values");
    ck_assert_int_eq(gr_attrs_set_ints(NULL, "axis", many, 1), GR_ERR_ARGUMENT);
    attrs_of("softmax");
    gr_attrs_set_numbers(a, "axis", &(double){1}, 1);
    expect_error("softmax: attribute axis: expected int, got floating numbers");
}
END_TEST

START_TEST(a_text_may_fill_its_field_but_not_more)
{
    char text[200];
    memset(text, 'x', sizeof text);
    text[128] = 0;
    set_text("einsum", "equation", text);
    ck_assert_ptr_nonnull(
        strstr(gr_attrs_error(a), "expected at most 127 bytes of text, got 'xxx"));
    text[127] = 0;
    set_text("einsum", "equation", text);
    ck_assert_ptr_null(gr_attrs_error(a));
}
END_TEST

START_TEST(the_first_error_sticks_and_reaches_the_graph)
{
    gr_tensor *x = ramp(GR_SHAPE(3, 4));
    set_ints("softmax", "axes", (int64_t[]){0}, 1);
    ck_assert_int_eq(gr_attrs_set_ints(a, "axis", (int64_t[]){0}, 1), GR_ERR_ARGUMENT);
    gr_data(apply("softmax", x));
    const char *expected = "softmax: no attribute 'axes'; its attributes: axis (at ";
    ck_assert_msg(!strncmp(gr_graph_error(g), expected, strlen(expected)), "expected %s, got %s",
                  expected, gr_graph_error(g));
}
END_TEST

START_TEST(an_op_takes_its_own_attributes_only)
{
    gr_tensor *x = ramp(GR_SHAPE(3, 4));
    attrs_of("softmax");
    apply("log_softmax", x);
    ck_assert_ptr_nonnull(strstr(gr_graph_error(g), "log_softmax: got the attributes of softmax"));
    gr_graph_reset(g);
    x = ramp(GR_SHAPE(3, 4));
    gr_apply_attrs(NULL, gr_op_find("softmax"), &x, 1, NULL);
    ck_assert_ptr_nonnull(strstr(gr_graph_error(g), "softmax: its attributes are missing"));
    gr_graph_reset(g);
    gr_apply_attrs(g, NULL, NULL, 0, NULL);
    ck_assert_ptr_nonnull(strstr(gr_graph_error(g), "the op is NULL"));
}
END_TEST

START_TEST(attributes_of_nothing_are_inert)
{
    a = gr_attrs_new(NULL);
    ck_assert_ptr_nonnull(gr_attrs_error(a));
    ck_assert_int_ne(gr_attrs_set_ints(a, "axis", (int64_t[]){0}, 1), GR_OK);
    ck_assert_int_ne(gr_attrs_set_text(a, "axis", "x"), GR_OK);
    gr_attrs_free(a);
    inject_begin();
    inject_allocation(0);
    a = gr_attrs_new(gr_op_find("softmax"));
    inject_none();
    inject_end();
    expect_error("attributes: out of memory");
    apply("softmax", ramp(GR_SHAPE(3)));
    ck_assert_int_eq(gr_graph_status(g), GR_ERR_MEMORY);
}
END_TEST

/* --- any values at all --- */

/* Memory that has an end, so that sizes of 2^31 are refused on every machine. */
static void *at_most_64_mb(void *user, size_t bytes)
{
    (void)user;
    return bytes <= 64 << 20 ? aligned_alloc(64, (bytes + 63) / 64 * 64) : NULL;
}

static void give_back(void *user, void *memory, size_t bytes)
{
    (void)user;
    (void)bytes;
    free(memory);
}

static uint64_t state;

static int64_t odd_value(void)
{
    static const int64_t values[] = {0, 1, -1, 2, 3, -2, 7, 100, -100, 65536, INT32_MAX, INT32_MIN};
    state = state * 6364136223846793005u + 1442695040888963407u;
    return values[(state >> 33) % (sizeof values / sizeof *values)];
}

static void set_odd(const gr_field *f)
{
    int64_t ints[GR_MAX_RANK + 1];
    int n = f->type == GR_FIELD_AXES || f->type == GR_FIELD_SHAPE ? (int)(odd_value() & 3)
            : f->count > 0                                        ? f->count
                                                                  : 1;
    for (int i = 0; i < n && i <= GR_MAX_RANK; i++) ints[i] = odd_value();
    if (f->type == GR_FIELD_TEXT)
        gr_attrs_set_text(a, f->name, odd_value() > 1 ? "ij,jk->ik" : "->");
    else if (f->type == GR_FIELD_ENUM) gr_attrs_set_text(a, f->name, f->names[odd_value() & 1]);
    else if (f->type == GR_FIELD_DTYPE)
        gr_attrs_set_text(a, f->name, gr_dtype_name((gr_dtype)(odd_value() & 3)));
    else if (f->type == GR_FIELD_BOOL)
        gr_attrs_set_ints(a, f->name, (int64_t[]){odd_value() & 1}, 1);
    else gr_attrs_set_ints(a, f->name, ints, n);
}

static gr_tensor *odd_input(const gr_sample_input *in)
{
    static double zeros[4096];
    gr_dtype dtype = in->integer ? GR_I64 : in->boolean ? GR_BOOL : GR_F64;
    gr_shape shape = in->shape;
    if (odd_value() == 0 && shape.rank) shape.dim[shape.rank - 1]++;
    if (odd_value() == 0 && shape.rank) shape.rank--;
    ck_assert_int_le(gr_shape_numel(&shape), 4096);
    for (int64_t i = 0; i < 4096; i++)
        if (in->integer) ((int64_t *)zeros)[i] = odd_value();
        else if (in->boolean) ((uint8_t *)zeros)[i] = (uint8_t)(odd_value() & 1);
        else zeros[i] = (double)odd_value() / 3;
    return gr_from_data(g, dtype, shape, zeros);
}

/* Records, evaluates and differentiates the op; an error is as good as a result. */
static void provoke(const gr_op *op, const gr_sample *s)
{
    gr_tensor *x[GR_SAMPLE_INPUTS], *dx;
    gr_graph_reset(g);
    attrs_of(op->name);
    for (const gr_field *f = op->fields; f && f->name; f++) set_odd(f);
    ck_assert_msg(!gr_attrs_error(a), "%s", gr_attrs_error(a));
    for (int i = 0; i < s->n_in; i++) x[i] = odd_input(&s->in[i]);
    gr_tensor *y = gr_apply_attrs(g, op, x, s->n_in, a);
    if (gr_graph_status(g) || gr_numel(y) > 1 << 20) return;
    gr_data(y);
    if (s->n_in && gr_dtype_of(x[0]) == GR_F64 && gr_dtype_of(y) == GR_F64 &&
        !gr_grad(y, x, 1, &dx))
        gr_data(dx);
}

START_TEST(no_values_crash_any_op)
{
    int provoked = 0;
    gr_set_allocator(&(gr_allocator){at_most_64_mb, give_back, NULL});
    for (int i = 0; i < gr_op_count(); i++)
        for (const gr_sample *s = gr_op_at(i)->samples; s && s->name; s++)
            for (int round = 0; round < 6; round++) {
                state = (uint64_t)(1000 * i + round);
                provoke(gr_op_at(i), s);
                provoked++;
            }
    gr_set_allocator(NULL);
    ck_assert_int_gt(provoked, 1000);
}
END_TEST

SUITE("attrs", setup, teardown, named_attributes_are_those_of_the_c_functions,
      texts_enums_and_dtypes_go_by_their_names, attributes_can_be_changed_and_applied_again,
      a_random_op_without_a_seed_draws_a_new_one_each_time,
      an_op_of_the_user_is_called_in_the_same_way,
      wrong_names_types_and_counts_say_what_was_expected, a_text_may_fill_its_field_but_not_more,
      the_first_error_sticks_and_reaches_the_graph, an_op_takes_its_own_attributes_only,
      attributes_of_nothing_are_inert, no_values_crash_any_op)

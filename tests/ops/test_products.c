/* test_products.c - products of tensors and Einstein's notation against plain loops. */
/* SPDX-License-Identifier: MIT */
#include "fixture.h"
#include "matrix.h"
#include "suite.h"

/* --- products --- */

START_TEST(products_are_those_of_loops)
{
    for (int dtype = GR_F32; dtype <= GR_F64; dtype++) {
        const double tolerance = dtype == GR_F32 ? 1e-6 : 1e-14;
        gr_tensor *a = matrix_of((gr_dtype)dtype, GR_SHAPE(4), 0), *b = matrix_of((gr_dtype)dtype, GR_SHAPE(4), 1);
        const double *x = values(a), *y = values(b);
        const double *outer = values(gr_outer(a, b)), *kron = values(gr_kron(a, b));
        double dot = 0;
        for (int i = 0; i < 4; i++) dot += x[i] * y[i];
        ck_assert_double_eq_tol(gr_item(gr_dot(a, b)), dot, tolerance);
        ck_assert_double_eq_tol(gr_item(gr_vecdot(a, b, 0)), dot, tolerance);
        for (int i = 0; i < 16; i++) {
            ck_assert_double_eq_tol(outer[i], x[i / 4] * y[i % 4], tolerance);
            ck_assert_double_eq_tol(kron[i], x[i / 4] * y[i % 4], tolerance);
        }
        gr_graph_reset(g);
    }
}
END_TEST

START_TEST(kron_puts_b_into_every_element_of_a)
{
    gr_tensor *a = matrix_of(GR_F64, GR_SHAPE(2, 3), 0), *b = matrix_of(GR_F64, GR_SHAPE(4, 2), 1);
    const double *x = values(a), *y = values(b), *p = values(gr_kron(a, b));
    ck_assert(gr_shape_equal(gr_shape_of(gr_kron(a, b)), &GR_SHAPE(8, 6)));
    for (int i = 0; i < 8; i++)
        for (int j = 0; j < 6; j++) ck_assert(p[i * 6 + j] == x[i / 4 * 3 + j / 2] * y[i % 4 * 2 + j % 2]);
    ck_assert(gr_shape_equal(gr_shape_of(gr_kron(gr_ones(g, GR_F64, GR_SHAPE(2)), gr_ones(g, GR_F64, GR_SHAPE(3, 1, 5)))), &GR_SHAPE(3, 1, 10)));
}
END_TEST

START_TEST(a_cross_product_is_orthogonal_to_both)
{
    gr_tensor *a = matrix_of(GR_F64, GR_SHAPE(2, 3, 4), 0), *b = matrix_of(GR_F64, GR_SHAPE(3, 1), 1), *y = gr_cross(a, b, 1);
    const double *x = values(a), *z = values(b), *p = values(y);
    for (int n = 0; n < 8; n++) {
        const int at = n / 4 * 12 + n % 4;
        ck_assert_double_eq_tol(p[at], x[at + 4] * z[2] - x[at + 8] * z[1], 1e-15);
        ck_assert_double_eq_tol(p[at + 4], x[at + 8] * z[0] - x[at] * z[2], 1e-15);
        ck_assert_double_eq_tol(p[at + 8], x[at] * z[1] - x[at + 4] * z[0], 1e-15);
    }
}
END_TEST

START_TEST(tensordot_sums_over_pairs_of_axes)
{
    gr_tensor *a = matrix_of(GR_F64, GR_SHAPE(2, 3, 4), 0), *b = matrix_of(GR_F64, GR_SHAPE(4, 5, 2), 1);
    gr_tensor *y = gr_tensordot(a, b, GR_AXES(0, -1), GR_AXES(2, 0));
    const double *x = values(a), *z = values(b), *p = values(y);
    ck_assert(gr_shape_equal(gr_shape_of(y), &GR_SHAPE(3, 5)));
    for (int j = 0; j < 3; j++)
        for (int l = 0; l < 5; l++) {
            double sum = 0;
            for (int i = 0; i < 2; i++)
                for (int k = 0; k < 4; k++) sum += x[i * 12 + j * 4 + k] * z[k * 10 + l * 2 + i];
            ck_assert_double_eq_tol(p[j * 5 + l], sum, 1e-14);
        }
}
END_TEST

START_TEST(bilinear_is_a_form_for_every_output)
{
    gr_tensor *a = matrix_of(GR_F64, GR_SHAPE(3, 2), 0), *b = matrix_of(GR_F64, GR_SHAPE(3, 4), 1);
    gr_tensor *w = matrix_of(GR_F64, GR_SHAPE(5, 2, 4), 2), *bias = matrix_of(GR_F64, GR_SHAPE(5), 3);
    const double *x = values(a), *z = values(b), *f = values(w), *c = values(bias);
    const double *p = values(gr_bilinear(a, b, w, bias)), *q = values(gr_bilinear(a, b, w, NULL));
    for (int n = 0; n < 3; n++)
        for (int o = 0; o < 5; o++) {
            double sum = 0;
            for (int i = 0; i < 2; i++)
                for (int j = 0; j < 4; j++) sum += x[n * 2 + i] * f[o * 8 + i * 4 + j] * z[n * 4 + j];
            ck_assert_double_eq_tol(p[n * 5 + o], sum + c[o], 1e-14);
            ck_assert_double_eq_tol(q[n * 5 + o], sum, 1e-14);
        }
}
END_TEST

/* --- einsum: letters in 'sizes' have the size beside them --- */

typedef struct letters {
    int n;
    char letter[16];
    int64_t size[16], at[16];
} letters;

static int find(const letters *l, char c)
{
    for (int i = 0; i < l->n; i++)
        if (l->letter[i] == c) return i;
    return -1;
}

static int64_t offset_of(const letters *l, const char *term, int n, const gr_shape *s)
{
    int64_t offset = 0;
    for (int i = 0; i < n; i++) {
        int64_t at = l->at[find(l, term[i])];
        offset = offset * s->dim[i] + (s->dim[i] == 1 ? 0 : at);
    }
    return offset;
}

typedef struct operand {
    const char *term;
    gr_shape shape;
} operand;

/* All combinations of all letters, one after the other. */
static void by_definition(const operand *in, int n, const double *const *x, const char *out,
                          const gr_shape *shape, letters *l, double *y)
{
    int64_t all = 1;
    for (int i = 0; i < l->n; i++) all *= l->size[i];
    memset(y, 0, (size_t)gr_shape_numel(shape) * sizeof *y);
    for (int64_t k = 0; k < all; k++) {
        int64_t rest = k;
        double product = 1;
        for (int i = 0; i < l->n; i++) {
            l->at[i] = rest % l->size[i];
            rest /= l->size[i];
        }
        for (int i = 0; i < n; i++)
            product *= x[i][offset_of(l, in[i].term, in[i].shape.rank, &in[i].shape)];
        y[offset_of(l, out, shape->rank, shape)] += product;
    }
}

static void check_einsum(const char *equation, const operand *in, int n, const char *out)
{
    static double want[4096];
    letters l = {0};
    gr_tensor *t[8];
    const double *x[8];
    for (int i = 0; i < n; i++) {
        t[i] = matrix_of(GR_F64, in[i].shape, i);
        x[i] = values(t[i]);
        for (int k = 0; k < in[i].shape.rank; k++) {
            int at = find(&l, in[i].term[k]);
            if (at < 0) l.letter[at = l.n++] = in[i].term[k];
            if (in[i].shape.dim[k] != 1 || l.size[at] == 0) l.size[at] = in[i].shape.dim[k];
        }
    }
    gr_shape shape = {(int)strlen(out), {0}};
    for (int k = 0; k < shape.rank; k++) shape.dim[k] = l.size[find(&l, out[k])];
    gr_tensor *y = gr_einsum(equation, t, n);
    const double *got = values(y);
    ck_assert_msg(gr_shape_equal(gr_shape_of(y), &shape), "%s: another shape", equation);
    by_definition(in, n, x, out, &shape, &l, want);
    for (int64_t i = 0; i < gr_numel(y); i++)
        ck_assert_msg(fabs(got[i] - want[i]) <= 1e-12, "%s: element %d", equation, (int)i);
    gr_graph_reset(g);
}

#define OPERANDS(...) (const operand[]){__VA_ARGS__}, GR__COUNT(operand, __VA_ARGS__)

START_TEST(an_equation_is_the_sum_over_all_its_letters)
{
    check_einsum("ij,jk->ik", OPERANDS({"ij", {2, {2, 3}}}, {"jk", {2, {3, 4}}}), "ik");
    check_einsum("ij,jk", OPERANDS({"ij", {2, {2, 3}}}, {"jk", {2, {3, 4}}}), "ik");
    check_einsum("kj,ji", OPERANDS({"kj", {2, {2, 3}}}, {"ji", {2, {3, 4}}}), "ik");
    check_einsum("b,A", OPERANDS({"b", {1, {2}}}, {"A", {1, {3}}}), "Ab");
    check_einsum("ii", OPERANDS({"ii", {2, {3, 3}}}), "");
    check_einsum("ii->i", OPERANDS({"ii", {2, {3, 3}}}), "i");
    check_einsum("iijj->ji", OPERANDS({"iijj", {4, {2, 2, 3, 3}}}), "ji");
    check_einsum("iii->i", OPERANDS({"iii", {3, {3, 3, 3}}}), "i");
    check_einsum("ijk->", OPERANDS({"ijk", {3, {2, 3, 4}}}), "");
    check_einsum("ijk->ki", OPERANDS({"ijk", {3, {2, 3, 4}}}), "ki");
    check_einsum(" b i j , b j k -> b k i ", OPERANDS({"bij", {3, {2, 3, 4}}}, {"bjk", {3, {2, 4, 5}}}), "bki");
    check_einsum("bij,bjk->ik", OPERANDS({"bij", {3, {2, 3, 4}}}, {"bjk", {3, {2, 4, 5}}}), "ik");
    check_einsum("i,i,i->i", OPERANDS({"i", {1, {5}}}, {"i", {1, {5}}}, {"i", {1, {5}}}), "i");
    check_einsum("ij,ik,il->jkl", OPERANDS({"ij", {2, {3, 2}}}, {"ik", {2, {3, 4}}}, {"il", {2, {3, 5}}}), "jkl");
    check_einsum("ab,bc,cd,de->ae", OPERANDS({"ab", {2, {2, 3}}}, {"bc", {2, {3, 4}}}, {"cd", {2, {4, 5}}}, {"de", {2, {5, 2}}}), "ae");
    check_einsum("...i,...i->...", OPERANDS({"xyi", {3, {2, 3, 4}}}, {"yi", {2, {3, 4}}}), "xy");
    check_einsum("...ij,...jk", OPERANDS({"xij", {3, {2, 3, 4}}}, {"xjk", {3, {1, 4, 5}}}), "xik");
    check_einsum("i...->...", OPERANDS({"ixy", {3, {2, 3, 4}}}), "xy");
    check_einsum("...->", OPERANDS({"xy", {2, {2, 3}}}), "");
    check_einsum("ij,ij->ij", OPERANDS({"ij", {2, {1, 3}}}, {"ij", {2, {2, 1}}}), "ij");
    check_einsum(",i->i", OPERANDS({"", {0, {0}}}, {"i", {1, {3}}}), "i");
    check_einsum("a,b,c,d,e,f,g,h->aceg", OPERANDS({"a", {1, {2}}}, {"b", {1, {3}}}, {"c", {1, {2}}}, {"d", {1, {3}}}, {"e", {1, {2}}}, {"f", {1, {3}}}, {"g", {1, {2}}}, {"h", {1, {3}}}), "aceg");
}
END_TEST

START_TEST(a_broken_equation_is_shown)
{
    gr_tensor *a = gr_ones(g, GR_F64, GR_SHAPE(2, 3)), *many[9] = {a, a, a, a, a, a, a, a, a};
    static const struct {
        const char *equation, *error;
        int n;
    } cases[] = {
        {"", "does not name as many axes", 1},       {"ij->iij", "names an axis of the result twice", 1},
        {"ij..", "has a character that is no", 1},   {"......", "has a character that is no", 1},
        {"ii->i", "gives one axis two sizes, 2 and 3", 1}, {"ij,ij,ij,ij,ij,ij,ij,ij,ij", "at most 8 operands", 9},
        {"ij->ij->ij", "goes on behind its result", 1}, {"ij-", "has a '-' that is no '->'", 1},
        {"ijklmnopqrs", "names more than 8 axes", 1}, {NULL, "the equation is missing", 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (int k = 0; k < 9; k++) many[k] = gr_ones(g, GR_F64, GR_SHAPE(2, 3));
        matrix_error(gr_einsum(cases[i].equation, many, cases[i].n), cases[i].error);
    }
}
END_TEST

SUITE("products", setup, teardown, products_are_those_of_loops, kron_puts_b_into_every_element_of_a,
      a_cross_product_is_orthogonal_to_both, tensordot_sums_over_pairs_of_axes,
      bilinear_is_a_form_for_every_output, an_equation_is_the_sum_over_all_its_letters,
      a_broken_equation_is_shown)

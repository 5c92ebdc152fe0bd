/* einsum.c - sums of products, in Einstein's notation.
 *
 *   "ij,jk->ik"    Y_ik = sum_j A_ij B_jk
 *
 * Each operand loses the axes that it alone has (by a sum) and names twice (by a diagonal). Then
 * two at a time are multiplied, the pair with the smallest product first: as matrices, the axes in
 * common being those of a batch, if they are still needed, else the inner ones. All steps are ops,
 * so their backward is that of the whole.
 */
/* SPDX-License-Identifier: MIT */
#include "family.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { LETTERS = 52, LABELS = LETTERS + GR_MAX_RANK, MOST = 8, TEXT = 128 };

/* The axes of an operand by label: 0 to 51 for the letters, then those that an ellipsis stands for,
 * the last axis of which is always LABELS - 1. */
typedef struct term {
    int n;
    int axis[GR_MAX_RANK];
} term;

typedef struct operand {
    gr_tensor *x;
    term t;
} operand;

typedef struct equation {
    gr_graph *g;
    const char *text;
    int n;
    operand in[MOST];
    term out;
    int64_t size[LABELS]; /* of each axis */
    int uses[LABELS];     /* operands that have it, and one more for the result */
    bool failed;
} equation;

static bool fail(equation *q, const char *reason)
{
    if (!q->failed) gr_fail(q->g, "einsum: '%s' %s", q->text, reason);
    q->failed = true;
    return false;
}

static bool fail_sizes(equation *q, int64_t a, int64_t b)
{
    char reason[TEXT];
    snprintf(reason, sizeof reason, "gives one axis two sizes, %lld and %lld", (long long)a,
             (long long)b);
    return fail(q, reason);
}

/* --- reading --- */

/* In the order of ASCII: A to Z, a to z. */
static int label_of(char c)
{
    return c >= 'A' && c <= 'Z' ? c - 'A' : c >= 'a' && c <= 'z' ? c - 'a' + 26 : -1;
}

static bool add_label(equation *q, term *t, int label)
{
    if (t->n == GR_MAX_RANK) return fail(q, "names more than 8 axes");
    t->axis[t->n++] = label;
    return true;
}

/* One list of letters up to ',', '-' or the end, an ellipsis in it being so many axes. */
static const char *read_term(equation *q, const char *c, int ellipsis, term *t)
{
    bool seen = false;
    for (t->n = 0; *c && *c != ',' && *c != '-' && !q->failed; c++) {
        if (isspace((unsigned char)*c)) continue;
        if (label_of(*c) >= 0) {
            add_label(q, t, label_of(*c));
        } else if (strncmp(c, "...", 3) == 0 && !seen) {
            for (int i = 0; i < ellipsis; i++) add_label(q, t, LABELS - ellipsis + i);
            seen = true;
            c += 2;
        } else {
            fail(q, "has a character that is no letter, ',', '->' or one '...'");
        }
    }
    return c;
}

/* Axes that an ellipsis in the term at c stands for in a tensor of that rank; -1: none, or too many
 * letters. */
static int ellipsis_of(const char *c, int rank)
{
    int letters = 0, dots = 0;
    for (; *c && *c != ',' && *c != '-'; c++) {
        letters += label_of(*c) >= 0;
        dots += *c == '.';
    }
    return dots ? rank - letters : -1;
}

/* A size of 1 stretches to that of the others. */
static bool note_size(equation *q, int label, int64_t size)
{
    int64_t *known = &q->size[label];
    q->uses[label]++;
    if (*known < 0 || *known == 1) *known = size;
    return size == *known || size == 1 || fail_sizes(q, *known, size);
}

static const char *read_operand(equation *q, const char *c, operand *o, int *widest)
{
    const gr_shape *s = gr_shape_of(o->x);
    const int ellipsis = ellipsis_of(c, s->rank);
    if (ellipsis > *widest) *widest = ellipsis;
    c = read_term(q, c, ellipsis, &o->t);
    if (!q->failed && o->t.n != s->rank)
        fail(q, "does not name as many axes as an operand has");
    for (int i = 0; i < o->t.n && !q->failed; i++) note_size(q, o->t.axis[i], s->dim[i]);
    return c;
}

/* Without "->": the ellipsis, then what is named once, in the order of letters. */
static void implied_result(equation *q, int ellipsis)
{
    for (int i = 0; i < ellipsis; i++) add_label(q, &q->out, LABELS - ellipsis + i);
    for (int label = 0; label < LETTERS && !q->failed; label++)
        if (q->uses[label] == 1) add_label(q, &q->out, label);
}

static void check_result(equation *q)
{
    bool seen[LABELS] = {false};
    for (int i = 0; i < q->out.n && !q->failed; i++) {
        const int label = q->out.axis[i];
        if (q->size[label] < 0 || seen[label])
            fail(q, "names an axis of the result twice, or one that no operand has");
        seen[label] = true;
    }
}

static void read_equation(equation *q)
{
    const char *c = q->text;
    int widest = 0;
    for (int i = 0; i < LABELS; i++) q->size[i] = -1;
    for (int i = 0; i < q->n && !q->failed; i++) {
        if (i && *c++ != ',') fail(q, "names fewer operands than there are");
        else c = read_operand(q, c, &q->in[i], &widest);
    }
    if (q->failed) return;
    if (*c == ',') fail(q, "names more operands than there are");
    else if (*c == 0) implied_result(q, widest);
    else if (c[1] != '>') fail(q, "has a '-' that is no '->'");
    else if (*read_term(q, c + 2, widest, &q->out)) fail(q, "goes on behind its result");
    check_result(q);
}

/* --- computing --- */

static int place_of(const term *t, int label)
{
    for (int i = 0; i < t->n; i++)
        if (t->axis[i] == label) return i;
    return -1;
}

static void drop_axis(term *t, int i)
{
    t->n--;
    memmove(t->axis + i, t->axis + i + 1, (size_t)(t->n - i) * sizeof *t->axis);
}

/* The axes of o in the order of t, which names the same ones. */
static void arrange(operand *o, const term *t)
{
    gr_axes axes = {t->n, {0}};
    bool same = true;
    for (int i = 0; i < t->n; i++) {
        axes.axis[i] = place_of(&o->t, t->axis[i]);
        same &= axes.axis[i] == i;
    }
    if (!same) o->x = gr_permute(o->x, axes);
    o->t = *t;
}

/* Axes i < j, of one size, become one, the last. */
static void take_diagonal(operand *o, int i, int j)
{
    const int label = o->t.axis[i];
    o->x = gr_diagonal(o->x, 0, i, j);
    drop_axis(&o->t, j);
    drop_axis(&o->t, i);
    o->t.axis[o->t.n++] = label;
}

/* Repeated labels become diagonals, stretched axes go, for the others have them. */
static void simplify(equation *q, operand *o)
{
    for (int i = 0; i < o->t.n; i++)
        for (int j = i + 1; j < o->t.n; j++) {
            if (o->t.axis[i] != o->t.axis[j]) continue;
            const gr_shape *s = gr_shape_of(o->x);
            if (s->dim[i] != s->dim[j]) {
                fail_sizes(q, s->dim[i], s->dim[j]);
                return;
            }
            q->uses[o->t.axis[i]]--;
            take_diagonal(o, i, j);
            i = -1;
            break;
        }
    gr_shape shape = {0, {0}}, now = *gr_shape_of(o->x);
    for (int i = now.rank - 1; i >= 0; i--)
        if (now.dim[i] == 1 && q->size[o->t.axis[i]] != 1) {
            q->uses[o->t.axis[i]]--;
            drop_axis(&o->t, i);
            now.dim[i] = -1;
        }
    for (int i = 0; i < now.rank; i++)
        if (now.dim[i] >= 0) shape.dim[shape.rank++] = now.dim[i];
    o->x = gr_reshape(o->x, shape);
}

/* Sums over axes that nothing else has. */
static void sum_out(const equation *q, operand *o)
{
    gr_axes axes = {0, {0}};
    for (int i = 0; i < o->t.n; i++)
        if (q->uses[o->t.axis[i]] == 1) axes.axis[axes.n++] = i;
    if (!axes.n) return;
    o->x = gr_sum(o->x, axes, false);
    for (int i = axes.n - 1; i >= 0; i--) drop_axis(&o->t, axes.axis[i]);
}

/* How the axes of a pair fall apart. */
typedef struct split {
    term batch, first, second, inner;
    int64_t b, m, n, k; /* elements of each */
} split;

static bool put(const equation *q, term *t, int64_t *count, int label)
{
    t->axis[t->n++] = label;
    return !__builtin_mul_overflow(*count, q->size[label], count);
}

/* False: the product would be too large. */
static bool split_pair(const equation *q, const term *a, const term *b, split *s)
{
    bool fits = true;
    *s = (split){.b = 1, .m = 1, .n = 1, .k = 1};
    for (int i = 0; i < a->n; i++) {
        const int label = a->axis[i];
        if (place_of(b, label) < 0) fits &= put(q, &s->first, &s->m, label);
        else if (q->uses[label] > 2) fits &= put(q, &s->batch, &s->b, label);
        else fits &= put(q, &s->inner, &s->k, label);
    }
    for (int i = 0; i < b->n; i++)
        if (place_of(a, b->axis[i]) < 0) fits &= put(q, &s->second, &s->n, b->axis[i]);
    return fits && s->batch.n + s->first.n + s->second.n <= GR_MAX_RANK;
}

static void append(term *t, const term *more)
{
    memcpy(t->axis + t->n, more->axis, (size_t)more->n * sizeof *t->axis);
    t->n += more->n;
}

static gr_tensor *as_matrices(operand o, const split *s, const term *rows, const term *columns,
                              int64_t m, int64_t n)
{
    term order = s->batch;
    append(&order, rows);
    append(&order, columns);
    arrange(&o, &order);
    return gr_reshape(o.x, s->batch.n ? GR_SHAPE(s->b, m, n) : GR_SHAPE(m, n));
}

/* a b, as products of matrices, or where nothing is summed element by element. */
static operand multiply(const equation *q, const operand *a, const operand *b, const split *s)
{
    gr_tensor *x = as_matrices(*a, s, &s->first, &s->inner, s->m, s->k);
    gr_tensor *y = as_matrices(*b, s, &s->inner, &s->second, s->k, s->n);
    operand product = {s->inner.n ? gr_matmul(x, y) : gr_mul(x, y), s->batch};
    append(&product.t, &s->first);
    append(&product.t, &s->second);
    gr_shape shape = {product.t.n, {0}};
    for (int i = 0; i < shape.rank; i++) shape.dim[i] = q->size[product.t.axis[i]];
    product.x = gr_reshape(product.x, shape);
    return product;
}

/* Replaces the pair with the smallest product by it. */
static bool contract(equation *q)
{
    int first = -1, second = -1;
    int64_t least = INT64_MAX;
    split s, best = {.b = 1};
    for (int i = 0; i < q->n; i++)
        for (int j = i + 1; j < q->n; j++) {
            int64_t size;
            if (!split_pair(q, &q->in[i].t, &q->in[j].t, &s)) continue;
            if (__builtin_mul_overflow(s.m * s.b, s.n, &size) || size >= least) continue;
            least = size;
            best = s;
            first = i;
            second = j;
        }
    if (first < 0) return fail(q, "has a product of more than 8 axes, or one that is too large");
    for (int i = 0; i < best.inner.n; i++) q->uses[best.inner.axis[i]] = 0;
    for (int i = 0; i < best.batch.n; i++) q->uses[best.batch.axis[i]]--;
    q->in[first] = multiply(q, &q->in[first], &q->in[second], &best);
    q->in[second] = q->in[--q->n];
    return true;
}

static gr_tensor *evaluate(equation *q)
{
    for (int i = 0; i < q->n && !q->failed; i++) simplify(q, &q->in[i]);
    for (int i = 0; i < q->out.n; i++) q->uses[q->out.axis[i]]++;
    for (int i = 0; i < q->n && !q->failed; i++) sum_out(q, &q->in[i]);
    while (!q->failed && q->n > 1 && contract(q)) continue;
    if (q->failed) return &q->g->nil;
    arrange(&q->in[0], &q->out);
    return q->in[0].x;
}

/* --- the op --- */

typedef struct einsum_attrs {
    char equation[TEXT];
} einsum_attrs;

static const gr_field einsum_fields[] = {
    GR_FIELD_ARRAY(einsum_attrs, equation, GR_FIELD_TEXT, TEXT), {0}};

static gr_tensor *einsum_define(gr_tensor *const *x, int n, const void *attrs)
{
    equation q = {.g = gr_graph_of(x[0]), .text = ((const einsum_attrs *)attrs)->equation, .n = n};
    if (n > MOST) return gr_fail(q.g, "einsum: at most %d operands, got %d", MOST, n);
    for (int i = 0; i < n; i++) q.in[i].x = x[i];
    read_equation(&q);
    return evaluate(&q);
}

#define MATRIX(m, n) {.shape = {2, {m, n}}}
#define STACK(b, m, n) {.shape = {3, {b, m, n}}}
#define EQUATION(text) .attrs = &(const einsum_attrs){text}

static const gr_sample einsum_samples[] = {
    {.name = "product", .in = {MATRIX(2, 3), MATRIX(3, 4)}, .n_in = 2, EQUATION("ij,jk->ik")},
    {.name = "batch, turned", .in = {STACK(2, 3, 4), STACK(5, 2, 4)}, .n_in = 2, EQUATION("bij, kbj -> kib")},
    {.name = "chain", .in = {MATRIX(2, 3), MATRIX(3, 4), MATRIX(4, 5), {.shape = {1, {5}}}}, .n_in = 4, EQUATION("ab,bc,cd,d")},
    {.name = "trace", .in = {MATRIX(3, 3)}, .n_in = 1, EQUATION("ii")},
    {.name = "diagonals", .in = {STACK(3, 2, 3), MATRIX(2, 2)}, .n_in = 2, EQUATION("iji,jj->ij")},
    {.name = "bilinear", .in = {MATRIX(2, 3), STACK(4, 3, 5), MATRIX(2, 5)}, .n_in = 3, EQUATION("nl,klm,nm->nk")},
    {.name = "outer", .in = {{.shape = {1, {3}}}, {.shape = {1, {4}}}}, .n_in = 2, EQUATION("i,J")},
    {.name = "ellipsis", .in = {STACK(2, 3, 4), {.shape = {3, {1, 4, 2}}}}, .n_in = 2, EQUATION("...ij,...jk->...ki")},
    {.name = "sum", .in = {STACK(2, 3, 4)}, .n_in = 1, EQUATION("abc->ca")},
    {.name = "stretched", .in = {MATRIX(1, 3), MATRIX(4, 3)}, .n_in = 2, EQUATION("ij,ij->i")},
    {.name = "nothing inside", .in = {MATRIX(2, 0), MATRIX(0, 3)}, .n_in = 2, EQUATION("ij,jk->ik")},
    {.name = "scalars", .in = {{.shape = {0, {0}}}, MATRIX(2, 3)}, .n_in = 2, EQUATION(",ij->ji")},
    {.name = "two sizes", .in = {MATRIX(2, 3), MATRIX(4, 5)}, .n_in = 2, EQUATION("ij,jk->ik"), .error = "'ij,jk->ik' gives one axis two sizes, 3 and 4"},
    {.name = "wrong rank", .in = {MATRIX(2, 3)}, .n_in = 1, EQUATION("ijk->i"), .error = "does not name as many axes as an operand has"},
    {.name = "too few terms", .in = {MATRIX(2, 3), MATRIX(3, 4)}, .n_in = 2, EQUATION("ij->i"), .error = "names fewer operands than there are"},
    {.name = "too many terms", .in = {MATRIX(2, 3)}, .n_in = 1, EQUATION("ij,jk->ik"), .error = "names more operands than there are"},
    {.name = "new axis", .in = {MATRIX(2, 3)}, .n_in = 1, EQUATION("ij->ik"), .error = "one that no operand has"},
    {.name = "odd character", .in = {MATRIX(2, 3)}, .n_in = 1, EQUATION("i1->i"), .error = "has a character that is no letter"},
    {.name = "broken arrow", .in = {MATRIX(2, 3)}, .n_in = 1, EQUATION("ij-i"), .error = "has a '-' that is no '->'"},
    {.name = "second result", .in = {MATRIX(2, 3)}, .n_in = 1, EQUATION("ij->i,j"), .error = "goes on behind its result"},
    {.name = "nine axes", .in = {{.shape = {5, {1, 1, 1, 1, 2}}}, {.shape = {4, {1, 1, 1, 2}}}}, .n_in = 2, EQUATION("abcde,fghi"), .error = "names more than 8 axes"},
    {0},
};

static const gr_op einsum_op = {
    .name = "einsum",
    .family = "einsum",
    .formula = "y[out] = sum over all letters not in out of x_0[in_0] x_1[in_1] ...",
    .derivation = "through its parts, diagonals, sums and products; by the chain rule dx_0 is the "
                  "einsum of dy and all other x, with in_0 as its result",
    .n_in = -1,
    .attrs_size = sizeof(einsum_attrs),
    .fields = einsum_fields,
    .define = einsum_define,
    .samples = einsum_samples,
};

/* The sum of products of n tensors, up to 8, that the equation names: "bij,bjk->bik" is a product
 * of matrices in a batch. One letter, a-z or A-Z, for each axis; a letter that the result does not
 * name is summed over, one that an operand names twice takes its diagonal; "..." stands for the
 * axes that are not named, aligned at the right. Without "->" the result has the ellipsis, then the
 * letters named once, sorted. A size of 1 stretches. All as in torch.einsum, the equation shorter
 * than 128 characters; float32 or float64. */
gr_tensor *gr_einsum(const char *text, gr_tensor *const *x, int n)
{
    einsum_attrs attrs = {{0}};
    const size_t length = text ? strlen(text) : TEXT;
    if (gr__need_array("einsum", x, n, "array of inputs")) return &gr__nil;
    if (n > 0 && x[0] && length >= TEXT && !gr__is_nil(x[0]))
        return gr__fail_at(gr_graph_of(x[0]), GR_ERR_ARGUMENT, GR_HERE,
                           "einsum: the equation is missing, or longer than %d characters",
                           TEXT - 1);
    if (length < TEXT) memcpy(attrs.equation, text, length);
    return gr__apply(NULL, &einsum_op, x, n, &attrs, GR_HERE);
}

const gr_op *const gr__einsum_ops[] = {&einsum_op, NULL};

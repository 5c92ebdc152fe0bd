/* exhaustive.c - stage S6: every element of the Jacobian against differences.
 *
 * A column is had from ten evaluations: Ridders' table is kept for all outputs at once. An element
 * is wrong if it is off at two steps. Columns with a kink in reach and elements that differences
 * cannot tell are passed over; stage S1 has judged them together.
 */
/* SPDX-License-Identifier: MIT */
#include "evidence.h"
#include "stages.h"

#include <math.h>
#include <string.h>

typedef struct work {
    gr__function *f;
    gr_branch side;
    double *y, *moved, *plus, *minus;
    double *rows[GR__ROWS]; /* central differences of all outputs, h falling by GR__FACTOR */
    double *jacobian;       /* [n_y, n_x], by the VJP */
    double largest;         /* of its elements */
    double *v;
} work;

static bool make_work(gr__function *f, work *w)
{
    double **outputs[] = {&w->y, &w->plus, &w->minus, &w->v};
    *w = (work){.f = f};
    for (int i = 0; i < 4; i++)
        if (!(*outputs[i] = gr__doubles(f, f->n_y))) return false;
    for (int i = 0; i < GR__ROWS; i++)
        if (!(w->rows[i] = gr__doubles(f, f->n_y))) return false;
    w->moved = gr__doubles(f, f->n_x);
    w->jacobian = gr__doubles(f, f->n_x * f->n_y);
    return w->moved && w->jacobian;
}

static bool differentiate(work *w)
{
    gr__function *f = w->f;
    memset(w->v, 0, (size_t)f->n_y * sizeof *w->v);
    for (int64_t i = 0; i < f->n_y; i++) {
        w->v[i] = 1;
        if (!f->vjp(f, f->x, w->v, w->jacobian + i * f->n_x)) return false;
        w->v[i] = 0;
    }
    for (int64_t i = 0; i < f->n_x * f->n_y; i++)
        w->largest = fmax(w->largest, fabs(w->jacobian[i]));
    return true;
}

/* Moves x_j by t. False: a kink is crossed, or the function failed. */
static bool step(work *w, int64_t j, double t, double *y)
{
    gr__function *f = w->f;
    gr_branch side;
    memcpy(w->moved, f->x, (size_t)f->n_x * sizeof *w->moved);
    w->moved[j] += t;
    if (!f->eval(f, w->moved, y, &side) || side.hash != w->side.hash) return false;
    for (int64_t i = 0; i < f->n_y; i++)
        if (!isfinite(y[i])) return false;
    return true;
}

static bool fill_rows(work *w, int64_t j, double h)
{
    for (int k = 0; k < GR__ROWS; k++, h /= GR__FACTOR) {
        if (!step(w, j, h, w->plus) || !step(w, j, -h, w->minus)) return false;
        for (int64_t i = 0; i < w->f->n_y; i++)
            w->rows[k][i] = (w->plus[i] - w->minus[i]) / (2 * h);
    }
    return true;
}

/* dy_i / dx_j by Neville's scheme, and its error, rounding included. */
static double extrapolate(const work *w, int64_t i, double h, double *error)
{
    double row[GR__ROWS], above[GR__ROWS] = {w->rows[0][i]}, best = above[0];
    *error = INFINITY;
    for (int k = 1; k < GR__ROWS; k++) {
        double power = 1;
        row[0] = w->rows[k][i];
        for (int j = 1; j <= k; j++) {
            power *= GR__FACTOR * GR__FACTOR;
            row[j] = (power * row[j - 1] - above[j - 1]) / (power - 1);
            double e = fmax(fabs(row[j] - row[j - 1]), fabs(row[j] - above[j - 1]));
            if (e > *error) continue;
            *error = e;
            best = row[j];
        }
        memcpy(above, row, sizeof above);
    }
    bool moves = w->rows[0][i] != 0 || w->rows[GR__ROWS - 1][i] != 0;
    double resting = moves ? h / pow(GR__FACTOR, GR__ROWS - 1) : h; /* the step that says it */
    double noise = GR__EPS * fmax(fabs(w->y[i]), w->f->floor) / resting;
    *error = fmax(*error, noise);
    return best;
}

static bool wrong_at(const work *w, int64_t i, int64_t j, double h, double *numeric)
{
    double e, a = w->jacobian[i * w->f->n_x + j], n = extrapolate(w, i, h, &e);
    double scale = fmax(fabs(a), fabs(n)), bound = 10 * e + 1e-8 * scale;
    *numeric = n;
    if (fabs(a - n) <= 1e-13 * w->largest) return false; /* rounding of the VJP's own sums */
    return !(bound > 1e-4 * scale) && fabs(a - n) > bound;
}

static void name_element(const work *w, int64_t i, int64_t j, double n, gr_check_report *report)
{
    const gr__function *f = w->f;
    const gr__part *part = f->parts;
    char where[48];
    double a = w->jacobian[i * f->n_x + j];
    while (j >= part->first + part->n) part++;
    gr__index_text(&part->shape, j - part->first, where, sizeof where);
    report->shape = part->shape;
    report->analytic = a;
    report->numeric = n;
    report->elements = 1;
    report->wrong = -1;
    report->element[0] = (gr_check_element){.index = j - part->first, .analytic = a, .numeric = n};
    memcpy(report->element[0].where, where, sizeof where);
    memcpy(report->input, part->name, sizeof report->input);
    gr__report(report, GR_FAIL, "S6", "d y[%lld] / d %s%s is %.9g, differences say %.9g",
               (long long)i, part->name, where, a, n);
}

/* Whether column j is right as far as differences tell; else the report says where not. */
static bool check_column(work *w, int64_t j, double h, gr_check_report *report)
{
    int64_t suspect = -1;
    double n;
    for (int tries = 0; tries < 12 && h > 1e-10; tries++, h /= 4) {
        if (!fill_rows(w, j, h)) {
            if (w->f->fault[0]) return false;
            continue;
        }
        if (suspect >= 0 && wrong_at(w, suspect, j, h, &n)) {
            name_element(w, suspect, j, n, report);
            return false;
        }
        if (suspect >= 0) return true;
        for (int64_t i = 0; i < w->f->n_y && suspect < 0; i++)
            if (wrong_at(w, i, j, h, &n)) suspect = i;
        if (suspect < 0) return true;
    }
    return true;
}

void gr__check_exhaustive(gr__function *f, gr_check_report *report)
{
    work w;
    bool fine = true;
    if (f->n_x * f->n_y > 4096) return;
    if (!make_work(f, &w)) {
        gr__report(report, GR_FAIL, "S6", "out of memory");
        return;
    }
    if (f->eval(f, f->x, w.y, &w.side) && differentiate(&w))
        for (int p = 0; p < f->n_parts; p++) {
            const gr__part *part = &f->parts[p];
            double h = 0.02 * fmax(gr__rms(f->x + part->first, part->n), 1e-3);
            for (int64_t j = 0; j < part->n && fine; j++)
                if (isfinite(f->x[part->first + j]))
                    fine = check_column(&w, part->first + j, h, report);
        }
    if (f->fault[0]) gr__report_fault(report, f);
}

/* confusion.c - a confusion matrix as a heat map.
 *
 * A cell's colour is its share of the true class (of its row): blue on the diagonal; off it
 * orange, by the square root of the share, so that rare confusions show too.
 */
/* SPDX-License-Identifier: MIT */
#include "plot.h"
#include "svg.h"

#include <math.h>
#include <stdio.h>

enum { TOP = 92, RECALL = 64, MOST_NAME = 160 };

typedef struct matrix {
    const int64_t *counts;
    int classes;
    const char *const *names;
    double cell, left, below; /* pixels: of a cell, of the space for names */
} matrix;

static int64_t count_at(const matrix *m, int row, int column)
{
    int64_t count = m->counts[(int64_t)row * m->classes + column];
    return count < 0 ? 0 : count;
}

static double row_sum(const matrix *m, int row)
{
    double sum = 0;
    for (int j = 0; j < m->classes; j++) sum += (double)count_at(m, row, j);
    return sum;
}

static const char *name_of(const matrix *m, int i, char text[16])
{
    if (m->names) return m->names[i];
    snprintf(text, 16, "%d", i);
    return text;
}

static matrix layout(const int64_t *counts, int classes, const char *const *names)
{
    matrix m = {counts, classes, names, 440.0 / classes, 0, 0};
    m.cell = m.cell < 4 ? 4 : m.cell > 46 ? 46 : m.cell;
    double longest = 0;
    for (int i = 0; i < classes; i++) {
        char text[16];
        longest = fmax(longest, gr__svg_width(name_of(&m, i, text), 12));
    }
    longest = fmin(longest, MOST_NAME);
    m.left = 52 + longest;
    m.below = longest > m.cell ? 44 + longest * 0.75 : 52;
    return m;
}

/* #rrggbb between white (0) and a colour (1). */
static void mix(double part, const unsigned char color[3], char text[8])
{
    unsigned c[3];
    for (int i = 0; i < 3; i++) c[i] = (unsigned)lround(255 + part * (color[i] - 255.0)) & 255;
    snprintf(text, 8, "#%02x%02x%02x", c[0], c[1], c[2]);
}

/* --- parts of the picture --- */

static void draw_count(gr__text *out, const matrix *m, double x, double y, int64_t count, bool dark)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)count);
    double size = fmin(13, m->cell / 2.4);
    size = fmin(size, size * (m->cell - 4) / fmax(1, gr__svg_width(text, size)));
    if (size < 5) return;
    const char *fill = count == 0 ? "#c4c9d1" : dark ? "#ffffff" : GR__INK;
    gr__svg_label(out, x + m->cell / 2, y + m->cell / 2 + 0.36 * size,
                  (gr__font){size, fill, GR__MIDDLE, false, 0}, text);
}

static void draw_cell(gr__text *out, const matrix *m, int row, int column, double sum)
{
    static const unsigned char right[3] = {0, 82, 145}, wrong[3] = {213, 94, 0};
    int64_t count = count_at(m, row, column);
    double share = sum > 0 ? (double)count / sum : 0;
    double part = row == column ? share : sqrt(share);
    double x = m->left + column * m->cell, y = TOP + row * m->cell, gap = m->cell > 12 ? 1 : 0;
    char fill[8];
    mix(0.03 + 0.97 * part, row == column ? right : wrong, fill);
    gr__svg_rect(out, x + gap, y + gap, m->cell - 2 * gap, m->cell - 2 * gap, fill, gap * 3);
    draw_count(out, m, x, y, count, part > 0.55);
}

static void draw_names(gr__text *out, const matrix *m)
{
    double end = TOP + m->classes * m->cell, size = fmin(12, fmax(m->cell, 6));
    bool turned = m->below > 52;
    int every = m->cell >= 10 ? 1 : (int)ceil(10 / m->cell);
    for (int i = 0; i < m->classes; i += every) {
        char text[16];
        const char *name = name_of(m, i, text);
        double middle = (i + 0.5) * m->cell;
        gr__svg_label(out, m->left - 8, TOP + middle + 0.36 * size,
                      (gr__font){size, GR__INK, GR__END, false, 0}, name);
        gr__svg_label(out, m->left + middle + (turned ? 4 : 0), end + 16,
                      (gr__font){size, GR__INK, turned ? GR__END : GR__MIDDLE, false,
                                 turned ? -45 : 0},
                      name);
    }
    gr__svg_label(out, m->left + m->classes * m->cell / 2, end + m->below - 12,
                  (gr__font){13, GR__FAINT, GR__MIDDLE, false, 0}, "predicted");
    gr__svg_label(out, 24, TOP + m->classes * m->cell / 2,
                  (gr__font){13, GR__FAINT, GR__MIDDLE, false, -90}, "true");
}

/* What part of each true class was found, at the right of its row. */
static void draw_recall(gr__text *out, const matrix *m)
{
    double x = m->left + m->classes * m->cell + 10;
    if (m->cell < 10) return;
    gr__svg_label(out, x, TOP - 8, (gr__font){11, GR__FAINT, GR__START, false, 0}, "recall");
    for (int i = 0; i < m->classes; i++) {
        double sum = row_sum(m, i);
        char text[16] = "-";
        if (sum > 0) snprintf(text, sizeof text, "%.0f%%", 100 * (double)count_at(m, i, i) / sum);
        gr__svg_label(out, x, TOP + (i + 0.5) * m->cell + 4,
                      (gr__font){fmin(11, m->cell), GR__FAINT, GR__START, false, 0}, text);
    }
}

static void draw_title(gr__text *out, const matrix *m, const char *title)
{
    double right = 0, all = 0;
    for (int i = 0; i < m->classes; i++) {
        right += (double)count_at(m, i, i);
        all += row_sum(m, i);
    }
    gr__text line = {0};
    gr__text_add(&line, "accuracy ");
    gr__text_fixed(&line, all > 0 ? 100 * right / all : 0, 2);
    gr__text_add(&line, "%% (%.0f of %.0f)", right, all);
    if (line.failed) out->failed = true;
    else {
        gr__svg_label(out, 24, 34, (gr__font){18, GR__INK, GR__START, true, 0}, title);
        gr__svg_label(out, 24, 58, (gr__font){13, GR__INK, GR__START, false, 0}, line.data);
    }
    gr__text_release(&line);
}

void gr__svg_confusion(gr__text *out, const char *title, const int64_t *counts, int classes,
                       const char *const *names)
{
    matrix m = layout(counts, classes, names);
    double side = classes * m.cell;
    gr__svg_begin(out, fmax(m.left + side + RECALL, 360), TOP + side + m.below);
    draw_title(out, &m, title);
    for (int i = 0; i < classes; i++) {
        double sum = row_sum(&m, i);
        for (int j = 0; j < classes; j++) draw_cell(out, &m, i, j, sum);
    }
    draw_names(out, &m);
    draw_recall(out, &m);
    gr__svg_end(out);
}

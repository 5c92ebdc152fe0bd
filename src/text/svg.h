/* svg.h - the pieces of which the plots are made. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__SVG_H
#define GR__SVG_H

#include "text.h"

#define GR__INK "#1f2937"   /* text */
#define GR__FAINT "#6b7280" /* labels of ticks */
#define GR__LINE "#9ca3af"  /* axes */
#define GR__GRID "#e5e7eb"

typedef enum gr__anchor { GR__START, GR__MIDDLE, GR__END } gr__anchor;

typedef struct gr__font {
    double size; /* pixels */
    const char *fill;
    gr__anchor anchor;
    bool bold;
    double rotate; /* degrees, clockwise about the anchor */
} gr__font;

void gr__svg_begin(gr__text *out, double width, double height); /* white, with a font */
void gr__svg_end(gr__text *out);
void gr__svg_escape(gr__text *out, const char *s); /* any bytes to valid XML text */
void gr__svg_line(gr__text *out, double x1, double y1, double x2, double y2, const char *stroke,
                  const char *more); /* more: further attributes, or "" */
void gr__svg_rect(gr__text *out, double x, double y, double w, double h, const char *fill,
                  double radius);
void gr__svg_circle(gr__text *out, double x, double y, double r, const char *fill);
void gr__svg_label(gr__text *out, double x, double y, gr__font font, const char *label);
double gr__svg_width(const char *label, double size); /* about how many pixels wide it will be */

#endif

/* svg.c - the pieces of which the plots are made. */
/* SPDX-License-Identifier: MIT */
#include "svg.h"

#include <string.h>

/* name="1.5" with a space before it. */
static void add_attribute(gr__text *out, const char *name, double x)
{
    gr__text_add(out, " %s=\"", name);
    gr__text_fixed(out, x, 1);
    gr__text_add(out, "\"");
}

void gr__svg_begin(gr__text *out, double width, double height)
{
    gr__text_add(out, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 ");
    gr__text_fixed(out, width, 0);
    gr__text_add(out, " ");
    gr__text_fixed(out, height, 0);
    gr__text_add(out, "\"");
    add_attribute(out, "width", width);
    add_attribute(out, "height", height);
    gr__text_add(out,
                 " font-family=\"system-ui, 'Segoe UI', 'Helvetica Neue', Arial, 'DejaVu Sans',"
                 " sans-serif\">\n");
    gr__svg_rect(out, 0, 0, width, height, "#ffffff", 0);
}

void gr__svg_end(gr__text *out)
{
    gr__text_add(out, "</svg>\n");
}

void gr__svg_escape(gr__text *out, const char *s)
{
    size_t n = strlen(s);
    for (size_t i = 0, step; i < n; i += step ? step : 1) {
        unsigned char c = (unsigned char)s[i];
        step = gr__utf8_step(s + i, n - i);
        if (!step || c < 0x20 || c == 0x7F) gr__text_add(out, "\xEF\xBF\xBD");
        else if (c == '&') gr__text_add(out, "&amp;");
        else if (c == '<') gr__text_add(out, "&lt;");
        else if (c == '>') gr__text_add(out, "&gt;");
        else gr__text_add_bytes(out, s + i, step);
    }
}

void gr__svg_line(gr__text *out, double x1, double y1, double x2, double y2, const char *stroke,
                  const char *more)
{
    gr__text_add(out, "<line");
    add_attribute(out, "x1", x1);
    add_attribute(out, "y1", y1);
    add_attribute(out, "x2", x2);
    add_attribute(out, "y2", y2);
    gr__text_add(out, " stroke=\"%s\" %s/>\n", stroke, more);
}

void gr__svg_rect(gr__text *out, double x, double y, double w, double h, const char *fill,
                  double radius)
{
    gr__text_add(out, "<rect");
    add_attribute(out, "x", x);
    add_attribute(out, "y", y);
    add_attribute(out, "width", w);
    add_attribute(out, "height", h);
    if (radius > 0) add_attribute(out, "rx", radius);
    gr__text_add(out, " fill=\"%s\"/>\n", fill);
}

void gr__svg_circle(gr__text *out, double x, double y, double r, const char *fill)
{
    gr__text_add(out, "<circle");
    add_attribute(out, "cx", x);
    add_attribute(out, "cy", y);
    add_attribute(out, "r", r);
    gr__text_add(out, " fill=\"%s\"/>\n", fill);
}

void gr__svg_label(gr__text *out, double x, double y, gr__font font, const char *label)
{
    static const char *const anchors[] = {"start", "middle", "end"};
    gr__text_add(out, "<text");
    add_attribute(out, "x", x);
    add_attribute(out, "y", y);
    add_attribute(out, "font-size", font.size);
    gr__text_add(out, " fill=\"%s\" text-anchor=\"%s\"%s", font.fill, anchors[font.anchor],
                 font.bold ? " font-weight=\"600\"" : "");
    if (font.rotate < 0 || font.rotate > 0) {
        gr__text_add(out, " transform=\"rotate(");
        gr__text_fixed(out, font.rotate, 0);
        gr__text_add(out, " ");
        gr__text_fixed(out, x, 1);
        gr__text_add(out, " ");
        gr__text_fixed(out, y, 1);
        gr__text_add(out, ")\"");
    }
    gr__text_add(out, ">");
    gr__svg_escape(out, label);
    gr__text_add(out, "</text>\n");
}

double gr__svg_width(const char *label, double size)
{
    return 0.6 * size * (double)gr__utf8_length(label, strlen(label));
}

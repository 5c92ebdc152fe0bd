/* json_write.c - JSON (RFC 8259) as it is told. */
/* SPDX-License-Identifier: MIT */
#include "json.h"

#include <assert.h>
#include <math.h>
#include <string.h>

static void new_line(gr__json_writer *w)
{
    if (w->indent) gr__text_add(w->out, "\n%*s", w->indent * w->depth, "");
}

/* Bytes that are no UTF-8 become U+FFFD, so that the result is always JSON. */
static void add_quoted(gr__text *t, const char *s)
{
    size_t n = strlen(s);
    gr__text_add_bytes(t, "\"", 1);
    for (size_t i = 0, step; i < n; i += step) {
        unsigned char c = (unsigned char)s[i];
        step = gr__utf8_step(s + i, n - i);
        if (!step) {
            step = 1;
            gr__text_add(t, "\xEF\xBF\xBD");
        } else if (c == '"' || c == '\\') {
            gr__text_add(t, "\\%c", c);
        } else if (c == '\n') {
            gr__text_add(t, "\\n");
        } else if (c < 0x20 || c == 0x7F) {
            gr__text_add(t, "\\u%04x", c);
        } else {
            gr__text_add_bytes(t, s + i, step);
        }
    }
    gr__text_add_bytes(t, "\"", 1);
}

/* What stands before a value: comma, line, key. */
static void begin_value(gr__json_writer *w, const char *key)
{
    uint64_t bit = (uint64_t)1 << w->depth;
    assert(w->depth == 0 || !key == !!(w->array & bit));
    if (w->depth == 0) return;
    if (w->used & bit) gr__text_add_bytes(w->out, ",", 1);
    w->used |= bit;
    new_line(w);
    if (!key) return;
    add_quoted(w->out, key);
    gr__text_add(w->out, w->indent ? ": " : ":");
}

static void open_level(gr__json_writer *w, const char *key, bool array)
{
    begin_value(w, key);
    assert(w->depth < GR__JSON_DEPTH);
    w->depth++;
    uint64_t bit = (uint64_t)1 << w->depth;
    w->array = array ? w->array | bit : w->array & ~bit;
    w->used &= ~bit;
    gr__text_add_bytes(w->out, array ? "[" : "{", 1);
}

void gr__json_object(gr__json_writer *w, const char *key)
{
    open_level(w, key, false);
}

void gr__json_array(gr__json_writer *w, const char *key)
{
    open_level(w, key, true);
}

void gr__json_close(gr__json_writer *w)
{
    assert(w->depth > 0);
    uint64_t bit = (uint64_t)1 << w->depth--;
    if (w->used & bit) new_line(w);
    gr__text_add_bytes(w->out, w->array & bit ? "]" : "}", 1);
}

void gr__json_string(gr__json_writer *w, const char *key, const char *value)
{
    begin_value(w, key);
    if (value) add_quoted(w->out, value);
    else gr__text_add(w->out, "null");
}

void gr__json_int(gr__json_writer *w, const char *key, int64_t value)
{
    begin_value(w, key);
    gr__text_add(w->out, "%lld", (long long)value);
}

void gr__json_number(gr__json_writer *w, const char *key, double value)
{
    char text[GR__NUMBER_TEXT];
    begin_value(w, key);
    gr__text_add(w->out, "%s", isfinite(value) ? gr__number_text(value, text) : "null");
}

void gr__json_bool(gr__json_writer *w, const char *key, bool value)
{
    begin_value(w, key);
    gr__text_add(w->out, value ? "true" : "false");
}

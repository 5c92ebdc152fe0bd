/* text.c - text that grows as it is written. */
/* SPDX-License-Identifier: MIT */
#include "base.h"

#include <stdio.h>
#include <string.h>

static bool reserve(gr__text *t, size_t more)
{
    if (t->failed) return false;
    if (t->len + more + 1 <= t->cap) return true;
    size_t cap = (t->len + more + 1) * 2;
    char *data = gr__grow(t->data, t->len, cap);
    if (!data) {
        t->failed = true;
        return false;
    }
    t->data = data;
    t->cap = cap;
    return true;
}

void gr__text_add_bytes(gr__text *t, const void *bytes, size_t n)
{
    if (!reserve(t, n)) return;
    memcpy(t->data + t->len, bytes, n);
    t->len += n;
    t->data[t->len] = 0;
}

void gr__text_add(gr__text *t, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n >= 0 && reserve(t, (size_t)n)) {
        vsnprintf(t->data + t->len, (size_t)n + 1, format, again);
        t->len += (size_t)n;
    }
    va_end(again);
}

char *gr__text_room(gr__text *t, size_t n)
{
    if (!reserve(t, n)) return NULL;
    t->len += n;
    t->data[t->len] = 0;
    return t->data + t->len - n;
}

size_t gr__text_copy(const gr__text *t, char *text, size_t size)
{
    if (!text) size = 0;
    size_t n = t->failed || !size ? 0 : t->len < size ? t->len : size - 1;
    if (n) memcpy(text, t->data, n);
    if (size) text[n] = 0;
    return t->failed ? 0 : t->len;
}

void gr__text_release(gr__text *t)
{
    gr__free(t->data);
    *t = (gr__text){0};
}

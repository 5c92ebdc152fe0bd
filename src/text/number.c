/* number.c - numbers to text and back, with a point whatever the locale says. */
/* SPDX-License-Identifier: MIT */
#include "text.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Replaces the locale's decimal point, which may be several bytes, by a point. */
static void use_point(char *text)
{
    const char *mark = localeconv()->decimal_point;
    char *at = strcmp(mark, ".") ? strstr(text, mark) : NULL;
    if (!at) return;
    *at = '.';
    char *rest = at + strlen(mark);
    memmove(at + 1, rest, strlen(rest) + 1);
}

const char *gr__number_text(double x, char text[GR__NUMBER_TEXT])
{
    if (isnan(x)) return strcpy(text, "nan");
    if (isinf(x)) return strcpy(text, x < 0 ? "-inf" : "inf");
    char shortest[GR__NUMBER_TEXT];
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(shortest, sizeof shortest, "%.*g", digits, x);
        if (strtod(shortest, NULL) == x) break;
    }
    use_point(shortest);
    return strcpy(text, shortest);
}

double gr__number_parse(const char *text, size_t n)
{
    char local[GR__NUMBER_MAX + 16];
    const char *mark = localeconv()->decimal_point;
    size_t length = 0, mark_length = strlen(mark);
    if (n >= GR__NUMBER_MAX || mark_length > 15) return NAN;
    for (size_t i = 0; i < n; i++) {
        bool point = text[i] == '.'; /* there is at most one */
        memcpy(local + length, point ? mark : text + i, point ? mark_length : 1);
        length += point ? mark_length : 1;
    }
    local[length] = 0;
    return strtod(local, NULL);
}

void gr__text_fixed(gr__text *t, double x, int decimals)
{
    char text[GR__NUMBER_MAX + 32];
    int n = snprintf(text, sizeof text, "%.*f", decimals, x);
    if (n < 0 || (size_t)n >= sizeof text) return;
    use_point(text);
    /* -0.00 reads as a mistake. */
    bool zero = text[0] == '-' && strspn(text + 1, "0.") == strlen(text + 1);
    gr__text_add(t, "%s", zero ? text + 1 : text);
}

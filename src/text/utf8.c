/* utf8.c - checking, counting and writing UTF-8 (RFC 3629). */
/* SPDX-License-Identifier: MIT */
#include "text.h"

/* Lead bytes of one length, and the range of the second byte, which excludes overlong forms
 * (E0, F0), surrogates (ED) and what lies beyond U+10FFFF (F4). */
static const struct {
    unsigned char first, last, low, high, bytes;
} forms[] = {
    {0xC2, 0xDF, 0x80, 0xBF, 2}, {0xE0, 0xE0, 0xA0, 0xBF, 3}, {0xE1, 0xEC, 0x80, 0xBF, 3},
    {0xED, 0xED, 0x80, 0x9F, 3}, {0xEE, 0xEF, 0x80, 0xBF, 3}, {0xF0, 0xF0, 0x90, 0xBF, 4},
    {0xF1, 0xF3, 0x80, 0xBF, 4}, {0xF4, 0xF4, 0x80, 0x8F, 4},
};

size_t gr__utf8_step(const char *text, size_t n)
{
    const unsigned char *s = (const unsigned char *)text;
    if (s[0] < 0x80) return 1;
    for (size_t f = 0; f < sizeof forms / sizeof *forms; f++) {
        if (s[0] < forms[f].first || s[0] > forms[f].last) continue;
        if (n < forms[f].bytes || s[1] < forms[f].low || s[1] > forms[f].high) return 0;
        for (size_t i = 2; i < forms[f].bytes; i++)
            if (s[i] < 0x80 || s[i] > 0xBF) return 0;
        return forms[f].bytes;
    }
    return 0;
}

bool gr__utf8_valid(const char *text, size_t n)
{
    for (size_t i = 0, step; i < n; i += step)
        if (!(step = gr__utf8_step(text + i, n - i))) return false;
    return true;
}

size_t gr__utf8_length(const char *text, size_t n)
{
    size_t length = 0;
    for (size_t i = 0; i < n; length++) {
        size_t step = gr__utf8_step(text + i, n - i);
        i += step ? step : 1;
    }
    return length;
}

size_t gr__utf8_encode(uint32_t code, char out[4])
{
    static const unsigned char lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
    size_t bytes = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = bytes; i-- > 1; code >>= 6) out[i] = (char)(0x80 | (code & 0x3F));
    out[0] = (char)(bytes == 1 ? code : lead[bytes] | code);
    return bytes;
}

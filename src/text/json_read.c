/* json_read.c - a strict reader of JSON (RFC 8259) that trusts nothing and allocates nothing. */
/* SPDX-License-Identifier: MIT */
#include "json.h"

#include <math.h>
#include <string.h>

/* --- errors --- */

gr_status gr__json_fail(gr__json_reader *r, const char *what)
{
    if (r->status) return r->status;
    return r->status = gr__fail(GR_ERR_FORMAT, "JSON, byte %zu: %s", (size_t)(r->at - r->start),
                                what);
}

static bool fail(gr__json_reader *r, const char *what)
{
    gr__json_fail(r, what);
    return false;
}

/* --- characters --- */

static void skip_space(gr__json_reader *r)
{
    while (r->at < r->end && strchr(" \t\n\r", *r->at) && *r->at) r->at++;
}

/* The next character after white space, or 0 at the end and after an error. */
static char look(gr__json_reader *r)
{
    if (r->status) return 0;
    skip_space(r);
    return r->at < r->end ? *r->at : 0;
}

static bool take(gr__json_reader *r, char c)
{
    if (look(r) != c) return false;
    r->at++;
    return true;
}

static bool is_digit(const gr__json_reader *r, const char *s)
{
    return s < r->end && *s >= '0' && *s <= '9';
}

/* --- numbers --- */

static const char *skip_digits(const gr__json_reader *r, const char *s)
{
    while (is_digit(r, s)) s++;
    return s;
}

/* The end of the number that begins here, or NULL; *kind says which kind it is. */
static const char *number_end(const gr__json_reader *r, gr__json_kind *kind)
{
    const char *s = r->at;
    bool negative = s < r->end && *s == '-';
    s += negative;
    if (!is_digit(r, s)) return NULL;
    bool zero = *s == '0';
    *kind = negative && zero ? GR__JSON_FLOAT : GR__JSON_INT;
    s = zero ? s + 1 : skip_digits(r, s);
    if (s < r->end && *s == '.') {
        if (!is_digit(r, ++s)) return NULL;
        *kind = GR__JSON_FLOAT;
        s = skip_digits(r, s);
    }
    if (s < r->end && (*s == 'e' || *s == 'E')) {
        s++;
        if (s < r->end && (*s == '+' || *s == '-')) s++;
        if (!is_digit(r, s)) return NULL;
        *kind = GR__JSON_FLOAT;
        s = skip_digits(r, s);
    }
    return is_digit(r, s) ? NULL : s; /* 012 */
}

/* The text of a number of one kind (or of any, GR__JSON_NONE), taken. */
static bool take_number(gr__json_reader *r, gr__json_kind wanted, const char *expected,
                        const char **text, size_t *n)
{
    gr__json_kind kind = GR__JSON_NONE;
    look(r);
    if (r->status) return false;
    const char *stop = number_end(r, &kind);
    if (!stop || (wanted && kind != wanted)) return fail(r, expected);
    *text = r->at;
    *n = (size_t)(stop - r->at);
    r->at += *n;
    return true;
}

bool gr__json_read_int(gr__json_reader *r, int64_t *value)
{
    const char *s;
    size_t n;
    if (!take_number(r, GR__JSON_INT, "expected an integer", &s, &n)) return false;
    bool negative = *s == '-';
    int64_t x = 0;
    for (size_t i = negative; i < n; i++) {
        int digit = s[i] - '0';
        if (__builtin_mul_overflow(x, 10, &x) ||
            __builtin_add_overflow(x, negative ? -digit : digit, &x))
            return fail(r, "integer beyond 64 bits");
    }
    *value = x;
    return true;
}

bool gr__json_read_number(gr__json_reader *r, double *value)
{
    const char *s;
    size_t n;
    if (!take_number(r, GR__JSON_NONE, "expected a number", &s, &n)) return false;
    if (n >= GR__NUMBER_MAX) return fail(r, "number of too many digits");
    double x = gr__number_parse(s, n);
    if (!isfinite(x)) return fail(r, "number beyond double precision");
    *value = x;
    return true;
}

/* --- strings, decoded where they stand: the result is never longer --- */

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static bool take_hex4(gr__json_reader *r, uint32_t *code)
{
    *code = 0;
    for (int i = 0; i < 4; i++) {
        int digit = r->at < r->end ? hex_digit(*r->at) : -1;
        if (digit < 0) return fail(r, "expected four hexadecimal digits after \\u");
        *code = *code * 16 + (uint32_t)digit;
        r->at++;
    }
    return true;
}

/* What follows "\u": one unit of UTF-16, or a pair of surrogates. */
static bool take_unicode(gr__json_reader *r, uint32_t *code)
{
    uint32_t low;
    if (!take_hex4(r, code)) return false;
    if (*code == 0) return fail(r, "U+0000 in a string");
    if (*code < 0xD800 || *code > 0xDFFF) return true;
    bool pair = *code < 0xDC00 && r->end - r->at >= 2 && r->at[0] == '\\' && r->at[1] == 'u';
    if (!pair) return fail(r, "half of a surrogate pair");
    r->at += 2;
    if (!take_hex4(r, &low)) return false;
    if (low < 0xDC00 || low > 0xDFFF) return fail(r, "half of a surrogate pair");
    *code = 0x10000 + ((*code - 0xD800) << 10) + (low - 0xDC00);
    return true;
}

/* What follows a backslash; *out moves behind the bytes written. */
static bool take_escape(gr__json_reader *r, char **out)
{
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    char c = r->at < r->end ? *r->at : 0;
    const char *found = c ? strchr(names, c) : NULL;
    uint32_t code;
    if (found) {
        r->at++;
        *(*out)++ = values[found - names];
        return true;
    }
    if (c != 'u') return fail(r, "unknown escape in a string");
    r->at++;
    if (!take_unicode(r, &code)) return false;
    *out += gr__utf8_encode(code, *out);
    return true;
}

bool gr__json_read_string(gr__json_reader *r, const char **value)
{
    if (look(r) != '"') return fail(r, "expected a string");
    char *begin = ++r->at, *out = begin;
    for (;;) {
        if (r->at == r->end) return fail(r, "string without an end");
        char c = *r->at;
        if (c == '"') break;
        if ((unsigned char)c < 0x20) return fail(r, "control character in a string");
        r->at++;
        if (c != '\\') *out++ = c;
        else if (!take_escape(r, &out)) return false;
    }
    r->at++;
    *out = 0; /* on the closing quote at the latest */
    *value = begin;
    return true;
}

/* --- words --- */

static bool take_word(gr__json_reader *r, const char *word)
{
    size_t n = strlen(word);
    look(r);
    if (r->status || (size_t)(r->end - r->at) < n || memcmp(r->at, word, n)) return false;
    r->at += n;
    return true;
}

bool gr__json_read_bool(gr__json_reader *r, bool *value)
{
    *value = take_word(r, "true");
    return *value || take_word(r, "false") || fail(r, "expected true or false");
}

/* --- objects and arrays --- */

static bool enter(gr__json_reader *r, char bracket, const char *expected)
{
    if (look(r) != bracket) return fail(r, expected);
    if (r->depth == GR__JSON_DEPTH) return fail(r, "nested too deeply");
    r->at++;
    uint64_t bit = (uint64_t)1 << ++r->depth;
    r->array = bracket == '[' ? r->array | bit : r->array & ~bit;
    r->used &= ~bit;
    return true;
}

bool gr__json_enter_object(gr__json_reader *r)
{
    return enter(r, '{', "expected an object");
}

bool gr__json_enter_array(gr__json_reader *r)
{
    return enter(r, '[', "expected an array");
}

/* Moves to the next member of the innermost level, or leaves it. */
static bool next_member(gr__json_reader *r, char bracket, const char *expected)
{
    uint64_t bit = (uint64_t)1 << r->depth;
    if (r->status) return false;
    if (take(r, bracket)) {
        r->depth--;
        return false;
    }
    if (r->used & bit && !take(r, ',')) return fail(r, expected);
    r->used |= bit;
    return true;
}

bool gr__json_next_item(gr__json_reader *r)
{
    return next_member(r, ']', "expected ',' or ']'");
}

bool gr__json_next_key(gr__json_reader *r, const char **key)
{
    if (!next_member(r, '}', "expected ',' or '}'") || !gr__json_read_string(r, key)) return false;
    return take(r, ':') || fail(r, "expected ':'");
}

int gr__json_next_field(gr__json_reader *r, const char *const *fields, int n, uint32_t *seen)
{
    const char *key;
    if (!gr__json_next_key(r, &key)) return -1;
    for (int i = 0; i < n; i++) {
        if (strcmp(fields[i], key)) continue;
        if (*seen & (uint32_t)1 << i) break;
        *seen |= (uint32_t)1 << i;
        return i;
    }
    fail(r, "repeated or unknown key");
    return -1;
}

/* --- any value --- */

gr__json_kind gr__json_peek(gr__json_reader *r)
{
    gr__json_kind kind = GR__JSON_NONE;
    char c = look(r);
    if (c == '{') return GR__JSON_OBJECT;
    if (c == '[') return GR__JSON_ARRAY;
    if (c == '"') return GR__JSON_STRING;
    if (c == 't' || c == 'f') return GR__JSON_BOOL;
    if (c == 'n') return GR__JSON_NULL;
    if (c) number_end(r, &kind);
    return kind;
}

static bool skip_scalar(gr__json_reader *r, gr__json_kind kind)
{
    const char *s;
    size_t n;
    bool truth;
    if (kind == GR__JSON_STRING) return gr__json_read_string(r, &s);
    if (kind == GR__JSON_BOOL) return gr__json_read_bool(r, &truth);
    if (kind == GR__JSON_NULL) return take_word(r, "null") || fail(r, "expected null");
    return take_number(r, GR__JSON_NONE, "expected a value", &s, &n);
}

/* Goes on to where the next value of the levels above `depth` begins; false when all are left. */
static bool next_value(gr__json_reader *r, int depth)
{
    const char *key;
    while (r->depth > depth && !r->status) {
        bool array = r->array >> r->depth & 1;
        if (array ? gr__json_next_item(r) : gr__json_next_key(r, &key)) return true;
    }
    return false;
}

bool gr__json_skip(gr__json_reader *r)
{
    int depth = r->depth;
    do {
        gr__json_kind kind = gr__json_peek(r);
        if (kind == GR__JSON_OBJECT) gr__json_enter_object(r);
        else if (kind == GR__JSON_ARRAY) gr__json_enter_array(r);
        else skip_scalar(r, kind);
    } while (next_value(r, depth));
    return !r->status;
}

/* --- begin and end --- */

void gr__json_begin(gr__json_reader *r, char *text, size_t n)
{
    *r = (gr__json_reader){.start = text, .at = text, .end = text + n};
    for (size_t step; r->at < r->end; r->at += step)
        if (!(step = gr__utf8_step(r->at, (size_t)(r->end - r->at)))) {
            fail(r, "not UTF-8");
            return;
        }
    r->at = text;
}

gr_status gr__json_end(gr__json_reader *r)
{
    look(r);
    if (!r->status && r->depth) fail(r, "an object or array is still open");
    if (!r->status && r->at < r->end) fail(r, "text after the value");
    return r->status;
}

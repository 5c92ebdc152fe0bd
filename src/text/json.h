/* json.h - a JSON writer, and a strict JSON reader for files that nobody vouches for. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__JSON_H
#define GR__JSON_H

#include "text.h"

#define GR__JSON_DEPTH 32 /* how deep arrays and objects may nest, for both */

/* --- writing --- */

/* gr__text out = {0};
 * gr__json_writer w = {&out, .indent = 2};
 * gr__json_object(&w, NULL);            the key is NULL at the root and in arrays
 * gr__json_int(&w, "epoch", 3);
 * gr__json_close(&w);
 * One failed append shows as out.failed; nothing else can go wrong but a wrong order of calls. */
typedef struct gr__json_writer {
    gr__text *out;
    int indent; /* spaces per level; 0: one line without spaces */
    int depth;
    uint64_t array, used; /* one bit per level: is it an array, has it a member */
} gr__json_writer;

void gr__json_object(gr__json_writer *w, const char *key);
void gr__json_array(gr__json_writer *w, const char *key);
void gr__json_close(gr__json_writer *w); /* the innermost object or array */
void gr__json_string(gr__json_writer *w, const char *key, const char *value); /* NULL: null */
void gr__json_int(gr__json_writer *w, const char *key, int64_t value);
void gr__json_number(gr__json_writer *w, const char *key, double value); /* NaN and Inf: null */
void gr__json_bool(gr__json_writer *w, const char *key, bool value);

/* --- reading --- */

/* Pulls values out of a text in the order they stand there. It allocates nothing: strings are
 * decoded in place. The first error sticks (and is this thread's last error); every call after
 * it fails too, so that one check at the end will do:
 *
 * gr__json_begin(&r, text, n);
 * for (gr__json_enter_object(&r); gr__json_next_key(&r, &key);)
 *     gr__json_read_string(&r, &value);
 * gr_status status = gr__json_end(&r);
 *
 * Objects with fixed keys are read with gr__json_next_field, which rejects unknown and repeated
 * ones; who reads free keys must check for repeated ones. */
typedef struct gr__json_reader {
    char *start, *at, *end;
    int depth;
    uint64_t array, used; /* as in the writer */
    gr_status status;
} gr__json_reader;

typedef enum gr__json_kind {
    GR__JSON_NONE, /* no value begins here */
    GR__JSON_NULL,
    GR__JSON_BOOL,
    GR__JSON_INT,   /* without point and exponent */
    GR__JSON_FLOAT, /* with them; and -0, which no integer is */
    GR__JSON_STRING,
    GR__JSON_ARRAY,
    GR__JSON_OBJECT
} gr__json_kind;

void gr__json_begin(gr__json_reader *r, char *text, size_t n); /* text is overwritten */
gr_status gr__json_end(gr__json_reader *r);                    /* nothing but white space follows */
gr_status gr__json_fail(gr__json_reader *r, const char *what); /* "JSON, byte 17: what" */

gr__json_kind gr__json_peek(gr__json_reader *r); /* of the value that comes next */
bool gr__json_enter_object(gr__json_reader *r);
bool gr__json_next_key(gr__json_reader *r, const char **key); /* false at the end: it is left */
/* The next key's place in fields[0..n), n <= 32; -1 at the end. *seen, 0 at first, marks them. */
int gr__json_next_field(gr__json_reader *r, const char *const *fields, int n, uint32_t *seen);
bool gr__json_enter_array(gr__json_reader *r);
bool gr__json_next_item(gr__json_reader *r); /* false at the end: it is left */
bool gr__json_read_string(gr__json_reader *r, const char **value); /* without U+0000 */
bool gr__json_read_int(gr__json_reader *r, int64_t *value);        /* an integer that fits */
bool gr__json_read_number(gr__json_reader *r, double *value);      /* an integer or a float */
bool gr__json_read_bool(gr__json_reader *r, bool *value);
/* Any value, checked all the same, but for repeated keys. */
bool gr__json_skip(gr__json_reader *r);

#endif

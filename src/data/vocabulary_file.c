/* vocabulary_file.c - vocabularies to files and back, as JSON.
 *
 *   {"vocabulary": 1, "kind": "words", "special": true, "tokens": ["the", ...], "merges": []}
 *
 * tokens leaves out the special ones and is empty for byte pairs, which are given by their merges:
 * the number of the left token, of the right one, and so on.
 */
/* SPDX-License-Identifier: MIT */
#include "dataset.h"
#include "json.h"
#include "tokens.h"

#include <string.h>

enum { VERSION = 1, KINDS = 3 };

static const char *const kinds[KINDS] = {
    [GR_CHARACTERS] = "characters", [GR_WORDS] = "words", [GR_BYTE_PAIRS] = "byte pairs"};

/* --- writing --- */

static gr_status write_tokens(gr__json_writer *w, const gr_vocabulary *v)
{
    gr__text token = {0};
    gr__json_array(w, "tokens");
    for (int64_t i = v->special ? GR_SPECIALS : 0; v->kind != GR_BYTE_PAIRS && i < v->tokens.n;
         i++) {
        size_t bytes;
        const char *text = gr__tokens_text(&v->tokens, i, &bytes);
        token.len = 0;
        gr__text_add_bytes(&token, text, bytes); /* ends in NUL there */
        if (!token.failed) gr__json_string(w, NULL, token.data);
    }
    gr__json_close(w);
    bool failed = token.failed;
    gr__text_release(&token);
    return failed ? GR_ERR_MEMORY : GR_OK;
}

static void write_merges(gr__json_writer *w, const gr_vocabulary *v)
{
    gr__json_array(w, "merges");
    if (v->kind == GR_BYTE_PAIRS)
        for (int64_t i = gr__vocabulary_base(v->special); i < v->tokens.n; i++) {
            gr__json_int(w, NULL, v->left[i]);
            gr__json_int(w, NULL, v->right[i]);
        }
    gr__json_close(w);
}

/* Saves a vocabulary as JSON; `path` is complete afterwards, or as it was before. */
gr_status gr_vocabulary_save(const gr_vocabulary *v, const char *path)
{
    if (gr__need("vocabulary", v, "vocabulary")) return GR_ERR_ARGUMENT;
    gr__text out = {0};
    gr__json_writer w = {&out, .indent = 0};
    gr__json_object(&w, NULL);
    gr__json_int(&w, "vocabulary", VERSION);
    gr__json_string(&w, "kind", kinds[v->kind]);
    gr__json_bool(&w, "special", v->special);
    gr_status status = write_tokens(&w, v);
    write_merges(&w, v);
    gr__json_close(&w);
    if (!status) status = gr__text_save(&out, path);
    gr__text_release(&out);
    return status;
}

/* --- reading --- */

enum { FORMAT, KIND, SPECIAL, TOKENS, MERGES, FIELDS };

typedef struct parser {
    gr__json_reader r;
    gr_vocabulary *v;
    uint32_t seen;
    bool begun;  /* the first tokens are there */
    size_t most; /* tokens that the file can hold */
} parser;

static void read_kind(parser *p)
{
    const char *kind;
    if (!gr__json_read_string(&p->r, &kind)) return;
    for (int i = 0; i < KINDS; i++)
        if (!strcmp(kind, kinds[i])) {
            p->v->kind = (gr_token_kind)i;
            return;
        }
    gr__json_fail(&p->r, "unknown kind of vocabulary");
}

static void begin(parser *p)
{
    if (p->begun || p->r.status) return;
    p->begun = true;
    if (p->v->kind == GR_BYTE_PAIRS) {
        size_t most = p->most + (size_t)gr__vocabulary_base(true);
        p->v->left = gr__calloc(most * sizeof *p->v->left);
        p->v->right = gr__calloc(most * sizeof *p->v->right);
        if (!p->v->left || !p->v->right) gr__json_fail(&p->r, "no memory");
    }
    if (!p->r.status && gr__vocabulary_begin(p->v)) gr__json_fail(&p->r, "no memory");
}

static void read_tokens(parser *p)
{
    const char *token;
    begin(p);
    for (gr__json_enter_array(&p->r); gr__json_next_item(&p->r);) {
        int64_t before = p->v->tokens.n;
        if (!gr__json_read_string(&p->r, &token)) return;
        int64_t id = gr__tokens_add(&p->v->tokens, token, strlen(token));
        if (id < 0) gr__json_fail(&p->r, "no memory");
        else if (id < before) gr__json_fail(&p->r, "a token that is there already");
        else if (p->v->kind == GR_BYTE_PAIRS || !*token)
            gr__json_fail(&p->r, "a token that byte pairs do not have, or an empty one");
    }
}

static void read_merges(parser *p)
{
    int64_t left, right;
    begin(p);
    for (gr__json_enter_array(&p->r); gr__json_next_item(&p->r);) {
        int64_t n = p->v->tokens.n;
        if (!gr__json_read_int(&p->r, &left)) return;
        if (!gr__json_next_item(&p->r)) gr__json_fail(&p->r, "half a merge");
        if (!gr__json_read_int(&p->r, &right)) return;
        int64_t first = p->v->special ? GR_SPECIALS : 0;
        if (p->v->kind != GR_BYTE_PAIRS || left < first || right < first || left >= n || right >= n)
            gr__json_fail(&p->r, "a merge of tokens that are not there before it");
        else if (gr__vocabulary_merge(p->v, left, right))
            gr__json_fail(&p->r, "a merge that is too long, or no memory");
        else if (p->v->tokens.n == n) gr__json_fail(&p->r, "a merge that is there already");
    }
}

static void read_version(parser *p)
{
    int64_t version;
    if (gr__json_read_int(&p->r, &version) && version != VERSION)
        gr__json_fail(&p->r, "a version of the format that is not known");
}

static void read_field(parser *p, int field)
{
    static void (*const readers[])(parser *) = {[FORMAT] = read_version,
                                                [KIND] = read_kind,
                                                [TOKENS] = read_tokens,
                                                [MERGES] = read_merges};
    const uint32_t before = 1u << KIND | 1u << SPECIAL;
    if (field >= TOKENS && (p->seen & before) != before)
        gr__json_fail(&p->r, "expected kind and special before the tokens");
    else if (field == SPECIAL) gr__json_read_bool(&p->r, &p->v->special);
    else readers[field](p);
}

static gr_status parse(parser *p, const char *path)
{
    static const char *const fields[FIELDS] = {"vocabulary", "kind", "special", "tokens", "merges"};
    gr__json_enter_object(&p->r);
    for (int f; (f = gr__json_next_field(&p->r, fields, FIELDS, &p->seen)) >= 0;) read_field(p, f);
    if (!gr__json_end(&p->r) && p->seen != (1u << FIELDS) - 1)
        gr__json_fail(&p->r, "expected vocabulary, kind, special, tokens and merges");
    if (p->r.status) return gr__fail(p->r.status, "%s: %s", path, gr_last_error());
    return GR_OK;
}

/* Loads what gr_vocabulary_save wrote. NULL on failure; the error names the file and the place. */
gr_vocabulary *gr_vocabulary_load(const char *path)
{
    void *content;
    size_t bytes;
    if (gr__file_load(path, &content, &bytes)) return NULL;
    parser p = {.v = gr__calloc(sizeof *p.v), .most = bytes};
    gr_status status = GR_ERR_MEMORY;
    if (p.v) {
        gr__json_begin(&p.r, content, bytes);
        status = parse(&p, path);
    }
    gr__free(content);
    if (!status) return p.v;
    gr_vocabulary_free(p.v);
    return NULL;
}
